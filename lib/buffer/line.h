/*
 * line: an event as one line of the disk buffer: written, read, and completed.
 *
 * The format stands in ebbuffer(5). cJSON is used here only, and only for the record of doubt:
 * payload bytes are never parsed into a tree and never printed anew.
 */
#ifndef BUFFER_LINE_H
#define BUFFER_LINE_H

#include "base/clock.h"
#include "base/uuid.h"
#include "event/event.h"

/*
 * Where an XADD went that was not answered (reliability: in doubt). `after` is the
 * lowest bound to look from: the stream's last-generated-id at the greeting or the
 * last ID that this connection was given, exclusive.
 */
struct doubt {
	char run_id[64]; /* of the server (INFO server) */
	int64_t client;  /* CLIENT INFO id; 0 when not known */
	char addr[128];  /* CLIENT INFO addr; empty when not known */
	char after[48];  /* "ms-seq" */
};

/* Appends the front of a line, `{"event_type":...,"message":{...}`, without
 * buffered_at, crc and the closing brace: the spool adds those. A payload that is not UTF-8
 * stands there with U+FFFD, so that the line is JSON, and in `payload_base64` beside it as it is.
 */
void line_head(struct bytes *out, const struct event *e);
/* Appends what may follow buffered_at: `,"maxlen":N` unless maxlen < 0, and
 * `,"doubt":{...}` unless d is NULL. */
void line_tail(struct bytes *out, int64_t maxlen, const struct doubt *d);

struct line {
	struct event e;      /* borrows from `text` of line_parse */
	int64_t buffered_at; /* us */
	int64_t maxlen;      /* -1 when the line has none */
	bool has_crc;        /* has a crc (and it was right) */
	bool in_doubt;
	struct doubt doubt;
};

/*
 * Reads one line (no newline). A line with a crc must have the right one; one without (a plain
 * writer's) must be JSON, and may lack correlation_id and event_id (left empty), have null members,
 * and a payload that is no JSON. A payload or other member that is no string is taken as its exact
 * bytes. `text` is emptied and then holds the unescaped strings. Needed at least: an object, an
 * event_type, a payload, a buffered_at that is a time. The event_type outside `message` counts. A
 * doubt that cannot be read is one whose `after` is "0-0". 0, or -1 with the reason in f->text
 * ("crc differs", "torn", "no message", ...).
 */
int line_parse(const char *line, size_t n, struct line *out, struct bytes *text, struct err *err);

/* Stands for all fields: an event_id may have been given twice on purpose. */
void line_digest(const struct event *e, char out[UUID_SIZE]);

/* The same as line_parse, and the type is a legal one. */
int line_parse_checked(
    const char *p, size_t n, struct line *l, struct bytes *text, struct err *err);
/* Appends it, newline included. maxlen < 0 and d NULL: without. stamp: its buffered_at. */
void line_format(
    struct bytes *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp);

/* What line_complete made; the event borrows it. */
struct line_derived {
	char event_id[UUID_SIZE], correlation_id[UUID_SIZE];
	char timestamp[CLOCK_SIZE];
};
/*
 * Gives a plain writer's line the event_id, correlation_id and timestamp that it lacks: the same in
 * every run, made from the file (stem), the offset in it (at) and the bytes of the line (raw,
 * without newline).
 */
void line_complete(
    struct line *l, struct line_derived *d, const char *stem, uint64_t at, struct slice raw);

#endif

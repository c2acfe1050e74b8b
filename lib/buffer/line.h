/*
 * line: an event as one line of the disk buffer: formatting, parsing, and completing the lines of
 * plain writers.
 *
 * The format is in ebbuffer(5). Payload bytes are copied as they are: never parsed into a tree and
 * never printed again.
 */
#ifndef BUFFER_LINE_H
#define BUFFER_LINE_H

#include "base/clock.h"
#include "base/uuid.h"
#include "event/event.h"

/* Where an unanswered XADD was sent. If Redis executed it, the ID of its entry is above `after`:
 * the stream's last-generated-id at the handshake, or the last ID that the connection received. */
struct doubt {
	char run_id[64]; /* of the server (INFO server) */
	int64_t client;  /* CLIENT INFO id; 0 when unknown */
	char addr[128];  /* CLIENT INFO addr; empty when unknown */
	char after[48];  /* "ms-seq" */
};

/* Appends the front of a line, `{"event_type":...,"message":{...}`, without buffered_at, crc and
 * the closing brace, which append_format adds. A payload that is not UTF-8 has U+FFFD there, so
 * that the line is JSON, and its bytes in `payload_base64`. */
void line_head(struct bytes *out, const struct event *e);
/* Appends the members behind buffered_at: `,"maxlen":N` unless maxlen < 0, `,"doubt":{...}` unless
 * d is NULL. */
void line_tail(struct bytes *out, int64_t maxlen, const struct doubt *d);
/* Appends a whole line, newline included. stamp: buffered_at, us. maxlen and d as in line_tail. */
void line_format(
    struct bytes *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp);

struct line {
	struct event e;      /* borrows from `text` of line_parse */
	int64_t buffered_at; /* us */
	int64_t maxlen;      /* -1 when the line has none */
	bool has_crc;        /* written by ebpub: has a crc, which is right */
	bool in_doubt;
	struct doubt doubt;
};

/* Parses one line (no newline). `text` is emptied and then holds the unescaped strings. Required
 * are an object, an event_type, a payload and a buffered_at that is a time. A crc must be right.
 * A line without crc (of a plain writer) must be JSON; it may lack correlation_id and event_id
 * (left empty), have null members, and a payload that is not JSON. A member that is not a string is
 * taken as its bytes. The event_type outside `message` takes precedence. A doubt that cannot be
 * parsed gets `after` "0-0". -1 with the reason in err->text ("crc differs", "torn", "no message",
 * ...). */
int line_parse(const char *line, size_t n, struct line *out, struct bytes *text, struct err *err);
/* As line_parse, and the type must be legal (names_legal). */
int line_parse_checked(
    const char *p, size_t n, struct line *l, struct bytes *text, struct err *err);

/* Finds a line's buffered_at, us, without parsing the rest. -1 when it has none. */
int line_stamp(struct slice line, int64_t *stamp);

/* Derives a UUID from all fields. Two events may have one event_id: it can be given by the user. */
void line_digest(const struct event *e, char out[UUID_SIZE]);

/* Owns what line_complete made; the event borrows it. */
struct line_derived {
	char event_id[UUID_SIZE], correlation_id[UUID_SIZE];
	char timestamp[CLOCK_SIZE];
};
/* Gives the line of a plain writer the event_id, correlation_id and timestamp that it lacks. They
 * are the same in every run: derived from the stem of its file, its offset `at` in it, and its
 * bytes `raw` (without newline). */
void line_complete(
    struct line *l, struct line_derived *d, const char *stem, uint64_t at, struct slice raw);

#endif

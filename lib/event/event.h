/*
 * event: one event. Checking it, reading it, writing it as the fields of a
 * stream entry, as a line of the buffer, and as the JSON line that ebsub prints.
 *
 * The only user of cJSON, and only for our own small records: payload bytes are
 * never parsed into a tree and never printed anew (contract, G5).
 *
 * Whether a type is legal is not looked at here: callers ask names_legal.
 *
 * A struct event borrows all its bytes. Formats: contract sections 2, 3 and 5; ebbuffer(5).
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"

struct event {
	struct slice type;
	struct slice payload;  /* exact bytes, trimmed */
	struct slice trace_id; /* may be empty */
	struct slice correlation_id;
	struct slice timestamp;
	struct slice source;
	struct slice event_id;
};

#define EVENT_FIELDS 7UL

extern const struct slice event_field_names[EVENT_FIELDS];
/* Where each member stands, in the order of event_field_names. */
void event_field_ptrs(struct event *e, struct slice *at[EVENT_FIELDS]);
/* Which field a name is, looked for from `first` on, round; EVENT_FIELDS when it is none. */
size_t event_field_index(struct slice name, size_t first);

/* The fields of a stream entry, in the contract's order: name, value, name, ... */
void event_to_fields(const struct event *e, struct slice kv[2 * EVENT_FIELDS]);
/* the values alone */
void event_field_values(const struct event *e, struct slice value[EVENT_FIELDS]);
/* The reverse, for entries by anybody: members whose field is missing stay empty
 * (p NULL); fields not known are ignored. The first of two equal names counts. */
void event_from_fields(struct event *e, const struct slice *kv, size_t nkv);
/* 1 when all fields have the same bytes; a missing one is an empty one. */
int event_equal(const struct event *a, const struct event *b);
/* 1 when an event_id given from outside may be used: 1 to 200 printable ASCII bytes. */
int event_id_legal(struct slice id);

/* --- what ebsub prints and ebpub -J takes -------------------------------- */

/*
 * Appends one JSON line without newline for an entry by anybody (contract, section 5).
 * deliveries < 0: the member is left out (--peek). type is the one of the stream's name, used when
 * the entry has no event_type field.
 */
void event_add_json(struct bytes *out, struct slice id, struct slice stream, struct slice type,
    const struct slice *kv, size_t nkv, int64_t deliveries);
/* Appends the exact payload bytes, or of an entry without `payload` a JSON object of its fields
 * (values as strings; names and values that are not UTF-8 with U+FFFD for each bad byte). */
void event_add_payload(struct bytes *out, const struct slice *kv, size_t nkv);

/*
 * Reads one JSON object as event_add_json prints it: event_type is needed, and one of payload
 * (verbatim bytes of the value), payload_text, payload_base64; null or missing other members stay
 * empty; id, stream, deliveries are ignored; `fields` and members not known are refused. A
 * payload's bytes are borrowed from s, the rest from `text`, as in line_parse. f->status 65 on
 * failure. *is_json is 0 for payload_text and payload_base64: such payloads are taken as they are.
 */
int event_parse_json(
    const char *s, size_t n, struct event *e, int *is_json, struct bytes *text, struct err *err);

/* Appends {"timestamp":...,"buffer_stats":stats}, the payload of system.redis_recovered; stats is
 * JSON. */
void event_add_recovered(struct bytes *out, const char *timestamp, struct slice stats);

#endif

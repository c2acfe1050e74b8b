/*
 * event: one event, converted from and to the fields of a stream entry and the JSON line that ebsub
 * prints (ebsub(1), JSON). The line in the disk buffer is buffer/line.h's.
 *
 * Payloads keep their exact bytes: they are neither parsed into a tree nor reformatted (G5,
 * eventbus(7)). The functions here do not check event types; callers use names_legal.
 *
 * A struct event borrows all its bytes.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define EVENT_FIELDS 7UL
#define EVENT_PAYLOAD 1UL /* index */

struct event {
	union {
		struct {
			struct slice type;
			/* exact bytes, without white space at the ends */
			struct slice payload;
			struct slice trace_id; /* may be empty */
			struct slice correlation_id;
			struct slice timestamp;
			struct slice source;
			struct slice event_id;
		};
		struct slice field[EVENT_FIELDS]; /* the same, in the order of event_field_names */
	};
};

extern const struct slice event_field_names[EVENT_FIELDS];

/* An entry and where it was read. All bytes are borrowed. */
struct event_entry {
	struct slice id, stream, type; /* type: the one in the stream's key */
	const struct slice *kv;
	size_t nkv;
	int64_t deliveries; /* -1: unknown, or not read through a group */
};

/* Stores the fields of a stream entry, in the order of eventbus(7): name, value, name, ... */
void event_to_fields(const struct event *e, struct slice kv[2 * EVENT_FIELDS]);
/* Reads an entry by any publisher. Members without a field have p NULL; unknown fields are ignored;
 * the first of two fields of one name counts. */
void event_from_fields(struct event *e, const struct slice *kv, size_t nkv);
/* Returns true when all fields have the same bytes. A missing field equals an empty one. */
bool event_equal(const struct event *a, const struct event *b);
/* Returns true for 1 to 200 printable ASCII bytes. */
bool event_id_legal(struct slice id);

/* Appends the JSON line of an entry by any publisher, without a newline. The type in the stream's
 * key stands in for a missing event_type field. id and stream are left out when they are empty,
 * deliveries when it is unknown. */
void event_add_json(struct bytes *out, const struct event_entry *r);
/* Appends the exact payload. For an entry without a payload field appends a JSON object of its
 * fields, with values as strings and U+FFFD for each byte that is not UTF-8. */
void event_add_payload(struct bytes *out, const struct slice *kv, size_t nkv);

/*
 * Parses a JSON object as event_add_json writes it. event_type is required, and one of payload
 * (the bytes of the value), payload_text and payload_base64. Other members that are null or absent
 * stay empty; id, stream and deliveries are ignored; `fields` and unknown members are refused.
 * payload is borrowed from s, all else from `text`, which is overwritten. *is_json is false for
 * payload_text and payload_base64, whose bytes are not checked. Returns 0, or -1 with status 65.
 */
int event_parse_json(
    const char *s, size_t n, struct event *e, bool *is_json, struct bytes *text, struct err *err);

/* Appends {"timestamp":...,"buffer_stats":stats}, the payload of system.redis_recovered. stats is
 * JSON. */
void event_add_recovered(struct bytes *out, const char *timestamp, struct slice stats);

#endif

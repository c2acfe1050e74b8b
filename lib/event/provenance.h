/*
 * provenance: the fields that a dead letter has in addition to those of its entry.
 *
 *     dead_id        the entry's ID in its stream
 *     dead_stream    the key of that stream
 *     dead_group     the group that could not handle it
 *     dead_consumer  the consumer that added the dead letter
 *     dead_attempts  the number of attempts
 *     dead_status    the result of the last: "exit 1", "signal 9", "timeout", "dead REASON"
 *     dead_stderr    the end of what the last attempt wrote to stderr
 *     dead_time      when it was added, RFC 3339
 *
 * They are recognized by their position, the last eight fields in this order, because an entry may
 * have fields of these names itself.
 */
#ifndef EVENT_PROVENANCE_H
#define EVENT_PROVENANCE_H

#include <stdbool.h>

#include "base/bytes.h"

#define PROVENANCE_FIELDS 8UL
#define PROVENANCE_STDERR 1000 /* maximum bytes of dead_stderr */

struct provenance {
	union {
		struct {
			/* borrowed */
			struct slice id, stream, group, consumer, attempts, status, stderr_tail,
			    time;
		};
		struct slice field[PROVENANCE_FIELDS]; /* the same */
	};
};

extern const struct slice provenance_names[PROVENANCE_FIELDS];

/* Stores names and values, to be added behind the entry's own fields. */
void provenance_to_fields(const struct provenance *d, struct slice kv[2 * PROVENANCE_FIELDS]);
/* Returns how many of kv belong to the entry itself: nkv when there is no provenance at the end,
 * which leaves d empty. */
size_t provenance_from_fields(const struct slice *kv, size_t nkv, struct provenance *d);

#endif

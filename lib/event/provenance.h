/*
 * provenance: a dead letter: an entry that was set aside, its fields untouched, its provenance
 * behind them. Pure.
 *
 *     dead_id       the entry's ID in its stream         dead_attempts  how often a command was
 * begun for it dead_stream   that stream's key                    dead_status    how the last one
 * ended: "exit 1", "signal 9", dead_group    the group that could not handle it "timeout", "exit
 * 65", "dead REASON" of a worker dead_consumer who set it aside                     dead_stderr the
 * end of what it wrote to stderr dead_time      RFC 3339, when
 *
 * They are known by their place: the last eight fields, in this order. An entry may have such names
 * of its own before them.
 */
#ifndef EVENT_PROVENANCE_H
#define EVENT_PROVENANCE_H

#include <stdbool.h>

#include "base/bytes.h"

#define PROVENANCE_FIELDS 8UL
#define PROVENANCE_STDERR 1000 /* bytes of dead_stderr at most */

struct provenance {
	/* borrowed */
	struct slice id, stream, group, consumer, attempts, status, stderr_tail, time;
};

/* Names and values, to be put behind the entry's own. */
void provenance_to_fields(const struct provenance *d, struct slice kv[2 * PROVENANCE_FIELDS]);
/* How many of kv are the entry's own: nkv when no provenance stands at its end (then d is empty).
 */
size_t provenance_from_fields(const struct slice *kv, size_t nkv, struct provenance *d);

#endif

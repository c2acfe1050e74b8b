/*
 * tap: one stream being read over a connection of its own, through a group or only looked at.
 *
 * The caller has the loop: it opens, asks for entries, polls, takes a batch, handles it and says how much of it was handled; that
 * much is acknowledged, in one packet with the next question. After each opening the consumer's own pending entries come first, so that what an
 * earlier life or connection was given and did not acknowledge is not left behind; what was handled and whose acknowledgement was cut
 * off is acknowledged again instead of given out again.
 *
 * Then, and every claim_idle, what other consumers left pending for so long is taken over and given out (XPENDING, XCLAIM).
 *
 * A group is made on demand: at the plan's start, and when it vanished under us at the last ID seen, never silently at "$".
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "redis/bus.h"
#include "consume/haul.h"
#include "redis/look.h"

/* The same for all taps of a process; borrowed. */
struct tap_plan {
	const struct url *url;
	int64_t timeout_ms;
	const char *consumer;		/* NULL: only looking */
	const char *kin;		/* "eb-HOST-": consumers of such names that are idle for a day and hold nothing are deleted; or NULL */
	struct look look;		/* of it a group takes only `from`, where it starts when it must be made */
	bool from_given;
	int64_t claim_idle;		/* ms after which what others left pending is taken over; 0: never */
	bool kept;			/* the caller keeps what comes (tap_keep), and sees to what is pending and to acknowledging itself */
};

enum tap_note {
	TAP_WARNING,			/* something is not as it was asked for */
	TAP_NEWS			/* for people who watch */
};
typedef void tap_note_fn(void *arg, enum tap_note kind, const char *text);

enum tap_state {
	TAP_DOWN,			/* no connection */
	TAP_IDLE,			/* tap_ask may be called */
	TAP_ASKED,
	TAP_READY,			/* a batch: tap_batch, tap_done */
	TAP_CLOSED			/* for good */
};

struct tap;

/* group is NULL for a tap that only looks. Strings are copied. No exchange. */
struct tap *tap_new(const struct tap_plan *plan, const char *type, const char *key, const char *group, tap_note_fn *note,
    void *arg);
void tap_free(struct tap *t);

/* Connects, greets, ensures the group or finds the start; each answer has the plan's time-out. 0, or -1: *why and f. */
int tap_open(struct tap *t, enum bus_why *why, struct fail *f);
/* Asks for at most count entries, waiting up to block_ms for new ones (-1: not at all). */
void tap_ask(struct tap *t, size_t count, int64_t block_ms);
/*
 * Moves what can be moved without waiting. 0; -1 when the connection or the question failed: *why and f, and the tap is TAP_DOWN.
 */
int tap_move(struct tap *t, enum bus_why *why, struct fail *f);

const struct haul *tap_batch(const struct tap *t);	/* when TAP_READY: haul_each */
/*
 * When TAP_READY, before the batch is handled: asks for the next one, so that the server works meanwhile; only where there is
 * likely to be one. Such a question does not wait, and its batch is TAP_READY when this one is done and acknowledged.
 */
void tap_ahead(struct tap *t, size_t count);
/* Its first n records were handled: acknowledged, with the entries that are gone. The tap is TAP_IDLE, or TAP_ASKED after tap_ahead. */
void tap_done(struct tap *t, size_t n);
/* With plan.kept, instead of both: XREADGROUP's reply, the caller's from then on. The tap is TAP_IDLE. */
struct reply *tap_keep(struct tap *t);
size_t tap_asked(const struct tap *t);		/* count of the questions under way and of the batch, else 0 */
bool tap_acknowledged(const struct tap *t);	/* no acknowledgement is unanswered */

enum tap_state tap_state(const struct tap *t);
bool tap_dry(const struct tap *t);		/* the last question found nothing more */
bool tap_settled(const struct tap *t);		/* nothing asked and no acknowledgement unanswered */
const struct bus *tap_bus(const struct tap *t);	/* to poll; NULL when down */
const char *tap_type(const struct tap *t);
const char *tap_key(const struct tap *t);
unsigned tap_remade(const struct tap *t);	/* how often its group had vanished and was made again */
const char *tap_group(const struct tap *t);	/* NULL: only looking */
void tap_close(struct tap *t);			/* TAP_CLOSED */

#endif

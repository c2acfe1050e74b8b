/*
 * checkpoint: what of the buffer was delivered, per type, durably.
 *
 * Every source of lines has a mark: all before it is delivered, except for the types named as late.
 * A late type has marks of its own: the first line of it that is not delivered, per source. So one
 * type that cannot go on costs one record and stops no other. The chain (all segments that
 * publishers share) is one source; each claimed file and each segment written by one publisher
 * alone (segment.h) is another.
 *
 * With the marks stands the intent: what may have been sent, on which connection, and from where to
 * look for it. It reaches over what is sent next, and is recorded while the server is busy with
 * what comes before that; so one fdatasync(2) per batch records all there is to know, and nobody
 * waits for it (reliability, section 3).
 *
 * The file .progress has two slots of fixed size, written in turn, each with a sequence number and
 * a CRC; it is made with the first segment, so that recording needs no free space. When it is lost,
 * everything is sent again that was looked up in no stream: no event is lost. It is text, for
 * people at 3 a.m.
 */
#ifndef BUFFER_CHECKPOINT_H
#define BUFFER_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/position.h"

struct lagging_type {
	char *type;
	char *reason;               /* "" when it is only behind: nothing stops it */
	int64_t tried;              /* wall clock us of the last attempt */
	struct positions positions; /* a source without a mark has nothing late */
};

struct intent_type {
	char *type;
	char after[48]; /* look above this ID */
};

struct intent {
	bool active;
	char run_id[64];
	int64_t client;
	char addr[128];
	/* lines of the types in `sent` between the marks and here are in doubt */
	struct positions upto;
	struct intent_type *sent;
	size_t nsent;
};

struct delivered_line { /* delivered, though it lies above a mark */
	char *stem;
	uint64_t pos;
};

/* the entry of a line that had been in doubt: it accounts for no other line */
struct matched_entry {
	char *type;
	char entry[48];
};
#define CHECKPOINT_MATCHED \
	2048 /* no fewer than lines can be in doubt: a batch, and what waits behind it */

struct bad_segment { /* holds bad lines that found no room in quarantine/ */
	char *stem;
	uint64_t lines;
};

struct checkpoint {
	uint64_t seq;
	/* earlier marks were lost: until the buffer is empty every line has to be looked up */
	bool lost;
	uint64_t adopted; /* number of the last file claimed */
	struct positions positions;
	struct lagging_type *lagging;
	size_t nlagging;
	struct delivered_line *delivered;
	size_t ndelivered;
	struct bad_segment *bad;
	size_t nbad;
	struct matched_entry *matched; /* the last CHECKPOINT_MATCHED of them, oldest first */
	size_t nmatched;
	struct intent intent;
};

/* Makes the file with its room on disk, when it is not there. Under the writers' lock. */
int checkpoint_preallocate(struct buffer *buf, struct err *err);
/* Reads the newest whole slot; a missing or ruined file is an empty progress (zeros). Needs no
 * lock. Always fills *p. -1: what is there cannot be read now, and nobody may take it for less than
 * it is. */
int checkpoint_load(struct buffer *buf, struct checkpoint *cp, struct err *err);
/* Writes the other slot and syncs it. Under the replay lock. */
int checkpoint_store(struct buffer *buf, struct checkpoint *cp, struct err *err);
void checkpoint_free(struct checkpoint *cp);

/* NULL when it is not */
struct lagging_type *checkpoint_find_lagging(struct checkpoint *cp, const char *type, size_t n);
struct lagging_type *checkpoint_add_lagging(struct checkpoint *cp, const char *type, size_t n);
void checkpoint_drop_lagging(struct checkpoint *cp, struct lagging_type *l);
struct intent_type *intent_find_type(const struct intent *in, const char *type, size_t n);
/* Whether a line at pos of this source lies before where the intent reaches. */
bool intent_covers(const struct intent *in, bool chain, const char *stem, uint64_t pos);
void intent_drop_type(struct intent *in, struct intent_type *s);
void intent_clear(struct intent *in);

void checkpoint_add_matched(struct checkpoint *cp, const char *type, const char *entry);
int checkpoint_is_matched(const struct checkpoint *cp, const char *type, const char *entry);
void checkpoint_drop_matched(struct checkpoint *cp);

int checkpoint_is_done(const struct checkpoint *cp, const char *stem, uint64_t pos);
void checkpoint_add_delivered(struct checkpoint *cp, const char *stem, uint64_t pos);
struct bad_segment *checkpoint_find_bad(struct checkpoint *cp, const char *stem);
/* one more line of it */
struct bad_segment *checkpoint_add_bad(struct checkpoint *cp, const char *stem);
/* Whether the line at pos of this source (stem: of the chain's segment, or of the file) was
 * delivered. */
int checkpoint_is_delivered(
    struct checkpoint *cp, const char *type, size_t n, bool chain, const char *stem, uint64_t pos);
/* Forgets all that is recorded of a source that is gone. */
void checkpoint_drop_source(struct checkpoint *cp, const char *stem);

#endif

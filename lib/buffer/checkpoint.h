/*
 * checkpoint: which lines of the buffer are delivered, per type, durably.
 *
 * Each source of lines (walk.h) has a position: all lines before it are delivered, except those of
 * lagging types. A lagging type has its own positions: per source, its first undelivered line. So a
 * type that is held costs one record and does not stop the others. The intent records which lines
 * may have been sent; it is durable before they are.
 *
 * The file .progress (an earlier name, kept for compatibility) is made with the first segment, so
 * that a store needs no free space. Its first slot is valid from then on: a missing or blank file
 * beside segments of ours was lost. After its loss each line is looked up in its stream before it
 * is sent: no event is lost.
 *
 * A copy of the buffer, or one restored from a backup, has a checkpoint that may be older than its
 * streams. It is known by the inode and the ctime of .replay, which the checkpoint records: no copy
 * has both. The first store of each session (of load and stores under the replay lock) gives
 * .replay another ctime, and as its mtime the recorded one, by which a session that is cut off
 * before that store is known.
 */
#ifndef BUFFER_CHECKPOINT_H
#define BUFFER_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"

/* A place in a source of lines (walk.h). The chain is one source over all its segments; each other
 * file is a source, known by its stem. A position owns its stem. A zeroed struct is valid: the
 * beginning of a source, or an empty set. */
struct position {
	char *stem;     /* NULL: the beginning */
	uint64_t pos;   /* bytes; in an unsorted file: lines passed, in sorted order */
	uint64_t limit; /* of an unsorted file: its size when it was sorted; else 0 */
	uint64_t mark;  /* of the line before it (edited.h); 0: unknown */
};

struct positions {
	struct position chain;
	struct position *files; /* sorted by stem, then pos */
	size_t nfiles;
};

/* A type that has undelivered lines before the checkpoint's positions. */
struct lagging_type {
	char *type;
	char *reason;               /* why it is held; "" when it is only behind */
	int64_t tried;              /* wall clock of the last attempt, us */
	struct positions positions; /* a source without one has no undelivered line */
	uint64_t events;            /* for the caller */
};

struct intent_type {
	char *type;
	char after[48]; /* its entries are above this ID */
};

struct intent {
	bool active;
	/* the connection: run_id of the server, CLIENT INFO id and addr */
	char run_id[64];
	int64_t client;
	char addr[128];
	/* lines of `types` between the checkpoint's positions and these are in doubt */
	struct positions upto;
	struct intent_type *types;
	size_t ntypes;
};

struct checkpoint_home {
	uint64_t inode;          /* of .replay; 0: not recorded */
	int64_t changed, before; /* its ctime, ns, in this session and before it */
	bool current;            /* recorded by this session */
};

struct checkpoint {
	uint64_t seq;
	/* an earlier checkpoint was lost: look up each line until the buffer is empty */
	bool lost;
	bool copied; /* why it counts as lost: found so by this load */
	struct checkpoint_home home;
	uint64_t adopted; /* number of the last file adopted */
	struct positions positions;
	struct lagging_type **lagging; /* sorted by type: there may be many */
	size_t nlagging;
	/* delivered lines that begin at or after the position of their source, or of their lagging
	 * type: the position alone would count them as undelivered */
	struct positions delivered;
	/* lines that an ebbuffer set-aside is moving into quarantine, and why (setaside.h) */
	struct positions aside;
	char *aside_reason; /* NULL: none */
	/* segments with bad lines for which quarantine/ had no space; pos is the number of lines */
	struct positions bad;
	/* segments that were changed by hand (edited.h): look up each of their lines. pos: their
	 * size before, at least; limit: after */
	struct positions edited;
	struct intent intent;
};

/* Makes .progress, with its blocks on disk, unless it exists. replay_fd: .replay. lost: as
 * checkpoint_load found it. */
int checkpoint_preallocate(struct buffer *buf, int replay_fd, bool lost, struct err *err);
/* Reads the newest valid slot; a missing or damaged file gives zeros, and `lost` when there are
 * segments of ours. Always fills *cp. -1: the file cannot be read now, and *cp must not be taken
 * for its content. Needs no lock; only with the replay lock it finds a copy. */
int checkpoint_load(struct buffer *buf, struct checkpoint *cp, struct err *err);
/* Writes the other slot; durable on return. Under the replay lock. */
int checkpoint_store(struct buffer *buf, struct checkpoint *cp, struct err *err);
void checkpoint_free(struct checkpoint *cp);

/* NULL when the type does not lag. */
struct lagging_type *checkpoint_find_lagging(struct checkpoint *cp, const char *type, size_t n);
/* Finds or adds. */
struct lagging_type *checkpoint_add_lagging(struct checkpoint *cp, const char *type, size_t n);
void checkpoint_drop_lagging(struct checkpoint *cp, struct lagging_type *l);

/* NULL when no line of the type may have been sent. */
struct intent_type *intent_find_event_type(const struct intent *in, const char *type, size_t n);
/* True when a line at pos of this source is before the intent's positions. */
bool intent_covers(const struct intent *in, bool chain, const char *stem, uint64_t pos);
void intent_drop_type(struct intent *in, struct intent_type *s);
void intent_clear(struct intent *in);

/* mark: of the line before it. */
void checkpoint_add_delivered(struct checkpoint *cp, const char *stem, uint64_t pos, uint64_t mark);
/* True when the line at pos of this source, as in positions_passed, is delivered. */
bool checkpoint_is_delivered(
    struct checkpoint *cp, const char *type, size_t n, bool chain, const char *stem, uint64_t pos);

/* Once no type lags: forgets the delivered lines that the positions have passed. */
void checkpoint_forget_passed(struct checkpoint *cp);
void checkpoint_clear_aside(struct checkpoint *cp);

/* Counts one more bad line of the segment. */
void checkpoint_count_bad_line(struct checkpoint *cp, const char *stem);

/* Removes all records of a segment that was removed. */
void checkpoint_drop_source(struct checkpoint *cp, const char *stem);

/* --- positions -------------------------------------------------------------------- */

/* Without a mark. */
void position_set(struct position *p, const char *stem, uint64_t pos, uint64_t limit);
void position_copy(struct position *p, const struct position *from);
void position_clear(struct position *p);
/* Compares positions in one source: <0, 0, >0. A position without a stem is before all others. */
int position_cmp(const struct position *a, const char *stem, uint64_t pos);

/* Finds the position of a file, or NULL. */
struct position *positions_find(const struct positions *ps, const char *stem);
/* True when the set has exactly this position. */
bool positions_has(const struct positions *ps, const char *stem, uint64_t pos);
/* Adds one more position with this stem. */
struct position *positions_add(struct positions *ps, const char *stem, uint64_t pos);
struct position *positions_find_or_add(struct positions *ps, const char *stem);
/* The position of a source: of the chain, or of the file `stem`. NULL when it has none. */
struct position *positions_get(struct positions *ps, bool chain, const char *stem);
struct position *positions_set(
    struct positions *ps, bool chain, const char *stem, uint64_t pos, uint64_t limit);
void positions_drop(struct positions *ps, const char *stem);
void positions_clear(struct positions *ps);
bool positions_empty(const struct positions *ps);
/* True when a line at pos of this source (stem: of the chain's segment, or of the file) lies
 * before the source's position. *known: the set has one. */
bool positions_passed(
    const struct positions *ps, bool chain, const char *stem, uint64_t pos, bool *known);

#endif

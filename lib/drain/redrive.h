/*
 * redrive: dead letters (provenance.h) back into their streams: same fields, provenance taken off,
 * in their order, each once.
 *
 * Type by type: a page of dead letters is read, those that are wanted are moved (redrive_move.h),
 * and so on up to the one that was the last when it began: what is set aside again meanwhile is not
 * gone round in circles. A stream is treated as in a replay: nothing is pushed out that a group
 * still needs (dest.h), and a type whose stream is full stops. Killed or cut off at any point, it
 * is just run again.
 */
#ifndef DRAIN_REDRIVE_H
#define DRAIN_REDRIVE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"
#include "event/id.h"
#include "event/provenance.h"
#include "redis/stream.h"

struct redrive_match {
	/* of a field of the entry or of its provenance: exact bytes */
	struct slice name, value;
};

/* One that would be moved. */
struct redrive_preview {
	const char *type;
	struct slice id; /* of the dead letter */
	struct slice event_id;
	size_t bytes; /* of its own names and values */
	struct provenance dead;
};

struct redrive_options {
	const struct conf *conf;
	char *const *types;
	size_t ntypes;
	struct stream_id since;      /* the lowest ID, in the dead letters */
	struct redrive_match *match; /* all of them; redrive_add_match, redrive_free */
	size_t matches;
	int64_t maxlen; /* -1: as configured for the type */
	bool force;     /* G7 off */
	uint64_t limit; /* dead letters, over all types; 0: no limit */
	uint64_t rate;  /* a second; 0: no limit */
	/*
	 * A dry run: called once with NULL when Redis has answered, then for each dead letter that
	 * would be moved, which is not moved then. Non-zero ends the run. NULL: no dry run.
	 */
	int (*dry)(void *arg, const struct redrive_preview *l);
	volatile sig_atomic_t *stop; /* set by a signal */
	/* Words for people, one line each. */
	void (*say)(void *arg, const char *text);
	/* Now and then: how many were moved, of how many dead letters; may be NULL. */
	void (*progress)(void *arg, uint64_t moved, uint64_t of);
	void *arg;
};

struct redrive_result {
	uint64_t moved;
	uint64_t gone;    /* moved or deleted by somebody else under our eyes */
	uint64_t refused; /* named, and still there */
	/* entries that our limit pushed out of streams without groups */
	uint64_t trimmed;
	uint64_t stopped; /* types that cannot go on */
	bool left;        /* one that was wanted is still there */
	int status;       /* contract, section 6 */
};

void redrive_run(const struct redrive_options *o, struct redrive_result *r);

/* As people type them; 0, or -1 with status 64. "NAME=VALUE", one more of them; borrowed. */
int redrive_add_match(struct redrive_options *o, const char *s, struct err *err);
/* see id.h */
int redrive_set_since(struct redrive_options *o, const char *where, struct err *err);
/* by name, one at least; borrowed */
int redrive_set_types(struct redrive_options *o, char *const *types, size_t n, struct err *err);
void redrive_free(struct redrive_options *o);

#endif

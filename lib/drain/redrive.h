/*
 * redrive: moves dead letters (provenance.h) back into their streams, with the same fields, without
 * the provenance, in order, each once.
 *
 * A run reads pages of dead letters for each type and moves the matching ones (redrive_move.h), up
 * to the one that was last at the start: events that become dead letters meanwhile are not moved
 * again in the same run. As in a replay, nothing that a group still needs is trimmed (trim.h), and
 * a type whose stream is full stops. After a kill or a cut connection another run continues.
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
	/* a field of the entry or of its provenance, compared byte for byte */
	struct slice name, value;
};

/* A dead letter that would be moved. */
struct redrive_preview {
	const char *type;
	struct slice id; /* of the dead letter, in its own stream */
	struct slice event_id;
	size_t bytes; /* of its names and values without the provenance */
	struct provenance dead;
};

struct redrive_options {
	const struct conf *conf;
	char *const *types;
	size_t ntypes;
	struct stream_id since;      /* the lowest ID of a dead letter */
	struct redrive_match *match; /* all must match; see redrive_add_match */
	size_t matches;
	int64_t maxlen; /* -1: as configured for the type */
	bool force;     /* ignore G7: trim by length */
	uint64_t limit; /* dead letters, over all types; 0: no limit */
	uint64_t rate;  /* a second; 0: no limit */
	/*
	 * Makes it a dry run unless NULL: called once with NULL when Redis is connected, then for
	 * each dead letter that would be moved. A non-zero return ends the run.
	 */
	int (*dry)(void *arg, const struct redrive_preview *l);
	volatile sig_atomic_t *stop; /* set by a signal handler */
	/* Receives messages, one line each. */
	void (*say)(void *arg, const char *text);
	/* Called from time to time: how many were moved, of how many dead letters. May be NULL. */
	void (*progress)(void *arg, uint64_t moved, uint64_t of);
	void *arg;
};

struct redrive_result {
	uint64_t moved;
	uint64_t gone;    /* moved or deleted by another client meanwhile */
	uint64_t refused; /* cannot be moved, reported, and still there */
	/* entries that MAXLEN trimmed from streams without groups */
	uint64_t trimmed;
	uint64_t stopped; /* types that stopped */
	bool left;        /* a matching dead letter is still there */
	int status;       /* exit status, eventbus(7) */
};

/* Runs until nothing matching is left, or until the options, a signal or a failure end it. Reports
 * failures through o->say and in r->status. */
void redrive_run(const struct redrive_options *o, struct redrive_result *r);

/* --- words of the command line; the functions return -1 with status 64 if one is not valid --- */

/* Adds a match "NAME=VALUE"; s is borrowed. */
int redrive_add_match(struct redrive_options *o, const char *s, struct err *err);
/* Sets `since`; `where` as in id_parse_place. */
int redrive_set_since(struct redrive_options *o, const char *where, struct err *err);
/* Sets the types: one or more, by name; borrowed. */
int redrive_set_types(struct redrive_options *o, char *const *types, size_t n, struct err *err);

/* Frees the matches. */
void redrive_free(struct redrive_options *o);

#endif

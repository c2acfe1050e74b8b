/*
 * redrive: moves dead letters (provenance.h) back into their streams, with the same fields, without
 * the provenance, in order, each once; or deletes or lists them.
 *
 * A run reads pages of dead letters for each type, up to the one that was last at the start: events
 * that become dead letters meanwhile are not moved again in the same run. It moves the selected
 * ones (redrive_move.h). As in a replay, nothing that a group still needs is trimmed (trim.h), and
 * a type whose stream is full stops. Or it deletes them with XDEL, and counts what the server says
 * that it deleted. After a kill or a cut connection another run continues.
 */
#ifndef DRAIN_REDRIVE_H
#define DRAIN_REDRIVE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"
#include "event/format.h"
#include "event/provenance.h"
#include "redis/scan.h"

struct redrive_match {
	/* a field of the entry or of its provenance, compared byte for byte */
	struct slice name, value;
};

struct redrive_letter {
	/* with the fields of the provenance; type and key are those of its stream */
	struct event_entry entry;
	size_t own_fields;      /* names and values before the provenance */
	struct provenance dead; /* zero for an entry without provenance */
};

struct redrive_options {
	const struct conf *conf;
	char *const *types;
	size_t ntypes;
	struct range range;          /* `follow` is for `show` */
	struct redrive_match *match; /* all must match; see redrive_add_match */
	size_t matches;
	int64_t maxlen; /* -1: as configured for the type */
	bool force;     /* ignore G7: trim by length */
	uint64_t limit; /* dead letters, over all types; 0: no limit */
	uint64_t rate;  /* a second; 0: no limit */
	bool drop;      /* delete, do not move */
	/* Unless NULL nothing is moved or deleted: called for each dead letter. A non-zero return
	 * ends the run. */
	int (*show)(void *arg, const struct redrive_letter *l);
	volatile sig_atomic_t *stop; /* set by a signal handler */
	/* Receives messages, one line each. */
	void (*say)(void *arg, const char *text);
	/* Called from time to time: how many were moved or deleted, of how many dead letters. May
	 * be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t of);
	void *arg;
};

struct redrive_result {
	uint64_t moved, dropped;
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

/* Adds a match "field=value"; s is borrowed. Returns -1 with status 64 when it has no name. */
int redrive_add_match(struct redrive_options *o, const char *s, struct err *err);
/* Frees the matches. */
void redrive_free(struct redrive_options *o);

#endif

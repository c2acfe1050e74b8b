/*
 * options: the options of a drain, and its result.
 */
#ifndef DRAIN_OPTIONS_H
#define DRAIN_OPTIONS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/append.h"
#include "buffer/buffer.h"
#include "conf/conf.h"
#include "redis/conn.h"

struct drain_options {
	const struct conf *conf;
	const struct append_limits *limits;
	/* MAXLEN for lines that carry none; -1: as configured for the type */
	int64_t maxlen;
	bool force; /* ignore G7: trim by length */
	/* try all held types, and wait until adopted files have settled; false: try only `type` */
	bool all;
	const char *type;  /* a held type to try; NULL: none */
	uint64_t limit;    /* events; 0: no limit */
	uint64_t rate;     /* events a second; 0: no limit */
	int64_t budget_ms; /* stop after this long; 0: no limit */
	/* Set by a signal handler: the run ends after the current batch. May be NULL. */
	volatile sig_atomic_t *stop;
	/* Receives messages, one line each. */
	void (*say)(void *arg, const char *text);
	/* Called after each batch; may be NULL. */
	void (*progress)(void *arg, uint64_t delivered);
	void *arg;
};

static inline struct append_limits
drain_append_limits(const struct conf *conf)
{
	return (struct append_limits){.segment_max = conf->segment_size,
	    .buffer_max = conf->buffer_max,
	    .min_free = conf->min_free,
	    .lock_ms = conf->timeout_ms};
}

struct drain_result {
	uint64_t replayed; /* added to streams */
	uint64_t found;    /* were in doubt, found in their streams, not added again */
	uint64_t quarantined;
	uint64_t possible_duplicates; /* were in doubt, could not be looked up, added */
	/* out of order: accepted by the server after it refused an earlier one of their type */
	uint64_t disordered;
	/* entries that MAXLEN trimmed from streams without groups */
	uint64_t trimmed;
	uint64_t held;         /* types that are held */
	bool left;             /* undelivered events remain */
	enum conn_why server;  /* why the server refuses all commands, or CONN_OK */
	enum conn_why refused; /* why `type` (of the options) is held, or CONN_OK */
	/* exit status: 0 drained; 1 lines were quarantined or are out of order; 74 a segment
	 * vanished; 75 undelivered events remain */
	int status;
};

#endif

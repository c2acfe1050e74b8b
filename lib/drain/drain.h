/*
 * drain: the buffer into Redis, in order per type, each event once.
 *
 * Batch by batch: read lines in order, leave out what is delivered, held or bad, settle what is in
 * doubt, record durably what is about to be sent and from where to look for it, send, and move the
 * marks. While the server is busy the lines to come are read and recorded as what may be sent next,
 * so that it need not wait for the disk between two batches; a batch costs one fdatasync. A segment
 * is unlinked only after the marks that pass it are durable. Killed at any point, the next run
 * finds the record and looks up what it names (contract, G3, G4, G7; reliability, section 3).
 *
 * The caller holds the replay lock and an open bus; a bus that dies ends the run, and the next one,
 * on a new bus, goes on.
 */
#ifndef DRAIN_DRAIN_H
#define DRAIN_DRAIN_H

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
	const char *target; /* see buffer_bind_target */
	const struct append_limits *limits;
	/* for lines that carry none; -1: as configured for the type */
	int64_t maxlen;
	bool force; /* G7 off */
	/* try held types too, and wait for claimed files to rest; else only: */
	bool all;
	const char *type;  /* this held type is tried (NULL: none) */
	uint64_t limit;    /* events; 0: no limit */
	uint64_t rate;     /* events a second; 0: no limit */
	int64_t budget_ms; /* stop after this long; 0: no limit */
	/* set by a signal: the batch is finished, then the run ends; may be NULL */
	volatile sig_atomic_t *stop;
	/* Words for people, one line each. */
	void (*say)(void *arg, const char *text);
	/* After each batch; may be NULL. */
	void (*progress)(void *arg, uint64_t delivered);
	void *arg;
};

struct drain_result {
	uint64_t replayed; /* added to streams */
	uint64_t found;    /* in doubt, and found there: not added again */
	uint64_t quarantined;
	uint64_t duplicates; /* in doubt, could not be known, added */
	/* taken by the server after an earlier one of their type was refused */
	uint64_t disordered;
	/* entries that our limit pushed out of streams without groups */
	uint64_t trimmed;
	uint64_t held; /* types that cannot go on */
	/* an answer was no answer: the connection is to be thrown away */
	bool garbage;
	bool left;             /* something undelivered remains */
	enum conn_why server;  /* why the server as a whole refused, or CONN_OK */
	enum conn_why refused; /* why `type` (of the options) is held, or CONN_OK */
	/* 0 drained; 1 something was quarantined, or is out of order; 74 a segment vanished; 75
	 * something is left */
	int status;
};

/* 0 and *r, or -1: the connection is dead (conn_why), the server refuses everything for now, or the
 * disk failed. *r is filled in either way. */
int drain_run(struct buffer *buf, struct conn *conn, const struct drain_options *o,
    struct drain_result *r, struct err *err);

#endif

/*
 * drain: sends the events of the disk buffer to Redis, in order per type, each once (G3, G4 and G7
 * in eventbus(7)).
 *
 * The unit of work is a batch. drain.c runs its steps:
 *
 *  1. batch.c reads lines in order through readahead.c. It leaves out lines that are delivered,
 *     held or bad (drain_quarantine), and measures the room in each stream (trim.c).
 *  2. send.c fences the connections of lines in doubt and looks these up in their streams
 *     (indoubt.c).
 *  3. send.c stores the checkpoint with the intent: up to where lines are about to be sent, of
 *     which types, and the stream ID to look above. Quarantined lines are synced before that. The
 *     step is left out when the stored intent covers the batch already (step 5).
 *  4. send.c queues one XADD a line.
 *  5. While the server works, readahead.c reads the next lines, send.c stores an intent that covers
 *     them too, and reclaim.c unlinks the segments that the stored positions have passed.
 *  6. send.c takes the replies.
 *  7. commit.c advances the positions in memory. The next intent, or the end, makes them durable.
 *
 * So a batch costs one fdatasync, and the server need not wait for the disk between two batches.
 *
 * What is durable before what: a quarantined line before the position that passes it, the intent
 * before the XADD of any line that it covers, the positions that pass a segment before the unlink
 * of that segment. A run that is killed at any point leaves an intent, and the next run looks up
 * the lines that it covers.
 *
 * The caller holds the replay lock and an open connection. A dead connection ends the run. The next
 * run, on a new connection, continues.
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

struct drain_result {
	uint64_t replayed; /* added to streams */
	uint64_t found;    /* were in doubt, found in their streams, not added again */
	uint64_t quarantined;
	uint64_t possible_duplicates; /* were in doubt, could not be looked up, added */
	/* out of order: accepted by the server after it refused an earlier one of their type */
	uint64_t disordered;
	/* entries that MAXLEN trimmed from streams without groups */
	uint64_t trimmed;
	uint64_t held; /* types that are held */
	/* a reply had an unexpected form: the connection must not be used again */
	bool garbage;
	bool left;             /* undelivered events remain */
	enum conn_why server;  /* why the server refuses all commands, or CONN_OK */
	enum conn_why refused; /* why `type` (of the options) is held, or CONN_OK */
	/* exit status: 0 drained; 1 lines were quarantined or are out of order; 74 a segment
	 * vanished; 75 undelivered events remain */
	int status;
};

/* Returns 0, or -1 with err: the connection is dead (conn_why), the server refuses all commands, or
 * the disk failed. Fills in *res in both cases. */
int drain_run(struct buffer *buf, struct conn *conn, const struct drain_options *o,
    struct drain_result *res, struct err *err);

#endif

/*
 * run: what all parts of one drain know: the buffer, the connection, the options, and the result so
 * far.
 */
#ifndef DRAIN_RUN_H
#define DRAIN_RUN_H

#include "drain/options.h"
#include "drain/pace.h"

#define BATCH_LINES 1000
/* The most lines that can be in doubt at once: a batch, and the lines read ahead of it. */
#define BATCH_IN_DOUBT (INT64_C(2) * BATCH_LINES)
#define BATCH_BYTES (1u << 20)
/* An event with a larger payload is sent alone: its own bytes in the server's buffers may cause its
 * refusal (OOM), and the server could then accept the events behind it. */
#define BATCH_LARGE 32768UL
#define BATCH_TYPES 64

struct run {
	struct buffer *buf;
	struct conn *conn;
	const struct drain_options *o;
	struct drain_result *r;
	struct pace pace; /* of the events whose XADD was queued */
};

void run_say(const struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Returns whether a signal has arrived, or the limit or the time budget is used up. */
bool run_must_end(const struct run *run);
/* Returns the MAXLEN for a line of this type; `own` is the one that the line carries, or -1. */
int64_t run_maxlen(const struct run *run, int64_t own, const char *type);

#endif

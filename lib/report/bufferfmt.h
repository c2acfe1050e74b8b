/*
 * bufferfmt: formats the lines of the disk buffer and of the quarantine, as columns for people and
 * as JSON for programs. ebreplay(1) documents both forms.
 *
 * Passes each item, without newline, to the caller's emit function. Changes nothing in the buffer
 * and waits for no lock.
 */
#ifndef REPORT_BUFFERFMT_H
#define REPORT_BUFFERFMT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "buffer/inspect.h"
#include "buffer/requeue.h"
#include "report/table.h"

enum bufferfmt_view {
	BUFFERFMT_UNDELIVERED, /* inspect_lines */
	/* inspect_check: the counts, after the bad lines (text only) */
	BUFFERFMT_CHECK,
	/* counts of what a drain to `target` would send, without asking Redis */
	BUFFERFMT_DRAIN,
	BUFFERFMT_QUARANTINE /* requeue_list_quarantine */
};

struct bufferfmt {
	/* set json, quiet, emit and arg; table_end frees it */
	struct table table;
	uint64_t limit; /* items; 0: all */
	const char *target;
	struct requeue_names names;
	/* out: exit status. 1: a line cannot be replayed or is out of place; 74: a segment
	 * vanished or cannot be read */
	int status;
};

/* Returns 0, also when emit stopped it, or -1. */
int bufferfmt_show(
    struct bufferfmt *fmt, enum bufferfmt_view view, struct buffer *buf, struct err *err);
/* Shows a directory that does not exist like an empty buffer. */
void bufferfmt_show_empty(struct bufferfmt *fmt, enum bufferfmt_view view, char *dir);

#endif

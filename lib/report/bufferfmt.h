/*
 * bufferfmt: what is in the buffer and in quarantine as it is shown: in words and columns for
 * people, as JSON for programs; both as ebreplay(1) says.
 *
 * Records are given one after the other, without newline, to a function of the caller's. Reads
 * only; takes no lock.
 */
#ifndef REPORT_BUFFERFMT_H
#define REPORT_BUFFERFMT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "buffer/inspect.h"
#include "buffer/requeue.h"

/* text is valid during the call. Returns non-zero to stop. */
typedef int bufferfmt_fn(void *arg, const char *text);

enum bufferfmt_view {
	BUFFERFMT_UNDELIVERED, /* see inspect_lines */
	/* see inspect_check: the bad lines, where they are for people, and what was counted */
	BUFFERFMT_CHECK,
	/* what a drain to `target` would send, as far as can be seen without asking Redis */
	BUFFERFMT_DRAIN,
	BUFFERFMT_QUARANTINE /* see requeue_list */
};

struct bufferfmt {
	bool json;
	/* without the names of the columns and what a check counted; JSON has all */
	bool quiet;
	uint64_t limit; /* so many records; 0: all */
	const char *target;
	struct requeue_names names;
	bufferfmt_fn *emit;
	void *arg;
	/* out: 1 when there is something that cannot be replayed, or stands wrong; 74 when
	 * something vanished */
	int status;
	struct bytes text; /* the record: bufferfmt_free */
};

/* 0, also when it was stopped, or -1. */
int bufferfmt_show(
    struct bufferfmt *l, enum bufferfmt_view what, struct buffer *buf, struct err *err);
/* Of a directory that is not there: as of an empty buffer. */
void bufferfmt_show_empty(struct bufferfmt *l, enum bufferfmt_view what, char *dir);
void bufferfmt_free(struct bufferfmt *l);

#endif

/*
 * redrive_move: dead letters moved back into their stream, each in one step: added there and
 * deleted here, or neither.
 *
 * By a script that looks whether the dead letter is still there, by its own entry ID. So whoever
 * does it again (run again after a kill or a cut, executed late, two at once) adds nothing twice.
 * It copies in the server: what a payload weighs is not sent. An entry of more fields than a script
 * can hand over, and every entry where EVAL is not permitted, goes by WATCH, MULTI and EXEC: as
 * safe, but two round trips each, and it has to be tried again whenever somebody else changes one
 * of the two keys.
 */
#ifndef DRAIN_REDRIVE_MOVE_H
#define DRAIN_REDRIVE_MOVE_H

#include <stdbool.h>

#include "redis/conn.h"
#include "redis/stream.h"

#define REDRIVE_MOVE_MAX 100 /* in one script */
#define REDRIVE_MOVE_BYTES \
	(1 << 20) /* in one script, unless it is one alone: the server does nothing else meanwhile \
	           */
#define REDRIVE_MOVE_FIELDS \
	7500 /* names and values that a script can hand over: Lua's stack has 8000 */

struct redrive_entry {
	struct slice id;           /* its own, in the dead letters */
	const struct reply *entry; /* as stream_parse_entry takes it */
	/* how many of its names and values are the entry's own (provenance_from_fields); 1 pair or
	 * more */
	size_t own;
	size_t bytes;
};

struct redrive_route {
	struct conn *conn;
	const char *dead, *key; /* from, to */
	int64_t maxlen;         /* XADD MAXLEN ~; 0 for none */
	bool watch;             /* without scripts; found out */
};

struct redrive_moved {
	size_t moved, gone; /* gone: somebody else had moved or deleted it */
};

/*
 * Moves the first of them, in order, at most REDRIVE_MOVE_MAX; how many is their sum in *done, and
 * may be 0 when another way has to be taken: to be called again with the rest. n is 1 or more.
 * Nothing may be unanswered. -1: the connection died, or the first of the rest was refused: *why
 * and f. Is *why CONN_OK, the keys changed too fast.
 */
int redrive_move_entries(struct redrive_route *w, const struct redrive_entry *l, size_t n,
    struct redrive_moved *done, enum conn_why *why, struct err *err);

#endif

/*
 * redrive_move: moves dead letters back into their stream. Each is added there and deleted here in
 * one step, or neither.
 *
 * A script looks up the dead letter by its entry ID before it moves it. So nothing is added twice
 * when the script runs again after a kill or a cut connection, is executed late, or runs twice at
 * once. The script copies within the server: payloads are not sent. An entry with more fields than
 * a script can unpack, and every entry where EVAL is not permitted, is moved by WATCH, MULTI and
 * EXEC. That is as safe, but costs two round trips an entry and has to be repeated whenever another
 * client changes one of the two keys.
 */
#ifndef DRAIN_REDRIVE_MOVE_H
#define DRAIN_REDRIVE_MOVE_H

#include <stdbool.h>

#include "redis/conn.h"
#include "redis/stream.h"

#define REDRIVE_MOVE_MAX 100 /* entries in one script */
/* In one script, unless it moves a single entry: the server does nothing else meanwhile. */
#define REDRIVE_MOVE_BYTES (1 << 20)
/* Names and values of an entry that a script moves: Lua's stack has 8000 slots. */
#define REDRIVE_MOVE_FIELDS 7500

struct redrive_entry {
	struct slice id;           /* of the dead letter */
	const struct reply *entry; /* for stream_parse_entry */
	/* names and values before the provenance (provenance_from_fields); 2 or more */
	size_t own_fields;
	size_t bytes;
};

struct redrive_route {
	struct conn *conn;
	const char *dead, *key; /* from, to: keys */
	int64_t maxlen;         /* XADD MAXLEN ~; 0 for none */
	bool watch;             /* EVAL does not work: use WATCH. Set by redrive_move_entries. */
};

struct redrive_moved {
	size_t moved, gone; /* gone: another client moved or deleted it first */
};

/*
 * Moves the first entries, in order, at most REDRIVE_MOVE_MAX, and counts them in *done. The caller
 * calls it again with the rest, also when *done is 0, because the route had to change. n is 1 or
 * more. All earlier commands on the connection must have been answered. Returns 0, or -1 with err:
 * the connection is dead, or the first entry of the rest was refused. err->why is CONN_OK when the
 * keys changed too often.
 */
int redrive_move_entries(struct redrive_route *route, const struct redrive_entry *entries, size_t n,
    struct redrive_moved *done, struct err *err);

#endif

/*
 * stream: what is known about streams and done to them, over a bus.
 *
 * Nothing here knows event types: keys are finished. Functions that exchange expect
 * no unanswered command before. Those named _put only queue; their reply is taken with the _take
 * beside them. A connection that died shows in conn_why(b); an error reply in *why where there is
 * one.
 */
#ifndef REDIS_STREAM_H
#define REDIS_STREAM_H

#include "event/id.h"
#include "redis/conn.h"

/* XADD key [MAXLEN ~ maxlen] * kv...: maxlen 0 is none. Returns conn_put's number. */
uint64_t stream_put_add(
    struct conn *conn, const char *key, int64_t maxlen, const struct slice *kv, size_t nkv);
/* The same as a form (conn_put_template), for entries with these fields, CONN_GAPS at most: it
 * takes their values. */
void stream_add_template(struct conn_template *form, const char *key, int64_t maxlen,
    const struct slice *names, size_t n);
/* 0 and *id when r is an ID; -1: an error reply (why) or a wrong shape (CONN_GARBAGE). */
int stream_take_add(
    const struct reply *r, struct stream_id *id, enum conn_why *why, struct err *err);

struct stream_info {
	bool exists;
	uint64_t length, added, groups; /* added: entries-added */
	struct stream_id last_generated, max_deleted;
	struct stream_id first, last; /* 0-0 when empty */
};
/* XINFO STREAM. A missing key is exists = false and no failure. */
uint64_t stream_put_info(struct conn *conn, const char *key);
int stream_take_info(
    const struct reply *r, struct stream_info *out, enum conn_why *why, struct err *err);
int stream_info(struct conn *conn, const char *key, struct stream_info *out, enum conn_why *why,
    struct err *err);

struct stream_group {
	char *name;
	uint64_t consumers, pending;
	struct stream_id last_delivered;
	int64_t entries_read;            /* entries-read, -1 when the server does not know */
	int64_t lag;                     /* -1 when the server does not know */
	struct stream_id lowest_pending; /* when pending > 0; 0-0: not known */
};
/* XINFO GROUPS, and XPENDING of those with pending entries (one further round trip). Free with
 * stream_groups_free. */
int stream_groups(struct conn *conn, const char *key, struct stream_group **out, size_t *n,
    enum conn_why *why, struct err *err);
void stream_groups_free(struct stream_group *g, size_t n);
/* The same in parts, to ask about many streams at once: XINFO GROUPS (a missing key has none), then
 * XPENDING of those with pending entries. */
uint64_t stream_put_groups(struct conn *conn, const char *key);
int stream_take_groups(const struct reply *r, struct stream_group **out, size_t *n,
    enum conn_why *why, struct err *err);
void stream_put_lowest_pending(
    struct conn *conn, const char *key, const struct stream_group *g, size_t n);
/* Waits for them. -1: the connection is dead. */
int stream_take_lowest_pending(
    struct conn *conn, struct stream_group *g, size_t n, enum conn_why *why, struct err *err);

/*
 * How many entries are gone from the stream (trimmed, deleted) that lie ahead of what this group
 * has read: 0 when none or unknown, then *known is false. A group that has gone past a gap no
 * longer shows it. For a group from 0 that has read nothing, entries that went before it was made
 * count too: the server does not tell them apart.
 */
uint64_t stream_lost(const struct stream_info *s, const struct stream_group *g, bool *known);
/* The lowest ID that any group still has to read or acknowledge: min over groups of the lowest
 * pending, else the one after last delivered. Without groups the highest ID there is. */
struct stream_id stream_lowest_needed(const struct stream_group *g, size_t n);

/* XTRIM key MINID ~ min LIMIT limit; *removed. */
int stream_trim_minid(struct conn *conn, const char *key, struct stream_id min, uint64_t limit,
    uint64_t *removed, enum conn_why *why, struct err *err);

/* XTRIM key MAXLEN ~ maxlen LIMIT limit; *removed. */
int stream_trim_maxlen(struct conn *conn, const char *key, uint64_t maxlen, uint64_t limit,
    uint64_t *removed, enum conn_why *why, struct err *err);

/* TIME: the server's clock, ms since 1970; ours where it will not say. -1: the connection is dead.
 */
int stream_server_time(struct conn *conn, int64_t *now, struct err *err);
int64_t stream_take_server_time(const struct reply *r);

/* XLEN; 0 for a missing key. */
int stream_length(
    struct conn *conn, const char *key, uint64_t *n, enum conn_why *why, struct err *err);

/*
 * One entry of a reply, [id, [name, value, ...]]: *id, and the names and values as an array of
 * struct slice in kv, which is emptied first. `*gone`: the fields are nil (pending, but trimmed or
 * deleted). -1: not of that shape.
 */
int stream_parse_entry(const struct reply *r, struct slice *id, struct bytes *kv, bool *gone);

/* XRANGE key from to COUNT count: IDs as the command takes them ("-", "(ms-seq", "ms"). */
uint64_t stream_put_range(
    struct conn *conn, const char *key, const char *from, const char *to, size_t count);

#endif

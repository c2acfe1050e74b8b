/*
 * stream: the commands on a stream: add, information, groups' positions, trim, range.
 *
 * Keys are whole: this module knows no event types. A function named _put_ queues a command, and
 * the _take_ function beside it parses the reply. The other functions send and wait, and need a
 * connection without unanswered commands. On failure they return -1 with err; err->why is
 * CONN_GARBAGE for a reply of an unexpected form.
 */
#ifndef REDIS_STREAM_H
#define REDIS_STREAM_H

#include "event/id.h"
#include "redis/conn.h"

/* XADD key [MAXLEN ~ maxlen] * kv...; maxlen 0: no limit. Returns the command's number (conn_put).
 */
uint64_t stream_put_add(
    struct conn *conn, const char *key, int64_t maxlen, const struct slice *kv, size_t nkv);
/* Makes XADD a template (conn_put_template), for entries with these field names, RESP_GAPS at most.
 * The gaps are the values. */
void stream_add_template(struct resp_template *template, const char *key, int64_t maxlen,
    const struct slice *names, size_t n);
/* Parses XADD's reply. */
int stream_take_add(const struct reply *r, struct stream_id *id, struct err *err);

struct stream_info {
	bool exists;
	uint64_t length, added, groups; /* added: entries-added, over the stream's life */
	struct stream_id last_generated, max_deleted;
	struct stream_id first, last; /* 0-0 when empty */
};
/* XINFO STREAM. A missing key gives exists = false and is no failure. */
uint64_t stream_put_info(struct conn *conn, const char *key);
int stream_take_info(const struct reply *r, struct stream_info *out, struct err *err);
int stream_info(struct conn *conn, const char *key, struct stream_info *out, struct err *err);

/* XLEN; 0 for a missing key. */
int stream_length(struct conn *conn, const char *key, uint64_t *n, struct err *err);
/* XTRIM key MINID ~ min LIMIT limit. Stores how many entries were removed. */
int stream_trim_minid(struct conn *conn, const char *key, struct stream_id min, uint64_t limit,
    uint64_t *removed, struct err *err);
/* XTRIM key MAXLEN ~ maxlen LIMIT limit. */
int stream_trim_maxlen(struct conn *conn, const char *key, uint64_t maxlen, uint64_t limit,
    uint64_t *removed, struct err *err);

/* TIME: the server's clock in ms since 1970, or this host's clock when the server refuses. -1: the
 * connection is dead. */
int stream_server_time(struct conn *conn, int64_t *now, struct err *err);
int64_t stream_take_server_time(const struct reply *r);

/* --- the groups of a stream --- */

struct stream_group {
	char *name;
	uint64_t consumers, pending;
	struct stream_id last_delivered;
	int64_t entries_read, lag;       /* -1 when the server does not know */
	struct stream_id lowest_pending; /* when pending > 0; 0-0 when not known */
};
/* XINFO GROUPS (a missing key has none), then XPENDING for the groups with pending entries. Free
 * with stream_groups_free. */
int stream_groups(
    struct conn *conn, const char *key, struct stream_group **out, size_t *n, struct err *err);
void stream_groups_free(struct stream_group *g, size_t n);
/* The parts of stream_groups, to ask about many streams in one round trip. The first two are XINFO
 * GROUPS, which leaves lowest_pending 0-0. */
uint64_t stream_put_groups(struct conn *conn, const char *key);
int stream_take_groups(
    const struct reply *r, struct stream_group **out, size_t *n, struct err *err);
/* The last two are XPENDING; stream_take_lowest_pending waits for the replies. A group that has
 * lost its pending entries meanwhile gets pending = 0. */
void stream_put_lowest_pending(
    struct conn *conn, const char *key, const struct stream_group *g, size_t n);
int stream_take_lowest_pending(
    struct conn *conn, struct stream_group *g, size_t n, struct err *err);

/*
 * Returns how many entries were trimmed or deleted that this group had not read: 0 when none, or
 * when the server's numbers do not tell, and then *known is false. A group that has read past a gap
 * no longer shows it. For a group from 0 that has read nothing, entries that were removed before
 * the group was created count too: the server does not tell them apart.
 */
uint64_t stream_lost(const struct stream_info *s, const struct stream_group *g, bool *known);
/* Returns the lowest ID that any group still has to read or acknowledge: its lowest pending ID,
 * else the one after last_delivered. The highest possible ID without groups. */
struct stream_id stream_lowest_needed(const struct stream_group *g, size_t n);

/* --- entries --- */

/* XRANGE key from to COUNT count; from and to as the command takes them ("-", "(ms-seq", "ms"). */
uint64_t stream_put_range(
    struct conn *conn, const char *key, const char *from, const char *to, size_t count);
/*
 * Parses an entry of a reply, [id, [name, value, ...]]. Replaces kv with the names and values, an
 * array of struct slice; id and slices borrow from the reply. *gone: the fields are nil, since the
 * entry is pending but was trimmed or deleted. Returns -1 for an unexpected form.
 */
int stream_parse_entry(const struct reply *r, struct slice *id, struct bytes *kv, bool *gone);

/* An entry that borrows from a reply. */
struct stream_entry {
	struct slice id;
	bool gone; /* pending, but trimmed or deleted: no fields */
	const struct slice *kv;
	size_t nkv;
};
/* Receives an entry. A value other than 0 ends the reading, and is returned. */
typedef int stream_entry_fn(void *arg, const struct stream_entry *e);
/* Calls fn for each entry of a reply of XRANGE or XCLAIM (`what`), in order. -1: err. */
int stream_take_entries(
    const struct reply *r, const char *what, stream_entry_fn *fn, void *arg, struct err *err);

struct stream_read {
	const char *key;
	const char *group, *consumer; /* NULL: XREAD */
	const char *from;             /* XREADGROUP: ">", or an ID: own pending entries after it */
	size_t count;
	int64_t block_ms; /* -1: no BLOCK */
};
/* XREADGROUP GROUP group consumer, or XREAD, COUNT count [BLOCK ms] STREAMS key from. A BLOCK
 * extends the command's deadline. */
uint64_t stream_put_read(struct conn *conn, const struct stream_read *read);
/* Calls fn as stream_take_entries does, for the reply of stream_put_read; nil has no entries. */
int stream_take_read(
    const struct reply *r, const char *key, stream_entry_fn *fn, void *arg, struct err *err);

#endif

#include "drain/redrive_move.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/status.h"
#include "event/id.h"
#include "redis/reply.h"
#include "redis/stream.h"

#define MIB (1 << 20)
#define WATCH_TRIES 50 /* per entry */

static int
fail_refused_move(const struct redrive_route *route, const struct reply *reply, struct err *err)
{
	char what[700];

	snprintf(what, sizeof(what), "from '%s' to '%s'", route->dead, route->key);
	reply_fail(err, reply, what);
	if (err->why == CONN_NOPERM && route->watch) {
		size_t n = strlen(err->text);

		snprintf(err->text + n, sizeof(err->text) - n,
		    " (needed: EVAL, or WATCH, TYPE, MULTI and EXEC; and XRANGE, XADD, XDEL)");
	}
	return -1;
}

/* --- by script --- */

/*
 * KEYS: from, to. ARGV: MAXLEN, then for each entry its ID and how many of its names and values to
 * copy. Returns for each entry the new ID, false if it is gone, or an error. It stops at the first
 * error. Redis does not start it when memory is full or on a replica (#! without flags). The XDEL
 * of no entry comes first, so that a user without permission to delete adds nothing.
 */
static const char script[] =
    "#!lua\n"
    "local from, to, max, out, moved = KEYS[1], KEYS[2], ARGV[1], {}, {}\n"
    "redis.call('XDEL', from, '0-0')\n"
    "for i = 2, #ARGV, 2 do\n"
    "  local entry, id = redis.call('XRANGE', from, ARGV[i], ARGV[i])[1], false\n"
    "  if entry then\n"
    "    local own = tonumber(ARGV[i + 1])\n"
    "    if max == '0' then\n"
    "      id = redis.pcall('XADD', to, '*', unpack(entry[2], 1, own))\n"
    "    else\n"
    "      id = redis.pcall('XADD', to, 'MAXLEN', '~', max, '*', unpack(entry[2], 1, own))\n"
    "    end\n"
    "  end\n"
    "  out[#out + 1] = id\n"
    "  if type(id) == 'table' then break end\n"
    "  if id then moved[#moved + 1] = ARGV[i] end\n"
    "end\n"
    "if #moved > 0 then redis.call('XDEL', from, unpack(moved)) end\n"
    "return out\n";

static void
put_script(const struct redrive_route *route, const struct redrive_entry *entries, size_t n)
{
	struct slice argv[6 + 2 * REDRIVE_MOVE_MAX];
	char max[24], own[REDRIVE_MOVE_MAX][24];
	size_t argc = 0, bytes = 0;

	snprintf(max, sizeof(max), "%" PRId64, route->maxlen);
	argv[argc++] = slice_of("EVAL");
	argv[argc++] = slice_of(script);
	argv[argc++] = slice_of("2");
	argv[argc++] = slice_of(route->dead);
	argv[argc++] = slice_of(route->key);
	argv[argc++] = slice_of(max);
	for (size_t i = 0; i < n; i++) {
		snprintf(own[i], sizeof(own[i]), "%zu", entries[i].own_fields);
		argv[argc++] = entries[i].id;
		argv[argc++] = slice_of(own[i]);
		bytes += entries[i].bytes;
	}
	conn_put(route->conn, argc, argv);
	conn_extend_deadline(route->conn, 1000 * (int64_t)(bytes / MIB));
}

/* Commands that are not permitted in a script may be permitted outside. If not, the error of WATCH
 * names the missing permission better. */
static int
fall_back_to_watch(struct redrive_route *route, const struct reply *reply, struct err *err)
{
	fail_refused_move(route, reply, err);
	if (err->why != CONN_NOPERM && err->why != CONN_OTHER)
		return -1;
	route->watch = true;
	return 0;
}

static int
take_script_reply(struct redrive_route *route, const struct reply *reply, size_t n,
    struct redrive_moved *done, struct err *err)
{
	struct stream_id id;

	if (reply_is_error(reply))
		return fall_back_to_watch(route, reply, err);
	if (!reply_is_array(reply) || reply_count(reply) > n || reply_count(reply) == 0)
		return reply_unexpected(err, NULL, "EVAL");
	for (size_t i = 0; i < reply_count(reply); i++) {
		const struct reply *one = reply_at(reply, i);

		if (reply_is_error(one))
			return fall_back_to_watch(route, one, err);
		if (reply_is_null(one))
			done->gone++;
		else if (reply_is_text(one) && id_parse(reply_text(one), &id) == 0)
			done->moved++;
		else
			return reply_unexpected(err, NULL, "EVAL");
	}
	return 0;
}

static int
move_by_script(struct redrive_route *route, const struct redrive_entry *entries, size_t n,
    struct redrive_moved *done, struct err *err)
{
	struct reply *r;
	int ok;

	put_script(route, entries, n);
	if ((r = conn_wait(route->conn, err)) == NULL)
		return -1;
	ok = take_script_reply(route, r, n, done, err);
	reply_free(r);
	return ok;
}

/* --- by WATCH, MULTI and EXEC --- */

enum move_outcome { MOVE_FAILED = -1, MOVE_RACED, MOVE_DONE, MOVE_GONE };

/* Takes n replies. Returns -1, and none, when the connection is dead. */
static int
take_replies(const struct redrive_route *route, struct reply **replies, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if ((replies[i] = conn_wait(route->conn, err)) != NULL)
			continue;
		while (i > 0)
			reply_free(replies[--i]);
		return -1;
	}
	return 0;
}

static void
free_replies(struct reply **replies, size_t n)
{
	for (size_t i = 0; i < n; i++)
		reply_free(replies[i]);
}

/* Checks the replies to WATCH, XRANGE, TYPE, MULTI. MOVE_DONE means that the entry may be moved. */
static enum move_outcome
check_watched_keys(
    const struct redrive_route *route, struct reply *const replies[4], struct err *err)
{
	struct slice type = reply_text(replies[2]);

	for (int i = 0; i < 4; i++)
		if (reply_is_error(replies[i]))
			return fail_refused_move(route, replies[i], err);
	if (!reply_is_array(replies[1]) || !reply_is_text(replies[2]))
		return reply_unexpected(err, NULL, "XRANGE");
	if (reply_count(replies[1]) == 0)
		return MOVE_GONE;
	if (slice_is(type, "stream") || slice_is(type, "none"))
		return MOVE_DONE;
	return conn_fail(
	    err, CONN_WRONGTYPE, "'%s' is a %.*s, not a stream", route->key, (int)type.n, type.p);
}

/* Sends DISCARD or UNWATCH and ignores the reply. */
static void
end_transaction(const struct redrive_route *route, const char *how)
{
	struct err err;

	conn_putl(route->conn, how, NULL);
	reply_free(conn_wait(route->conn, &err));
}

/* Waits for the reply to MULTI before it queues more: if MULTI is not permitted, the server would
 * execute the next commands at once. */
static enum move_outcome
begin_watched_move(
    const struct redrive_route *route, const struct redrive_entry *entry, struct err *err)
{
	struct slice range[] = {slice_of("XRANGE"), slice_of(route->dead), entry->id, entry->id};
	struct reply *replies[4];
	enum move_outcome out;
	bool begun;

	conn_putl(route->conn, "WATCH", route->dead, route->key, NULL);
	conn_put(route->conn, 4, range);
	conn_limit_reply(route->conn, CONN_PAYLOADS);
	conn_putl(route->conn, "TYPE", route->key, NULL);
	conn_putl(route->conn, "MULTI", NULL);
	if (take_replies(route, replies, 4, err) == -1)
		return MOVE_FAILED;
	out = check_watched_keys(route, replies, err);
	begun = !reply_is_error(replies[3]);
	free_replies(replies, 4);
	if (out != MOVE_DONE)
		end_transaction(route, begun ? "DISCARD" : "UNWATCH");
	return out;
}

/*
 * Redis does not roll back a transaction in which a command fails. The checks under WATCH leave two
 * causes: a permission that was revoked just now, and a stream whose IDs are exhausted. The dead
 * letter is then added again, behind the others.
 */
static void
put_entry_back(const struct redrive_route *route, const struct slice *kv, size_t nkv)
{
	struct err err;

	stream_put_add(route->conn, route->dead, 0, kv, nkv);
	reply_free(conn_wait(route->conn, &err));
}

/* Checks the replies to XADD, XDEL, EXEC. */
static enum move_outcome
check_exec_replies(const struct redrive_route *route, struct reply *const replies[3],
    const struct slice *kv, size_t nkv, struct err *err)
{
	const struct reply *added = reply_at(replies[2], 0);
	struct stream_id id;

	if (reply_is_error(replies[2]))
		end_transaction(route, "DISCARD"); /* EXEC itself may not be permitted */
	for (int i = 0; i < 3; i++)
		if (reply_is_error(replies[i]))
			return fail_refused_move(route, replies[i], err);
	if (reply_is_null(replies[2]))
		return MOVE_RACED;
	if (reply_is_error(added)) {
		put_entry_back(route, kv, nkv);
		return fail_refused_move(route, added, err);
	}
	if (!reply_is_text(added) || id_parse(reply_text(added), &id) == -1)
		return reply_unexpected(err, NULL, "EXEC");
	return MOVE_DONE;
}

static enum move_outcome
exec_watched_move(
    const struct redrive_route *route, const struct redrive_entry *entry, struct err *err)
{
	struct slice del[] = {slice_of("XDEL"), slice_of(route->dead), entry->id}, id;
	struct bytes kv = {0};
	struct reply *replies[3];
	enum move_outcome out = MOVE_FAILED;
	bool gone;

	if (stream_parse_entry(entry->entry, &id, &kv, &gone) == -1)
		return reply_unexpected(err, NULL, "XRANGE");
	stream_put_add(
	    route->conn, route->key, route->maxlen, (const void *)kv.p, entry->own_fields);
	conn_put(route->conn, 3, del);
	conn_putl(route->conn, "EXEC", NULL);
	if (take_replies(route, replies, 3, err) == 0) {
		out = check_exec_replies(
		    route, replies, (const void *)kv.p, kv.len / sizeof(id), err);
		free_replies(replies, 3);
	}
	bytes_free(&kv);
	return out;
}

static int
move_by_watch(const struct redrive_route *route, const struct redrive_entry *entry,
    struct redrive_moved *done, struct err *err)
{
	enum move_outcome out = MOVE_RACED;

	for (int i = 0; i < WATCH_TRIES && out == MOVE_RACED; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){0, (i % 7 + 1) * 300000L}, NULL);
		if ((out = begin_watched_move(route, entry, err)) == MOVE_DONE)
			out = exec_watched_move(route, entry, err);
	}
	done->moved += out == MOVE_DONE;
	done->gone += out == MOVE_GONE;
	if (out != MOVE_RACED)
		return out == MOVE_FAILED ? -1 : 0;
	return err_set(err, STATUS_AGAIN,
	    "'%s' or '%s' changed %d times while one dead letter was being moved: %s", route->dead,
	    route->key, WATCH_TRIES,
	    route->watch ? "permit EVAL, or try again when less is published"
	                 : "try again when less is published");
}

int
redrive_move_entries(struct redrive_route *route, const struct redrive_entry *entries, size_t n,
    struct redrive_moved *done, struct err *err)
{
	size_t few = 0, bytes = 0;

	*done = (struct redrive_moved){0};
	while (few < n && few < REDRIVE_MOVE_MAX &&
	    entries[few].own_fields <= REDRIVE_MOVE_FIELDS &&
	    (few == 0 || bytes + entries[few].bytes <= REDRIVE_MOVE_BYTES))
		bytes += entries[few++].bytes;
	return route->watch || few == 0 ? move_by_watch(route, entries, done, err)
	                                : move_by_script(route, entries, few, done, err);
}

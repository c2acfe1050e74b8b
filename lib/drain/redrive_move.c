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
fail_refused_move(
    const struct redrive_route *w, const struct reply *r, enum conn_why *why, struct err *err)
{
	char what[700];

	snprintf(what, sizeof(what), "from '%s' to '%s'", w->dead, w->key);
	*why = reply_why(r);
	reply_fail(err, r, what);
	if (*why == CONN_NOPERM && w->watch) {
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
put_script(const struct redrive_route *w, const struct redrive_entry *l, size_t n)
{
	struct slice argv[6 + 2 * REDRIVE_MOVE_MAX];
	char max[24], own[REDRIVE_MOVE_MAX][24];
	size_t c = 0, bytes = 0;

	snprintf(max, sizeof(max), "%" PRId64, w->maxlen);
	argv[c++] = slice_of("EVAL");
	argv[c++] = slice_of(script);
	argv[c++] = slice_of("2");
	argv[c++] = slice_of(w->dead);
	argv[c++] = slice_of(w->key);
	argv[c++] = slice_of(max);
	for (size_t i = 0; i < n; i++) {
		snprintf(own[i], sizeof(own[i]), "%zu", l[i].own_fields);
		argv[c++] = l[i].id;
		argv[c++] = slice_of(own[i]);
		bytes += l[i].bytes;
	}
	conn_put(w->conn, c, argv);
	conn_extend_deadline(w->conn, 1000 * (int64_t)(bytes / MIB));
}

/* Commands that are not permitted in a script may be permitted outside. If not, the error of WATCH
 * names the missing permission better. */
static int
fall_back_to_watch(
    struct redrive_route *w, const struct reply *r, enum conn_why *why, struct err *err)
{
	fail_refused_move(w, r, why, err);
	if (*why != CONN_NOPERM && *why != CONN_OTHER)
		return -1;
	w->watch = true;
	return 0;
}

static int
take_script_reply(struct redrive_route *w, const struct reply *r, size_t n,
    struct redrive_moved *done, enum conn_why *why, struct err *err)
{
	struct stream_id id;

	if (reply_is_error(r))
		return fall_back_to_watch(w, r, why, err);
	if (!reply_is_array(r) || reply_count(r) > n || reply_count(r) == 0)
		return reply_unexpected(err, NULL, "EVAL", why);
	for (size_t i = 0; i < reply_count(r); i++) {
		const struct reply *one = reply_at(r, i);

		if (reply_is_error(one))
			return fall_back_to_watch(w, one, why, err);
		if (reply_is_null(one))
			done->gone++;
		else if (reply_is_text(one) && id_parse(reply_text(one), &id) == 0)
			done->moved++;
		else
			return reply_unexpected(err, NULL, "EVAL", why);
	}
	return 0;
}

static int
move_by_script(struct redrive_route *w, const struct redrive_entry *l, size_t n,
    struct redrive_moved *done, enum conn_why *why, struct err *err)
{
	struct reply *r;
	int ok;

	put_script(w, l, n);
	if ((r = conn_wait(w->conn, 0, err)) == NULL) {
		*why = conn_why(w->conn);
		return -1;
	}
	ok = take_script_reply(w, r, n, done, why, err);
	reply_free(r);
	return ok;
}

/* --- by WATCH, MULTI and EXEC --- */

enum move_outcome { MOVE_FAILED = -1, MOVE_RACED, MOVE_DONE, MOVE_GONE };

/* Takes n replies. Returns -1, and none, when the connection is dead. */
static int
take_replies(
    const struct redrive_route *w, struct reply **r, size_t n, enum conn_why *why, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if ((r[i] = conn_wait(w->conn, 0, err)) != NULL)
			continue;
		while (i > 0)
			reply_free(r[--i]);
		*why = conn_why(w->conn);
		return -1;
	}
	return 0;
}

static void
free_replies(struct reply **r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		reply_free(r[i]);
}

/* Checks the replies to WATCH, XRANGE, TYPE, MULTI. MOVE_DONE means that the entry may be moved. */
static enum move_outcome
check_watched_keys(
    const struct redrive_route *w, struct reply *const r[4], enum conn_why *why, struct err *err)
{
	struct slice type = reply_text(r[2]);

	for (int i = 0; i < 4; i++)
		if (reply_is_error(r[i]))
			return fail_refused_move(w, r[i], why, err);
	if (!reply_is_array(r[1]) || !reply_is_text(r[2]))
		return reply_unexpected(err, NULL, "XRANGE", why);
	if (reply_count(r[1]) == 0)
		return MOVE_GONE;
	if (slice_is(type, "stream") || slice_is(type, "none"))
		return MOVE_DONE;
	*why = CONN_WRONGTYPE;
	return err_set(
	    err, STATUS_SOME, "'%s' is a %.*s, not a stream", w->key, (int)type.n, type.p);
}

/* Sends DISCARD or UNWATCH and ignores the reply. */
static void
end_transaction(const struct redrive_route *w, const char *how)
{
	struct err err;

	conn_putl(w->conn, how, NULL);
	reply_free(conn_wait(w->conn, 0, &err));
}

/* Waits for the reply to MULTI before it queues more: if MULTI is not permitted, the server would
 * execute the next commands at once. */
static enum move_outcome
begin_watched_move(const struct redrive_route *w, const struct redrive_entry *l, enum conn_why *why,
    struct err *err)
{
	struct slice range[] = {slice_of("XRANGE"), slice_of(w->dead), l->id, l->id};
	struct reply *r[4];
	enum move_outcome out;
	bool begun;

	conn_putl(w->conn, "WATCH", w->dead, w->key, NULL);
	conn_put(w->conn, 4, range);
	conn_putl(w->conn, "TYPE", w->key, NULL);
	conn_putl(w->conn, "MULTI", NULL);
	if (take_replies(w, r, 4, why, err) == -1)
		return MOVE_FAILED;
	out = check_watched_keys(w, r, why, err);
	begun = !reply_is_error(r[3]);
	free_replies(r, 4);
	if (out != MOVE_DONE)
		end_transaction(w, begun ? "DISCARD" : "UNWATCH");
	return out;
}

/*
 * Redis does not roll back a transaction in which a command fails. The checks under WATCH leave two
 * causes: a permission that was revoked just now, and a stream whose IDs are exhausted. The dead
 * letter is then added again, behind the others.
 */
static void
put_entry_back(const struct redrive_route *w, const struct slice *kv, size_t nkv)
{
	struct err err;

	stream_put_add(w->conn, w->dead, 0, kv, nkv);
	reply_free(conn_wait(w->conn, 0, &err));
}

/* Checks the replies to XADD, XDEL, EXEC. */
static enum move_outcome
check_exec_replies(const struct redrive_route *w, struct reply *const r[3], const struct slice *kv,
    size_t nkv, enum conn_why *why, struct err *err)
{
	const struct reply *added = reply_at(r[2], 0);
	struct stream_id id;

	if (reply_is_error(r[2]))
		end_transaction(w, "DISCARD"); /* EXEC itself may not be permitted */
	for (int i = 0; i < 3; i++)
		if (reply_is_error(r[i]))
			return fail_refused_move(w, r[i], why, err);
	if (reply_is_null(r[2]))
		return MOVE_RACED;
	if (reply_is_error(added)) {
		put_entry_back(w, kv, nkv);
		return fail_refused_move(w, added, why, err);
	}
	if (!reply_is_text(added) || id_parse(reply_text(added), &id) == -1)
		return reply_unexpected(err, NULL, "EXEC", why);
	return MOVE_DONE;
}

static enum move_outcome
exec_watched_move(const struct redrive_route *w, const struct redrive_entry *l, enum conn_why *why,
    struct err *err)
{
	struct slice del[] = {slice_of("XDEL"), slice_of(w->dead), l->id}, id;
	struct bytes kv = {0};
	struct reply *r[3];
	enum move_outcome out = MOVE_FAILED;
	bool gone;

	if (stream_parse_entry(l->entry, &id, &kv, &gone) == -1)
		return reply_unexpected(err, NULL, "XRANGE", why);
	stream_put_add(w->conn, w->key, w->maxlen, (const void *)kv.p, l->own_fields);
	conn_put(w->conn, 3, del);
	conn_putl(w->conn, "EXEC", NULL);
	if (take_replies(w, r, 3, why, err) == 0) {
		out = check_exec_replies(w, r, (const void *)kv.p, kv.len / sizeof(id), why, err);
		free_replies(r, 3);
	}
	bytes_free(&kv);
	return out;
}

static int
move_by_watch(const struct redrive_route *w, const struct redrive_entry *l,
    struct redrive_moved *done, enum conn_why *why, struct err *err)
{
	enum move_outcome out = MOVE_RACED;

	for (int i = 0; i < WATCH_TRIES && out == MOVE_RACED; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){0, (i % 7 + 1) * 300000L}, NULL);
		if ((out = begin_watched_move(w, l, why, err)) == MOVE_DONE)
			out = exec_watched_move(w, l, why, err);
	}
	done->moved += out == MOVE_DONE;
	done->gone += out == MOVE_GONE;
	if (out != MOVE_RACED)
		return out == MOVE_FAILED ? -1 : 0;
	*why = CONN_OK;
	return err_set(err, STATUS_AGAIN,
	    "'%s' or '%s' changed %d times while one dead letter was being moved: %s", w->dead,
	    w->key, WATCH_TRIES,
	    w->watch ? "permit EVAL, or try again when less is published"
	             : "try again when less is published");
}

int
redrive_move_entries(struct redrive_route *w, const struct redrive_entry *l, size_t n,
    struct redrive_moved *done, enum conn_why *why, struct err *err)
{
	size_t few = 0, bytes = 0;

	*done = (struct redrive_moved){0};
	while (few < n && few < REDRIVE_MOVE_MAX && l[few].own_fields <= REDRIVE_MOVE_FIELDS &&
	    (few == 0 || bytes + l[few].bytes <= REDRIVE_MOVE_BYTES))
		bytes += l[few++].bytes;
	return w->watch || few == 0 ? move_by_watch(w, l, done, why, err)
	                            : move_by_script(w, l, few, done, why, err);
}

#include "redis/retire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "redis/reply.h"

/* --- moving and deleting --- */

/*
 * ARGV: group, to, least idle time, budget, then names. Returns [enum retire_result, moved, lost]
 * for the first names, as many as the budget covers: a consumer costs one, an entry one. Entries of
 * equal idle time, such as those of one read, are claimed in one XCLAIM, which costs the server a
 * fraction. is_ebsub() is pending_is_ebsub_consumer().
 */
static const char move_script[] =
    "local key, group, to = KEYS[1], ARGV[1], ARGV[2]\n"
    "local least, left = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local function is_ebsub(name) return #name > 3 and string.sub(name, 1, 3) == 'eb-' end\n"
    "local function pending(name, count)\n"
    "  return redis.call('XPENDING', key, group, '-', '+', count, name)\n"
    "end\n"
    "local function claim(name, entries, first, last)\n"
    "  local c = {'XCLAIM', key, group, to, '0'}\n"
    "  for i = first, last do c[#c + 1] = entries[i][1] end\n"
    "  c[#c + 1] = 'IDLE'\n"
    "  c[#c + 1] = string.format('%.0f', entries[first][3])\n"
    "  if is_ebsub(to) and not is_ebsub(name) then\n"
    "    c[#c + 1] = 'RETRYCOUNT'\n"
    "    c[#c + 1] = '1'\n"
    "  end\n"
    "  c[#c + 1] = 'JUSTID'\n"
    "  return #redis.call(unpack(c))\n"
    "end\n"
    "local function claim_all(name, entries)\n"
    "  local moved, first = 0, 1\n"
    "  for i = 1, #entries do\n"
    "    if i == #entries or entries[i + 1][3] ~= entries[first][3] then\n"
    "      moved, first = moved + claim(name, entries, first, i), i + 1\n"
    "    end\n"
    "  end\n"
    "  return moved\n"
    "end\n"
    "local idle = {}\n"
    "for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', key, group)) do\n"
    "  local c = {}\n"
    "  for i = 1, #flat, 2 do c[flat[i]] = flat[i + 1] end\n"
    "  idle[c['name']] = c['idle']\n"
    "end\n"
    "local out = {}\n"
    "for i = 5, #ARGV do\n"
    "  local name, stop, moved, lost = ARGV[i], 0, 0, 0\n"
    "  if left <= 0 then break end\n"
    "  left = left - 1\n"
    "  if not idle[name] then stop = 3\n"
    "  elseif idle[name] < least then stop = 2\n"
    "  else\n"
    "    if name ~= to then\n"
    "      local entries = pending(name, left + 1)\n"
    "      moved = claim_all(name, entries)\n"
    "      lost, left = #entries - moved, left - #entries\n"
    "    end\n"
    "    if #pending(name, 1) == 0 then\n"
    "      redis.call('XGROUP', 'DELCONSUMER', key, group, name)\n"
    "      stop = 1\n"
    "    elseif name == to then stop = 4 end\n"
    "  end\n"
    "  out[#out + 1] = {stop, moved, lost}\n"
    "end\n"
    "return out\n";

#define NAMES 500 /* in one call */

static void
put_move_script(
    struct conn *conn, const struct retire *r, const struct retire_consumer *c, size_t n)
{
	struct slice argv[8 + NAMES];
	char idle[24], most[24];
	size_t a = 0;

	snprintf(idle, sizeof(idle), "%" PRId64, r->idle);
	snprintf(most, sizeof(most), "%d", RETIRE_STEP);
	argv[a++] = slice_of("EVAL");
	argv[a++] = slice_of(move_script);
	argv[a++] = slice_of("1");
	argv[a++] = slice_of(r->key);
	argv[a++] = slice_of(r->group);
	argv[a++] = slice_of(r->to);
	argv[a++] = slice_of(idle);
	argv[a++] = slice_of(most);
	for (size_t i = 0; i < n && i < NAMES; i++)
		argv[a++] = c[i].listed->name;
	conn_put(conn, a, argv);
}

/* Stores the script's results in c; *done: the consumers that need no further call. Returns -1 for
 * an unexpected form. */
static int
take_script_results(
    const struct reply *reply, struct retire_consumer *consumer, size_t n, size_t *done)
{
	size_t got = reply_count(reply);

	if (!reply_is_array(reply) || got == 0 || got > n)
		return -1;
	for (size_t i = 0; i < got; i++) {
		const struct reply *one = reply_at(reply, i);
		int64_t end = reply_int(reply_at(one, 0)), moved = reply_int(reply_at(one, 1)),
		        lost = reply_int(reply_at(one, 2));

		if (reply_count(one) != 3 || end < RETIRE_UNFINISHED || end > RETIRE_IS_TARGET ||
		    moved < 0 || lost < 0)
			return -1;
		if (end == RETIRE_UNFINISHED && (i + 1 < got || moved + lost == 0))
			return -1;
		consumer[i].result = (enum retire_result)end;
		consumer[i].moved += (uint64_t)moved;
		consumer[i].lost += (uint64_t)lost;
	}
	*done = consumer[got - 1].result == RETIRE_UNFINISHED ? got - 1 : got;
	return 0;
}

int
retire_run(struct conn *conn, const struct retire *retire, struct retire_selection *selection,
    struct err *err)
{
	int ok = 0;

	for (size_t done = 0, some = 0; ok == 0 && done < selection->n; done += some) {
		struct retire_consumer *next = selection->consumer + done;
		struct reply *reply;

		put_move_script(conn, retire, next, selection->n - done);
		if ((reply = conn_wait(conn, err)) == NULL)
			return -1;
		if (take_script_results(reply, next, selection->n - done, &some) == -1)
			ok = reply_unexpected(err, reply,
			    reply_is_eval_refused(reply)
			        ? "consumers are not deleted without the right to use EVAL"
			        : "EVAL");
		reply_free(reply);
	}
	return ok;
}

/* --- selecting --- */

int
retire_select(struct retire_selection *l, struct conn *conn, const struct retire *r,
    const char *name, struct err *err)
{
	*l = (struct retire_selection){0};
	if (group_list_consumers(conn, r->key, r->group, &l->list, err) == -1)
		return -1;
	l->consumer = mem_alloc((l->list.n + 1) * sizeof(*l->consumer));
	for (size_t i = 0; i < l->list.n; i++) {
		const struct group_consumer *c = &l->list.consumer[i];

		if (name != NULL
		        ? slice_is(c->name, name)
		        : c->idle >= r->idle && (c->pending == 0 || !slice_is(c->name, r->to)))
			l->consumer[l->n++].listed = c;
	}
	return 0;
}

void
retire_selection_free(struct retire_selection *l)
{
	free(l->consumer);
	group_consumers_free(&l->list);
}

/* --- deleting idle consumers --- */

static const char delete_script[] =
    "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "  local name, stem = c[2], ARGV[2]\n"
    "  if c[4] == 0 and c[6] >= tonumber(ARGV[4]) and name ~= ARGV[3] and\n"
    "      name:sub(1, #stem) == stem and name:sub(#stem + 1):match('^%d+$') then\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)\n"
    "  end\n"
    "end\n";

int
retire_delete_idle(
    struct conn *conn, const struct retire *retire, const char *stem, struct err *err)
{
	char ms[24];
	struct reply *r;

	snprintf(ms, sizeof(ms), "%" PRId64, retire->idle);
	r = conn_call(conn, err, "EVAL", delete_script, "1", retire->key, retire->group, stem,
	    retire->to, ms, NULL);
	reply_free(r);
	return r == NULL ? -1 : 0;
}

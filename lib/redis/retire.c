#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/reply.h"
#include "redis/retire.h"
#include "redis/retire_int.h"
#include "base/status.h"
#include "base/mem.h"

/*
 * ARGV: group, to, least idle time, entries at most, then names. Answers for some of the first: [end, moved, lost].
 * A consumer costs one of the budget, as an entry does. Entries that are idle for as long, as those of one read are, are claimed
 * together, which costs the server a fraction. ours() is pending_ours().
 */
static const char script[] =
    "local key, group, to = KEYS[1], ARGV[1], ARGV[2]\n"
    "local least, left = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local function ours(name) return #name > 3 and string.sub(name, 1, 3) == 'eb-' end\n"
    "local function held(name, count)\n"
    "  return redis.call('XPENDING', key, group, '-', '+', count, name)\n"
    "end\n"
    "local function claim(name, entries, first, last)\n"
    "  local c = {'XCLAIM', key, group, to, '0'}\n"
    "  for i = first, last do c[#c + 1] = entries[i][1] end\n"
    "  c[#c + 1] = 'IDLE'\n"
    "  c[#c + 1] = string.format('%.0f', entries[first][3])\n"
    "  if ours(to) and not ours(name) then\n"
    "    c[#c + 1] = 'RETRYCOUNT'\n"
    "    c[#c + 1] = '1'\n"
    "  end\n"
    "  c[#c + 1] = 'JUSTID'\n"
    "  return #redis.call(unpack(c))\n"
    "end\n"
    "local function hand_over(name, entries)\n"
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
    "      local entries = held(name, left + 1)\n"
    "      moved = hand_over(name, entries)\n"
    "      lost, left = #entries - moved, left - #entries\n"
    "    end\n"
    "    if #held(name, 1) == 0 then\n"
    "      redis.call('XGROUP', 'DELCONSUMER', key, group, name)\n"
    "      stop = 1\n"
    "    elseif name == to then stop = 4 end\n"
    "  end\n"
    "  out[#out + 1] = {stop, moved, lost}\n"
    "end\n"
    "return out\n";

#define NAMES 500	/* in one call */

static void
put_step(struct conn *conn, const struct retire *r, const struct retire_one *c, size_t n)
{
	struct slice argv[8 + NAMES];
	char idle[24], most[24];
	size_t a = 0;

	snprintf(idle, sizeof(idle), "%" PRId64, r->idle);
	snprintf(most, sizeof(most), "%d", RETIRE_STEP);
	argv[a++] = slice_of("EVAL");
	argv[a++] = slice_of(script);
	argv[a++] = slice_of("1");
	argv[a++] = slice_of(r->key);
	argv[a++] = slice_of(r->group);
	argv[a++] = slice_of(r->to);
	argv[a++] = slice_of(idle);
	argv[a++] = slice_of(most);
	for (size_t i = 0; i < n && i < NAMES; i++)
		argv[a++] = c[i].name;
	conn_put(conn, a, argv);
}

/* How many of c are through; -1 when the answer is none. */
static int
take_step(const struct reply *reply, struct retire_one *c, size_t n, size_t *done)
{
	size_t got = reply_count(reply);

	if (!reply_is_array(reply) || got == 0 || got > n)
		return -1;
	for (size_t i = 0; i < got; i++) {
		const struct reply *one = reply_at(reply, i);
		int64_t end = reply_int(reply_at(one, 0)), moved = reply_int(reply_at(one, 1)), lost = reply_int(reply_at(one, 2));

		if (reply_count(one) != 3 || end < RETIRE_OPEN || end > RETIRE_TARGET || moved < 0 || lost < 0)
			return -1;
		if (end == RETIRE_OPEN && (i + 1 < got || moved + lost == 0))
			return -1;
		c[i].end = (enum retire_end)end;
		c[i].moved += (uint64_t)moved;
		c[i].lost += (uint64_t)lost;
	}
	*done = c[got - 1].end == RETIRE_OPEN ? got - 1 : got;
	return 0;
}

/* Refused as such, not one of its commands. */
static bool
no_eval(const struct reply *reply)
{
	struct slice t = reply_text(reply);
	const char unknown[] = "ERR unknown command";

	if (!reply_is_error(reply) || memmem(t.p, t.n, "script: ", 8) != NULL)
		return false;
	return reply_why(reply) == CONN_NOPERM || (t.n >= sizeof(unknown) - 1 && memcmp(t.p, unknown, sizeof(unknown) - 1) == 0);
}

static int
fail_step(const struct reply *reply, enum conn_why *why, struct err *err)
{
	if (reply_is_error(reply)) {
		*why = reply_why(reply);
		return reply_fail(err, reply, "EVAL");
	}
	*why = CONN_GARBAGE;
	return err_set(err, STATUS_UNREACHABLE, "EVAL: the answer has not the shape that was asked for");
}

int
retire_run(struct conn *conn, struct retire *r, struct retire_one *c, size_t n, enum conn_why *why, struct err *err)
{
	size_t done = 0, some;
	int ok = 0;

	r->no_eval = (struct err){0};
	for (; ok == 0 && done < n; done += some) {
		struct reply *reply;

		put_step(conn, r, c + done, n - done);
		if ((reply = conn_wait(conn, 0, err)) == NULL) {
			*why = conn_why(conn);
			return -1;
		}
		some = 0;
		if (no_eval(reply)) {
			reply_fail(&r->no_eval, reply, "EVAL");
			some = n - done;
			ok = retire_plain(conn, r, c + done, some, why, err);
		} else if (take_step(reply, c + done, n - done, &some) == -1)
			ok = fail_step(reply, why, err);
		reply_free(reply);
	}
	return ok;
}

/* The part of retire.h for servers and users without scripts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "redis/consumers.h"
#include "redis/pending.h"
#include "redis/reply.h"
#include "redis/retiring.h"
#include "base/status.h"

#define RACE 100000	/* entries that a consumer may be given between two commands */

static bool
is(struct slice a, struct slice b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static uint64_t
put_held(struct bus *b, const struct retire *r, struct slice name, const char *most)
{
	const struct slice argv[] = {
		slice_of("XPENDING"), slice_of(r->key), slice_of(r->group), slice_of("-"), slice_of("+"), slice_of(most), name
	};

	return bus_put(b, sizeof(argv) / sizeof(argv[0]), argv);
}

/* An answer that is an array or, with why in f, none. */
static struct reply *
wait_array(struct bus *b, const char *what, enum bus_why *why, struct fail *f)
{
	struct reply *reply = bus_wait(b, 0, f);

	*why = reply == NULL ? bus_why(b) : reply_why(reply);
	if (reply == NULL || reply_is_array(reply))
		return reply;
	if (reply_is_error(reply))
		reply_fail(f, reply, what);
	else {
		*why = BUS_GARBAGE;
		fail_set(f, STATUS_UNREACHABLE, "%s: the answer has not the shape that Redis gives it", what);
	}
	reply_free(reply);
	return NULL;
}

/* One that is a status: OK, QUEUED. */
static int
wait_word(struct bus *b, const char *what, enum bus_why *why, struct fail *f)
{
	struct reply *reply = bus_wait(b, 0, f);
	int ok = reply != NULL && reply_is_text(reply) ? 0 : -1;

	*why = reply == NULL ? bus_why(b) : reply_why(reply);
	if (reply != NULL && ok == -1)
		reply_fail(f, reply, what);
	reply_free(reply);
	return ok;
}

/* Pending again, though for nobody at the moment. */
static void
put_back(struct bus *b, const struct retire *r, struct slice name, const struct pending *p)
{
	bool anew = pending_ours(slice_of(r->to)) && !pending_ours(name);
	char id[STREAM_ID_SIZE], idle[24], count[24];

	stream_id_format(p->id, id);
	snprintf(idle, sizeof(idle), "%" PRId64, p->idle);
	snprintf(count, sizeof(count), "%" PRId64, anew ? 1 : p->deliveries);
	bus_putl(b, "XCLAIM", r->key, r->group, r->to, "0", id, "IDLE", idle, "RETRYCOUNT", count, "FORCE", "JUSTID", NULL);
}

static int
take_back(struct bus *b, const struct retire *r, struct retire_one *c, const struct reply *held, enum bus_why *why, struct fail *f)
{
	struct pending p;
	size_t n = 0;
	int ok = 0;

	for (size_t i = 0; i < reply_count(held); i++)
		if (pending_at(held, i, &p) == 0) {
			put_back(b, r, c->name, &p);
			n++;
		}
	for (; n > 0; n--) {
		struct reply *reply = wait_array(b, "XCLAIM", why, f);

		if (reply == NULL && bus_why(b) != BUS_FINE)
			return -1;
		if (reply == NULL)
			ok = -1;
		else if (reply_count(reply) > 0)
			c->moved++;
		else
			c->lost++;
		reply_free(reply);
	}
	return ok;
}

/* The words of the two that were queued, and the answer of EXEC, which is an error when one of them was. */
static struct reply *
wait_exec(struct bus *b, enum bus_why *why, struct fail *f)
{
	enum bus_why first = BUS_FINE;
	struct reply *r;
	struct fail said;

	for (int i = 0; i < 2; i++) {
		if ((r = bus_wait(b, 0, f)) == NULL) {
			*why = bus_why(b);
			return NULL;
		}
		if (reply_is_error(r) && first == BUS_FINE) {
			first = reply_why(r);
			reply_fail(&said, r, i == 0 ? "XPENDING" : "XGROUP DELCONSUMER");
		}
		reply_free(r);
	}
	if ((r = wait_array(b, "EXEC", why, f)) == NULL && first != BUS_FINE) {
		*why = first;
		*f = said;
	}
	return r;
}

static int
forget(struct bus *b, const struct retire *r, struct retire_one *c, enum bus_why *why, struct fail *f)
{
	const struct slice argv[] = {
		slice_of("XGROUP"), slice_of("DELCONSUMER"), slice_of(r->key), slice_of(r->group), c->name
	};
	enum bus_why deleted;
	struct reply *done;
	char most[24];
	int ok;

	bus_putl(b, "MULTI", NULL);
	if (wait_word(b, "MULTI", why, f) == -1)
		return -1;
	snprintf(most, sizeof(most), "%d", RACE);
	put_held(b, r, c->name, most);
	bus_put(b, sizeof(argv) / sizeof(argv[0]), argv);
	bus_putl(b, "EXEC", NULL);
	if ((done = wait_exec(b, why, f)) == NULL)
		return -1;
	ok = take_back(b, r, c, reply_at(done, 0), why, f);
	deleted = reply_why(reply_at(done, 1));
	if (ok == 0 && deleted != BUS_FINE) {
		*why = deleted;
		ok = reply_fail(f, reply_at(done, 1), "XGROUP DELCONSUMER");
	}
	reply_free(done);
	if (ok == 0)
		c->end = RETIRE_DELETED;
	return ok;
}

static int
one(struct bus *b, const struct retire *r, struct retire_one *c, const struct consumers_one *now, enum bus_why *why, struct fail *f)
{
	struct reply *held;
	bool holds;

	if (now == NULL || now->idle < r->idle) {
		c->end = now == NULL ? RETIRE_NONE : RETIRE_BACK;
		return 0;
	}
	put_held(b, r, c->name, "1");
	if ((held = wait_array(b, "XPENDING", why, f)) == NULL)
		return -1;
	holds = reply_count(held) > 0;
	reply_free(held);
	if (!holds)
		return forget(b, r, c, why, f);
	c->end = is(c->name, slice_of(r->to)) ? RETIRE_TARGET : RETIRE_HELD;
	return 0;
}

int
retire_plain(struct bus *b, const struct retire *r, struct retire_one *c, size_t n, enum bus_why *why, struct fail *f)
{
	struct consumers list;
	int ok = consumers_list(b, r->key, r->group, &list, why, f);

	for (size_t i = 0; ok == 0 && i < n; i++) {
		const struct consumers_one *now = NULL;

		for (size_t k = 0; k < list.n && now == NULL; k++)
			if (is(list.at[k].name, c[i].name))
				now = &list.at[k];
		ok = one(b, r, &c[i], now, why, f);
	}
	consumers_free(&list);
	return ok;
}

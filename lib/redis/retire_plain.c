/* The part of retire.h for servers and users without scripts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "redis/consumers.h"
#include "redis/pending.h"
#include "redis/reply.h"
#include "redis/retire_int.h"
#include "base/status.h"

#define RACE 100000	/* entries that a consumer may be given between two commands */

static bool
is(struct slice a, struct slice b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static uint64_t
put_held(struct conn *conn, const struct retire *r, struct slice name, const char *most)
{
	const struct slice argv[] = {
		slice_of("XPENDING"), slice_of(r->key), slice_of(r->group), slice_of("-"), slice_of("+"), slice_of(most), name
	};

	return conn_put(conn, sizeof(argv) / sizeof(argv[0]), argv);
}

/* An answer that is an array or, with why in f, none. */
static struct reply *
wait_array(struct conn *conn, const char *what, enum conn_why *why, struct err *err)
{
	struct reply *reply = conn_wait(conn, 0, err);

	*why = reply == NULL ? conn_why(conn) : reply_why(reply);
	if (reply == NULL || reply_is_array(reply))
		return reply;
	if (reply_is_error(reply))
		reply_fail(err, reply, what);
	else {
		*why = CONN_GARBAGE;
		err_set(err, STATUS_UNREACHABLE, "%s: the answer has not the shape that Redis gives it", what);
	}
	reply_free(reply);
	return NULL;
}

/* One that is a status: OK, QUEUED. */
static int
wait_word(struct conn *conn, const char *what, enum conn_why *why, struct err *err)
{
	struct reply *reply = conn_wait(conn, 0, err);
	int ok = reply != NULL && reply_is_text(reply) ? 0 : -1;

	*why = reply == NULL ? conn_why(conn) : reply_why(reply);
	if (reply != NULL && ok == -1)
		reply_fail(err, reply, what);
	reply_free(reply);
	return ok;
}

/* Pending again, though for nobody at the moment. */
static void
put_back(struct conn *conn, const struct retire *r, struct slice name, const struct pending *p)
{
	bool anew = pending_ours(slice_of(r->to)) && !pending_ours(name);
	char id[ID_SIZE], idle[24], count[24];

	id_format(p->id, id);
	snprintf(idle, sizeof(idle), "%" PRId64, p->idle);
	snprintf(count, sizeof(count), "%" PRId64, anew ? 1 : p->deliveries);
	conn_putl(conn, "XCLAIM", r->key, r->group, r->to, "0", id, "IDLE", idle, "RETRYCOUNT", count, "FORCE", "JUSTID", NULL);
}

static int
take_back(struct conn *conn, const struct retire *r, struct retire_one *c, const struct reply *held, enum conn_why *why, struct err *err)
{
	struct pending p;
	size_t n = 0;
	int ok = 0;

	for (size_t i = 0; i < reply_count(held); i++)
		if (pending_at(held, i, &p) == 0) {
			put_back(conn, r, c->name, &p);
			n++;
		}
	for (; n > 0; n--) {
		struct reply *reply = wait_array(conn, "XCLAIM", why, err);

		if (reply == NULL && conn_why(conn) != CONN_FINE)
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
wait_exec(struct conn *conn, enum conn_why *why, struct err *err)
{
	enum conn_why first = CONN_FINE;
	struct reply *r;
	struct err said;

	for (int i = 0; i < 2; i++) {
		if ((r = conn_wait(conn, 0, err)) == NULL) {
			*why = conn_why(conn);
			return NULL;
		}
		if (reply_is_error(r) && first == CONN_FINE) {
			first = reply_why(r);
			reply_fail(&said, r, i == 0 ? "XPENDING" : "XGROUP DELCONSUMER");
		}
		reply_free(r);
	}
	if ((r = wait_array(conn, "EXEC", why, err)) == NULL && first != CONN_FINE) {
		*why = first;
		*err = said;
	}
	return r;
}

static int
forget(struct conn *conn, const struct retire *r, struct retire_one *c, enum conn_why *why, struct err *err)
{
	const struct slice argv[] = {
		slice_of("XGROUP"), slice_of("DELCONSUMER"), slice_of(r->key), slice_of(r->group), c->name
	};
	enum conn_why deleted;
	struct reply *done;
	char most[24];
	int ok;

	conn_putl(conn, "MULTI", NULL);
	if (wait_word(conn, "MULTI", why, err) == -1)
		return -1;
	snprintf(most, sizeof(most), "%d", RACE);
	put_held(conn, r, c->name, most);
	conn_put(conn, sizeof(argv) / sizeof(argv[0]), argv);
	conn_putl(conn, "EXEC", NULL);
	if ((done = wait_exec(conn, why, err)) == NULL)
		return -1;
	ok = take_back(conn, r, c, reply_at(done, 0), why, err);
	deleted = reply_why(reply_at(done, 1));
	if (ok == 0 && deleted != CONN_FINE) {
		*why = deleted;
		ok = reply_fail(err, reply_at(done, 1), "XGROUP DELCONSUMER");
	}
	reply_free(done);
	if (ok == 0)
		c->end = RETIRE_DELETED;
	return ok;
}

static int
one(struct conn *conn, const struct retire *r, struct retire_one *c, const struct group_consumer *now, enum conn_why *why, struct err *err)
{
	struct reply *held;
	bool holds;

	if (now == NULL || now->idle < r->idle) {
		c->end = now == NULL ? RETIRE_NONE : RETIRE_BACK;
		return 0;
	}
	put_held(conn, r, c->name, "1");
	if ((held = wait_array(conn, "XPENDING", why, err)) == NULL)
		return -1;
	holds = reply_count(held) > 0;
	reply_free(held);
	if (!holds)
		return forget(conn, r, c, why, err);
	c->end = is(c->name, slice_of(r->to)) ? RETIRE_TARGET : RETIRE_HELD;
	return 0;
}

int
retire_plain(struct conn *conn, const struct retire *r, struct retire_one *c, size_t n, enum conn_why *why, struct err *err)
{
	struct group_consumers list;
	int ok = group_consumers(conn, r->key, r->group, &list, why, err);

	for (size_t i = 0; ok == 0 && i < n; i++) {
		const struct group_consumer *now = NULL;

		for (size_t k = 0; k < list.n && now == NULL; k++)
			if (is(list.at[k].name, c[i].name))
				now = &list.at[k];
		ok = one(conn, r, &c[i], now, why, err);
	}
	group_consumers_free(&list);
	return ok;
}

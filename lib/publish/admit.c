#include "publish/publish_int.h"
#include "redis/reply.h"
#include "drain/trim.h"
#include "redis/stream.h"
#include "base/clock.h"

struct dest *
publish_open_dest(struct publish *p, struct slice type, const struct stream_info *info)
{
	struct dest *dest = dests_get(&p->dests, p->o->conf->prefix, type);

	dest->opened = true;
	dest->maxlen = publish_limit(p, dest->type);
	if (info) {
		dest->after = info->last_generated;
		dest->watch.before = *info;
	}
	trim_policy(dest, p->o->conf);
	if (dest->acked)
		trim_seen(dest, info);
	else
		dest->room = INT64_MAX;
	return dest;
}

void
publish_take_info(struct publish *p, struct slice type, const struct reply *r)
{
	struct stream_info info;
	enum conn_why why;
	struct err err;

	publish_open_dest(p, type, stream_take_info(r, &info, &why, &err) == 0 ? &info : NULL);
}

static int
ask(struct publish *p, struct slice type)
{
	struct reply *r;
	struct err err;

	stream_put_info(p->conn, dests_get(&p->dests, p->o->conf->prefix, type)->key);
	if (!(r = conn_wait(p->conn, 0, &err))) {
		connect_lost(p, &err);
		return -1;
	}
	publish_take_info(p, type, r);
	reply_free(r);
	return 0;
}

int
publish_measure_room(struct publish *p, struct dest *dest)
{
	struct bytes words = { 0 };
	struct err err;
	int r;

	trim_again(dest);
	r = trim_ready(dest, p->conn, dest->maxlen, false, &words, &err);
	if (words.len)
		publish_say(p, !p->said_retain, "%s", bytes_str(&words));
	p->said_retain |= words.len > 0;
	bytes_free(&words);
	if (r == -1 && conn_why(p->conn) != CONN_FINE) {
		connect_lost(p, &err);
		return -1;
	}
	if (r == -1)	/* of the whole server: the XADD will tell */
		dest->room = 1;
	return dest->stopped;
}

static void
note_stopped(struct publish *p, struct dest *dest)
{
	bool full = dest->why == CONN_FINE;

	dest->held_till = clock_mono() + PUBLISH_RETRY_MS;
	if (full)
		p->held = true;
	else
		publish_worse(p, conn_status(dest->why));
	publish_say(p, !full || !p->buf, "'%s' is held: %s", dest->type, dest->reason);
}

int
publish_admit(struct publish *p, struct slice type)
{
	struct dest *dest = dests_get(&p->dests, p->o->conf->prefix, type);
	int r;

	if (dest->opened && !dest->stopped && dest->room > 0)
		return 0;
	if (dest->opened && dest->stopped && !(dest->acked && dest->why == CONN_FINE && clock_mono() >= dest->held_till))
		return -1;
	connect_await(p);
	if (!p->conn)
		return -1;
	dest = dests_get(&p->dests, p->o->conf->prefix, type);
	if (!dest->opened && ask(p, type) == -1)
		return -1;
	if (dest->room > 0 && !dest->stopped)
		return 0;
	if ((r = publish_measure_room(p, dest)) == 1)
		note_stopped(p, dest);
	return r == 0 ? 0 : -1;
}

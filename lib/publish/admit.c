#include "publish/publish_int.h"
#include "redis/reply.h"
#include "drain/trim.h"
#include "redis/stream.h"
#include "base/clock.h"

struct dest *
publish_open_dest(struct publish *p, struct slice type, const struct stream_info *info)
{
	struct dest *l = dests_get(&p->lanes, p->o->conf->prefix, type);

	l->opened = true;
	l->maxlen = publish_limit(p, l->type);
	if (info) {
		l->after = info->last_generated;
		l->watch.before = *info;
	}
	trim_policy(l, p->o->conf);
	if (l->acked)
		trim_seen(l, info);
	else
		l->room = INT64_MAX;
	return l;
}

void
publish_take_info(struct publish *p, struct slice type, const struct reply *r)
{
	struct stream_info info;
	enum conn_why why;
	struct err f;

	publish_open_dest(p, type, stream_take_info(r, &info, &why, &f) == 0 ? &info : NULL);
}

static int
ask(struct publish *p, struct slice type)
{
	struct reply *r;
	struct err f;

	stream_put_info(p->b, dests_get(&p->lanes, p->o->conf->prefix, type)->key);
	if (!(r = conn_wait(p->b, 0, &f))) {
		connect_lost(p, &f);
		return -1;
	}
	publish_take_info(p, type, r);
	reply_free(r);
	return 0;
}

int
publish_measure_room(struct publish *p, struct dest *l)
{
	struct bytes words = { 0 };
	struct err f;
	int r;

	trim_again(l);
	r = trim_ready(l, p->b, l->maxlen, false, &words, &f);
	if (words.len)
		publish_say(p, !p->said_retain, "%s", bytes_str(&words));
	p->said_retain |= words.len > 0;
	bytes_free(&words);
	if (r == -1 && conn_why(p->b) != CONN_FINE) {
		connect_lost(p, &f);
		return -1;
	}
	if (r == -1)	/* of the whole server: the XADD will tell */
		l->room = 1;
	return l->stopped;
}

static void
note_stopped(struct publish *p, struct dest *l)
{
	bool full = l->why == CONN_FINE;

	l->held_till = clock_mono() + PUBLISH_RETRY_MS;
	if (full)
		p->held = true;
	else
		publish_worse(p, conn_status(l->why));
	publish_say(p, !full || !p->sp, "'%s' is held: %s", l->type, l->reason);
}

int
publish_admit(struct publish *p, struct slice type)
{
	struct dest *l = dests_get(&p->lanes, p->o->conf->prefix, type);
	int r;

	if (l->opened && !l->stopped && l->room > 0)
		return 0;
	if (l->opened && l->stopped && !(l->acked && l->why == CONN_FINE && clock_mono() >= l->held_till))
		return -1;
	connect_await(p);
	if (!p->b)
		return -1;
	l = dests_get(&p->lanes, p->o->conf->prefix, type);
	if (!l->opened && ask(p, type) == -1)
		return -1;
	if (l->room > 0 && !l->stopped)
		return 0;
	if ((r = publish_measure_room(p, l)) == 1)
		note_stopped(p, l);
	return r == 0 ? 0 : -1;
}

#include "publish/publishing.h"
#include "redis/reply.h"
#include "drain/retain.h"
#include "redis/stream.h"
#include "base/when.h"

struct lane *
admit_open(struct publish *p, struct slice type, const struct stream_info *info)
{
	struct lane *l = lanes_get(&p->lanes, p->o->conf->prefix, type);

	l->opened = true;
	l->maxlen = publish_limit(p, l->type);
	if (info) {
		l->after = info->last_generated;
		l->watch.before = *info;
	}
	retain_policy(l, p->o->conf);
	if (l->acked)
		retain_seen(l, info);
	else
		l->room = INT64_MAX;
	return l;
}

void
admit_reply(struct publish *p, struct slice type, const struct reply *r)
{
	struct stream_info info;
	enum bus_why why;
	struct fail f;

	admit_open(p, type, stream_take_info(r, &info, &why, &f) == 0 ? &info : NULL);
}

static int
ask(struct publish *p, struct slice type)
{
	struct reply *r;
	struct fail f;

	stream_put_info(p->b, lanes_get(&p->lanes, p->o->conf->prefix, type)->key);
	if (!(r = bus_wait(p->b, 0, &f))) {
		link_lost(p, &f);
		return -1;
	}
	admit_reply(p, type, r);
	reply_free(r);
	return 0;
}

int
admit_measure(struct publish *p, struct lane *l)
{
	struct buf words = { 0 };
	struct fail f;
	int r;

	retain_again(l);
	r = retain_ready(l, p->b, l->maxlen, false, &words, &f);
	if (words.len)
		publish_say(p, !p->said_retain, "%s", buf_str(&words));
	p->said_retain |= words.len > 0;
	buf_free(&words);
	if (r == -1 && bus_why(p->b) != BUS_FINE) {
		link_lost(p, &f);
		return -1;
	}
	if (r == -1)	/* of the whole server: the XADD will tell */
		l->room = 1;
	return l->stopped;
}

static void
note_stopped(struct publish *p, struct lane *l)
{
	bool full = l->why == BUS_FINE;

	l->held_till = when_mono() + PUBLISH_RETRY_MS;
	if (full)
		p->held = true;
	else
		publish_worse(p, bus_status(l->why));
	publish_say(p, !full || !p->sp, "'%s' is held: %s", l->type, l->reason);
}

int
admit_type(struct publish *p, struct slice type)
{
	struct lane *l = lanes_get(&p->lanes, p->o->conf->prefix, type);
	int r;

	if (l->opened && !l->stopped && l->room > 0)
		return 0;
	if (l->opened && l->stopped && !(l->acked && l->why == BUS_FINE && when_mono() >= l->held_till))
		return -1;
	link_await(p);
	if (!p->b)
		return -1;
	l = lanes_get(&p->lanes, p->o->conf->prefix, type);
	if (!l->opened && ask(p, type) == -1)
		return -1;
	if (l->room > 0 && !l->stopped)
		return 0;
	if ((r = admit_measure(p, l)) == 1)
		note_stopped(p, l);
	return r == 0 ? 0 : -1;
}

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backlog.h"
#include "batch.h"
#include "counters.h"
#include "drain.h"
#include "lane.h"
#include "names.h"
#include "outage.h"
#include "quarantine.h"
#include "roster.h"
#include "segment.h"
#include "settle.h"
#include "status.h"
#include "sweep.h"
#include "util.h"
#include "walk.h"
#include "when.h"

#define ROUNDS 3	/* how often plain writers' files are looked for anew */

struct drain {
	struct spool *sp;
	struct bus *b;
	const struct drain_options *o;
	struct drain_result *r;
	struct progress p;
	struct progress skips;	/* its late types: the first line of each left behind in this walk */
	struct intent old;	/* of a run that was cut off: to be settled */
	struct marks walked;
	struct lanes lanes;
	struct batch batch;
	struct walk *w;
	struct walk_line l;
	bool again;		/* l did not fit into the last batch */
	bool covers;		/* this walk began at the marks of the late types */
	struct quarantine *q;	/* synced before the marks move */
	struct sweep sweep;
	char *stem;		/* chain segment the walk is in */
	bool left_behind;	/* in it */
	bool whole;		/* walked from its beginning */
	int64_t started;
	uint64_t tried;		/* events handed to the server in this run */
};

/* --- words ----------------------------------------------------------------------- */

static void say(struct drain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct drain *d, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!d->o->say)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->o->say(d->o->arg, text);
}

/* --- lines left behind ------------------------------------------------------------ */

static struct mark *
source_mark(struct marks *m, bool chain, const char *stem)
{
	struct mark *k = chain ? &m->chain : marks_find(m, stem);

	return k && k->stem ? k : NULL;
}

static void
leave(struct drain *d, struct slice type, bool chain, const char *stem, uint64_t pos, uint64_t limit)
{
	struct marks *m = &progress_add_late(&d->skips, type.p, type.n)->at;

	if (!source_mark(m, chain, stem))
		mark_set(chain ? &m->chain : marks_get(m, stem), stem, pos, limit);
	if (!chain)
		return;
	if (d->stem && strcmp(d->stem, stem) == 0)
		d->left_behind = true;
	else
		sweep_dirty(&d->sweep, stem);
}

static int
into_quarantine(struct drain *d, const char *stem, uint64_t pos, struct slice line, const char *reason)
{
	uint64_t add[COUNTERS] = { [COUNT_QUARANTINED] = 1 };
	struct fail f;

	if (quarantine_add(d->q, stem, pos, reason, line, &f) == -1) {
		progress_add_broken(&d->p, stem);
		say(d, "quarantine: %s; the segment goes there whole", f.text);
	}
	d->r->quarantined++;
	counters_add(d->sp, add);
	say(d, "'%s' at %" PRIu64 ": %s: put into quarantine", stem, pos, reason);
	return 0;
}

/* --- reading a batch ----------------------------------------------------------------- */

static bool
before_upto(struct intent *old, const struct walk_line *l)
{
	struct mark *m = source_mark(&old->upto, l->chain, l->stem);

	return m && (l->chain ? mark_cmp(m, l->stem, l->pos) > 0 : m->pos > l->pos);
}

/* Whether somebody sent this line already and had no answer, and from where to look for it. */
static void
look_for_doubt(struct drain *d, struct batch_item *it)
{
	struct sent *s = d->old.on ? intent_sent(&d->old, it->line.e.type.p, it->line.e.type.n) : NULL;
	struct stream_id id;

	it->doubtful = false;
	it->after = (struct stream_id){ UINT64_MAX, UINT64_MAX };
	if (s && before_upto(&d->old, &d->l)) {
		it->doubtful = true;
		if (stream_id_parse(slice_of(s->after), &it->after) == -1)
			it->after = (struct stream_id){ 0, 0 };
	}
	if (it->line.in_doubt) {
		it->doubtful = true;
		if (stream_id_parse(slice_of(it->line.doubt.after), &id) == -1)
			id = (struct stream_id){ 0, 0 };
		if (stream_id_cmp(id, it->after) < 0)
			it->after = id;
	}
}

static int64_t
limit_of(const struct drain *d, const struct batch_item *it)
{
	if (it->line.maxlen >= 0)
		return it->line.maxlen;
	return d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, it->lane->type);
}

static bool
tries_held(const struct drain *d, const char *type)
{
	return d->o->all || (d->o->type && strcmp(d->o->type, type) == 0);
}

static struct lane *
lane_of(struct drain *d, struct slice type)
{
	struct lane *l = lanes_get(&d->lanes, d->o->conf->prefix, type);
	struct late *late;

	if (!l->opened && !l->stopped && (late = progress_late(&d->p, type.p, type.n)) &&
	    *late->reason && !tries_held(d, l->type))
		lane_stop(l, BUS_OTHER, late->reason);
	return l;
}

static void
pass_by(struct drain *d)
{
	struct marks *m = &d->walked;

	mark_set(d->l.chain ? &m->chain : marks_get(m, d->l.stem), d->l.stem, d->l.end, d->l.limit);
}

/* Chain segments that the walk leaves without leaving a line behind may go at once. */
static void
enter_segment(struct drain *d)
{
	if (!d->l.chain || (d->stem && strcmp(d->stem, d->l.stem) == 0))
		return;
	if (d->stem && d->whole && !d->left_behind)
		sweep_clean(&d->sweep, d->stem);
	free(d->stem);
	d->stem = util_strdup(d->l.stem);
	d->left_behind = false;
	d->whole = d->covers || d->l.pos == 0;
}

enum taken { TAKEN, PASSED, FULL };

/*
 * What to do with the line at hand: taken into the batch, passed by (delivered, left behind, bad), or the batch has no
 * room. -1 on failure.
 */
static int
take_line(struct drain *d, struct fail *f)
{
	struct batch_item *it = batch_next(&d->batch);
	struct event_line *el = &it->line;
	struct fail why;
	size_t i;

	if (d->l.text.n == 0 && !d->l.torn)
		return PASSED;	/* the newline that ended a torn piece */
	if (event_line_read(d->l.text.p, d->l.text.n, el, &it->text, &why) == -1 ||
	    (!names_legal(el->e.type.p, el->e.type.n) && fail_set(&why, 1, "not a legal event type"))) {
		struct mark *m = source_mark(&d->p.marks, d->l.chain, d->l.stem);

		if (m && (d->l.chain ? mark_cmp(m, d->l.stem, d->l.pos) > 0 : m->pos > d->l.pos))
			return PASSED;	/* in quarantine already */
		return into_quarantine(d, d->l.stem, d->l.pos, d->l.text, why.text) == -1 ? -1 : PASSED;
	}
	if (progress_delivered(&d->p, el->e.type.p, el->e.type.n, d->l.chain, d->l.stem, d->l.pos))
		return PASSED;
	it->lane = lane_of(d, el->e.type);
	for (i = 0; i < d->batch.n && d->batch.item[i].lane != it->lane; i++)
		;
	if (!it->lane->stopped && batch_full(&d->batch, el->e.payload.n))
		return FULL;
	if (!it->lane->stopped && it->lane->room <= 0 && it->lane->opened && i < d->batch.n)
		return FULL;	/* what is in the batch has to be added before room can be measured */
	if (lane_ready(it->lane, d->b, limit_of(d, it), d->o->force, f) == -1)
		return -1;
	if (it->lane->stopped) {
		leave(d, el->e.type, d->l.chain, d->l.stem, d->l.pos, d->l.limit);
		return PASSED;
	}
	batch_complete(it, d->l.text);
	look_for_doubt(d, it);
	it->stem = d->l.stem;
	it->chain = d->l.chain;
	it->pos = d->l.pos;
	it->limit = d->l.limit;
	it->state = BATCH_SEND;
	if (it->lane->room != INT64_MAX)
		it->lane->room--;
	batch_take(&d->batch);
	return TAKEN;
}

static bool
stopping(const struct drain *d)
{
	return d->o->stop && *d->o->stop;
}

static size_t
batch_room(const struct drain *d)
{
	size_t n = BATCH_LINES;

	if (d->o->rate && n > d->o->rate / 10 + 1)
		n = (size_t)(d->o->rate / 10 + 1);
	if (d->o->limit && n > d->o->limit - d->tried)
		n = (size_t)(d->o->limit - d->tried);
	return n;
}

/* 1 a batch or a part of one, 0 the walk has come to its end, -1. */
static int
fill(struct drain *d, bool *end, struct fail *f)
{
	size_t room = batch_room(d);
	int got = 1, r;

	*end = false;
	batch_reset(&d->batch);
	while (d->batch.n < room) {
		if (!d->again && (got = walk_next(d->w, &d->l, f)) != 1)
			break;
		d->again = false;
		enter_segment(d);
		if ((r = take_line(d, f)) == -1)
			return -1;
		if (r == FULL) {
			d->again = true;
			return 0;
		}
		pass_by(d);
	}
	*end = got == 0;
	return got == -1 ? -1 : 0;
}

/* --- what is in doubt ------------------------------------------------------------------- */

/* The connections that sent the doubtful lines may still have them executed: stop that first. */
static int
fence(struct drain *d, struct fail *f)
{
	const struct doubt *last = NULL, *now;
	size_t i;

	for (i = 0; i < d->batch.n; i++) {
		if (!d->batch.item[i].line.in_doubt)
			continue;
		now = &d->batch.item[i].line.doubt;
		if (last && last->client == now->client && strcmp(last->run_id, now->run_id) == 0)
			continue;
		if (stream_fence(d->b, now->run_id, now->client, now->addr, f) == -1)
			return -1;
		last = now;
	}
	return 0;
}

static int
settle_lane(struct drain *d, struct lane *lane, struct fail *f)
{
	struct settle_line *lines = util_alloc((d->batch.n + 1) * sizeof *lines);
	struct stream_id after = { UINT64_MAX, UINT64_MAX };
	uint64_t unsure;
	size_t i, n = 0;
	int r;

	for (i = 0; i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (it->lane != lane || !it->doubtful)
			continue;
		lines[n++].event_id = it->line.e.event_id;
		if (stream_id_cmp(it->after, after) < 0)
			after = it->after;
	}
	r = settle(d->b, lane->key, after, lines, n, &unsure, f);
	for (i = 0, n = 0; r == 0 && i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (it->lane != lane || !it->doubtful)
			continue;
		if (lines[n++].found) {
			it->state = BATCH_FOUND;
			d->r->found++;
		}
		it->doubtful = false;
	}
	if (r == 0)
		d->r->doubles += unsure;
	free(lines);
	return r;
}

static int
settle_all(struct drain *d, struct fail *f)
{
	size_t i;

	if (fence(d, f) == -1)
		return -1;
	for (i = 0; i < d->batch.n; i++)
		if (d->batch.item[i].doubtful && settle_lane(d, d->batch.item[i].lane, f) == -1)
			return -1;
	return 0;
}

/* --- sending ------------------------------------------------------------------------------- */

static void
intend_type(struct intent *in, const struct lane *lane)
{
	struct sent *s;

	if (intent_sent(in, lane->type, strlen(lane->type)))
		return;		/* an older bound, still needed, or the lane is there already */
	in->sent = util_realloc(in->sent, (in->types + 1) * sizeof *in->sent);
	s = &in->sent[in->types++];
	s->type = util_strdup(lane->type);
	stream_id_format(lane->after, s->after);
}

/* What the old intent did not settle yet stays part of the new one: it is looked up from its older bound. */
static int
record(struct drain *d, bool sending, struct fail *f)
{
	struct intent *in = &d->p.intent;
	size_t i;

	intent_clear(in);
	if (sending || d->old.on) {
		in->on = true;
		snprintf(in->run_id, sizeof in->run_id, "%s", bus_run_id(d->b));
		in->client = bus_client_id(d->b);
		snprintf(in->addr, sizeof in->addr, "%s", bus_addr(d->b));
		for (i = 0; i < d->old.types; i++) {
			in->sent = util_realloc(in->sent, (in->types + 1) * sizeof *in->sent);
			in->sent[in->types] = d->old.sent[i];
			in->sent[in->types++].type = util_strdup(d->old.sent[i].type);
		}
		for (i = 0; i < d->batch.n; i++)
			if (d->batch.item[i].state == BATCH_SEND)
				intend_type(in, d->batch.item[i].lane);
		marks_copy(&in->upto, &d->walked);
		if (d->old.on && d->old.upto.chain.stem &&
		    mark_cmp(&in->upto.chain, d->old.upto.chain.stem, d->old.upto.chain.pos) < 0)
			mark_set(&in->upto.chain, d->old.upto.chain.stem, d->old.upto.chain.pos, 0);
		for (i = 0; d->old.on && i < d->old.upto.files; i++) {
			struct mark *o = &d->old.upto.file[i], *m = marks_get(&in->upto, o->stem);

			if (m->pos < o->pos)
				mark_set(m, o->stem, o->pos, o->limit);
		}
	}
	if (quarantine_sync(d->q, f) == -1)
		return -1;
	return progress_store(d->sp, &d->p, f);
}

static void
send_one(struct drain *d, struct batch_item *it)
{
	struct slice kv[2 * EVENT_FIELDS];

	event_fields(&it->line.e, kv);
	stream_put_add(d->b, it->lane->key, it->lane->mode == LANE_PLAIN ? limit_of(d, it) : 0, kv, 2 * EVENT_FIELDS);
}

/* An event that the server will never take. */
static int
refuse_for_good(struct drain *d, struct batch_item *it, const char *why)
{
	struct buf line = { 0 };

	event_line_head(&line, &it->line.e);
	buf_addc(&line, '}');
	it->state = BATCH_FOUND;
	into_quarantine(d, it->stem, it->pos, (struct slice){ line.p, line.len }, why);
	buf_free(&line);
	return 0;
}

/* 0, or -1 when the connection is gone. `worst` remembers a refusal by the whole server. */
static int
take_answer(struct drain *d, struct batch_item *it, enum bus_why *worst, struct fail *f)
{
	struct reply *rep = bus_wait(d->b, 0, f);
	struct stream_id id;
	struct fail why;

	if (!rep) {
		if (bus_why(d->b) == BUS_TOOBIG)
			refuse_for_good(d, it, f->text);
		return -1;
	}
	it->why = BUS_FINE;
	if (stream_take_add(rep, &id, &it->why, &why) == 0) {
		it->state = BATCH_ADDED;
		it->lane->after = id;
		d->r->replayed++;
		if (it->lane->stopped) {
			progress_add_done(&d->p, it->stem, it->pos);
			say(d, "'%s': an event was taken after an earlier one of its type was refused: they are out of order",
			    it->lane->type);
		}
		reply_free(rep);
		return 0;
	}
	reply_free(rep);
	if (it->why == BUS_GARBAGE) {
		*f = why;
		*worst = BUS_GARBAGE;
		return 0;
	}
	it->state = BATCH_REFUSED;
	if (it->why == BUS_TOOBIG)
		return refuse_for_good(d, it, why.text);
	leave(d, it->line.e.type, it->chain, it->stem, it->pos, it->limit);
	if (it->why == BUS_LATER || it->why == BUS_READONLY || it->why == BUS_MOVED || it->why == BUS_DENIED) {
		lane_stop(it->lane, it->why, "");
		*worst = it->why;
		*f = why;
	} else
		lane_stop(it->lane, it->why, why.text);
	return 0;
}

static int
send_batch(struct drain *d, enum bus_why *worst, struct fail *f)
{
	size_t i;

	for (i = 0; i < d->batch.n; i++)
		if (d->batch.item[i].state == BATCH_SEND) {
			send_one(d, &d->batch.item[i]);
			d->tried++;
		}
	for (i = 0; i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (it->state == BATCH_SEND) {
			if (take_answer(d, it, worst, f) == -1)
				return -1;
		} else if (it->state == BATCH_FOUND && it->lane->stopped)
			progress_add_done(&d->p, it->stem, it->pos);
	}
	return 0;
}

/* --- moving the marks ---------------------------------------------------------------------- */

static int
mark_order(const struct mark *a, const struct mark *b, bool chain)
{
	return chain ? mark_cmp(a, b->stem, b->pos) : a->pos < b->pos ? -1 : a->pos > b->pos;
}

/* What a late type's mark becomes after this walk came to `walked` in this source; see progress.h. */
static void
move_late(struct drain *d, struct late *l, bool chain, const struct mark *walked, const struct mark *main)
{
	const char *stem = walked->stem;
	struct mark *at = source_mark(&l->at, chain, stem), *left = NULL, to;
	struct late *s = progress_late(&d->skips, l->type, strlen(l->type));

	if (s)
		left = source_mark(&s->at, chain, stem);
	if (left && (d->covers || !at)) {
		to = *left;
		mark_set(chain ? &l->at.chain : marks_get(&l->at, to.stem), to.stem, to.pos, to.limit);
	} else if (at && d->covers && mark_order(walked, at, chain) > 0) {
		if (mark_order(walked, main, chain) >= 0) {
			if (chain)
				mark_clear(at);
			else
				marks_drop(&l->at, stem);
		} else
			mark_set(at, stem, walked->pos, walked->limit);
	}
}

static void
move_source(struct drain *d, bool chain, const struct mark *walked)
{
	struct mark *main = chain ? &d->p.marks.chain : marks_get(&d->p.marks, walked->stem);
	size_t i;

	if (!main->stem || mark_order(main, walked, chain) < 0 || (!chain && walked->limit != main->limit))
		mark_set(main, walked->stem, walked->pos, walked->limit);
	for (i = 0; i < d->p.lates; i++)
		move_late(d, &d->p.late[i], chain, walked, main);
}

static void
note_reasons(struct drain *d)
{
	size_t i;

	for (i = d->p.lates; i-- > 0; ) {
		struct late *late = &d->p.late[i];
		struct lane *lane = lanes_find(&d->lanes, late->type);

		if (marks_none(&late->at)) {
			progress_drop_late(&d->p, late);
			continue;
		}
		if (!lane || (lane->stopped && !lane->opened && lane->why == BUS_OTHER))
			continue;	/* not tried in this run */
		free(late->reason);
		late->reason = util_strdup(lane->stopped ? lane->reason : "");
		late->tried = when_now();
	}
}

static void
move_marks(struct drain *d)
{
	size_t i;

	for (i = 0; i < d->skips.lates; i++)
		progress_add_late(&d->p, d->skips.late[i].type, strlen(d->skips.late[i].type));
	if (d->walked.chain.stem)
		move_source(d, true, &d->walked.chain);
	for (i = 0; i < d->walked.files; i++)
		move_source(d, false, &d->walked.file[i]);
	note_reasons(d);
	while (!d->p.lates && d->p.dones)
		free(d->p.done[--d->p.dones].stem);
}

/* Whether everything that the old intent names has been walked past. */
static void
forget_old(struct drain *d)
{
	struct marks *u = &d->old.upto;
	struct mark *m;
	size_t i;

	if (!d->old.on)
		return;
	for (i = 0; i < d->old.types; i++)	/* what was left behind is not settled */
		if (progress_late(&d->skips, d->old.sent[i].type, strlen(d->old.sent[i].type)))
			return;
	if (u->chain.stem && (!d->walked.chain.stem || mark_cmp(&d->walked.chain, u->chain.stem, u->chain.pos) < 0))
		return;
	for (i = 0; i < u->files; i++)
		if (!(m = marks_find(&d->walked, u->file[i].stem)) || m->pos < u->file[i].pos)
			return;
	intent_clear(&d->old);
}

/* --- the run --------------------------------------------------------------------------------- */

static void
pace(struct drain *d)
{
	int64_t due, ms;

	if (!d->o->rate)
		return;
	due = d->started + (int64_t)(d->tried * 1000 / d->o->rate);
	while (!stopping(d) && (ms = due - when_mono()) > 0)
		nanosleep(&(struct timespec){ 0, (ms > 100 ? 100 : ms) * 1000000 }, NULL);
}

static bool
over_budget(const struct drain *d)
{
	return stopping(d) || (d->o->limit && d->tried >= d->o->limit) ||
	    (d->o->budget_ms && when_mono() - d->started >= d->o->budget_ms);
}

static bool
any_to_send(const struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->item[i].state == BATCH_SEND)
			return true;
	return false;
}

/* What was answered before the run has to end counts. */
static int
give_up(struct drain *d, struct fail *f)
{
	struct fail keep = *f;

	if (record(d, false, f) == 0)
		*f = keep;
	return -1;
}

/* One batch. 1 go on, 0 the walk is at its end, -1. */
static int
step(struct drain *d, struct fail *f)
{
	enum bus_why worst = BUS_FINE;
	char *was = d->stem ? util_strdup(d->stem) : NULL;
	bool end, moved;

	if (fill(d, &end, f) == -1 || settle_all(d, f) == -1 ||
	    (any_to_send(&d->batch) && record(d, true, f) == -1) ||
	    (send_batch(d, &worst, f) == -1 && !(d->batch.n == 1 && bus_why(d->b) == BUS_TOOBIG))) {
		free(was);
		return -1;
	}
	if (bus_why(d->b) != BUS_FINE)
		worst = bus_why(d->b);
	move_marks(d);
	forget_old(d);
	intent_clear(&d->p.intent);
	moved = was && d->stem && strcmp(was, d->stem) != 0;
	free(was);
	if (d->o->tick)
		d->o->tick(d->o->arg, d->r->replayed + d->r->found);
	if (worst != BUS_FINE)
		return give_up(d, f);
	if ((moved || end) && record(d, false, f) == -1)
		return -1;
	if ((moved || end) && sweep_run(&d->sweep, d->sp, d->q, &d->p, d->w, end, d->o->limits->lock_ms, f) == -1)
		return -1;
	return !end;
}

static bool
wants_late(const struct drain *d)
{
	size_t i;

	for (i = 0; i < d->p.lates; i++) {
		struct lane *l = lane_of((struct drain *)(uintptr_t)d, slice_of(d->p.late[i].type));

		if (!l->stopped)
			return true;
	}
	return false;
}

/* Once every late type has been refused again there is nothing to be had before the main marks. */
static bool
only_stopped(const struct drain *d)
{
	return d->covers && d->p.lates && !wants_late(d) && !d->old.on &&
	    d->walked.chain.stem && d->p.marks.chain.stem &&
	    mark_cmp(&d->walked.chain, d->p.marks.chain.stem, d->p.marks.chain.pos) < 0;
}

static int
open_walk(struct drain *d, struct fail *f)
{
	walk_close(d->w);
	progress_free(&d->skips);
	marks_clear(&d->walked);
	free(d->stem);
	d->stem = NULL;
	d->again = false;
	d->covers = wants_late(d) || d->old.on;
	d->w = walk_open(d->sp, &d->p, WALK_SYNC | (d->covers ? WALK_LATE : 0), backlog_stamp, f);
	return d->w ? 0 : -1;
}

/* One walk through what is there. */
static int
pass(struct drain *d, struct fail *f)
{
	const char *name;
	int r = open_walk(d, f);

	if (r == -1)
		return -1;
	for (r = 1; r == 1 && !over_budget(d); pace(d))
		if ((r = step(d, f)) == 1 && only_stopped(d) && open_walk(d, f) == -1)
			return -1;
	if ((name = walk_disorder(d->w)))
		say(d, "'%s': lines further out of order than %d: given in the order of their window", name, WALK_WINDOW);
	if (r == 1 && record(d, false, f) == -1)
		return -1;
	return r;
}

static int
claim(struct drain *d, size_t *claimed, bool *resting, struct fail *f)
{
	int64_t rest;

	if (walk_claim(d->sp, &d->p, &rest, claimed, f) == -1)
		return -1;
	/* The number of the last claim must not come again, whatever happens. */
	if (*claimed && progress_prepare(d->sp, f) == 0 && progress_store(d->sp, &d->p, f) == -1)
		return -1;
	*resting = rest > 0 && !d->o->all;
	for (; rest > 0 && d->o->all && !stopping(d); rest -= 50)
		nanosleep(&(struct timespec){ 0, (rest > 50 ? 50 : rest) * 1000000 }, NULL);
	return 0;
}

/* What is left, seen after everything. */
static int
judge(struct drain *d, struct fail *f)
{
	struct segment *list;
	size_t i, n;
	char **gone;

	if (segment_list(spool_fd(d->sp), &list, &n, f) == -1)
		return -1;
	d->r->left = false;
	for (i = 0; i < n; i++)
		if (list[i].odd)
			say(d, "'%s' is no regular file with one link: left alone", list[i].name);
		else
			d->r->left = true;
	roster_missing(d->sp, list, n, &gone, &i);
	while (i) {
		say(d, "segment '%s' has vanished with undelivered events", gone[--i]);
		free(gone[i]);
		d->r->status = STATUS_UNSAFE;
	}
	free(gone);
	free(list);
	for (i = 0; i < d->p.lates; i++)
		if (*d->p.late[i].reason) {
			d->r->held++;
			say(d, "'%s' is held: %s", d->p.late[i].type, d->p.late[i].reason);
		}
	if (d->r->quarantined)
		d->r->status = status_worse(d->r->status, STATUS_SOME);
	if (d->r->left)
		d->r->status = status_worse(d->r->status, STATUS_AGAIN);
	return 0;
}

static int
rounds(struct drain *d, struct fail *f)
{
	size_t claimed = 0;
	bool resting = false, holds;
	uint64_t before;
	int i, r;

	for (i = 0; ; i++) {
		before = d->r->replayed + d->r->found + d->r->quarantined;
		claimed = 0;
		if (i < ROUNDS && claim(d, &claimed, &resting, f) == -1)
			return -1;
		if (resting)
			return 0;	/* a plain writer's file is not ready, and what is ours may belong behind it */
		if ((r = pass(d, f)) != 0)
			return r == -1 ? -1 : 0;
		if (over_budget(d) || backlog_clear(d->sp, "", &holds, f) == 1)
			return 0;
		if (i > 0 && !claimed && before == d->r->replayed + d->r->found + d->r->quarantined)
			return 0;	/* what is left will not go now */
	}
}

static int
begin(struct drain *d, struct fail *f)
{
	struct intent *in = &d->p.intent;

	progress_load(d->sp, &d->p);
	if (in->on) {
		if (stream_fence(d->b, in->run_id, in->client, in->addr, f) == -1)
			return -1;
		d->old = *in;
		memset(in, 0, sizeof *in);
	}
	return outage_over(d->sp, d->o->target, d->o->limits, d->o->conf->service, f);
}

int
drain_run(struct spool *sp, struct bus *b, const struct drain_options *o, struct drain_result *res, struct fail *f)
{
	struct drain d = { .sp = sp, .b = b, .o = o, .r = res, .started = when_mono() };
	struct lane *own;
	int r;

	memset(res, 0, sizeof *res);
	batch_init(&d.batch);
	d.q = quarantine_open(sp);
	r = begin(&d, f);
	if (r == 0)
		r = rounds(&d, f);
	if (r == 0)
		r = judge(&d, f);
	if (o->type && (own = lanes_find(&d.lanes, o->type)) && own->stopped)
		res->refused = own->why;
	counters_add(sp, (uint64_t[COUNTERS]){ [COUNT_REPLAYED] = res->replayed, [COUNT_DOUBLES] = res->doubles });
	walk_close(d.w);
	batch_free(&d.batch);
	quarantine_close(d.q);
	lanes_free(&d.lanes);
	sweep_free(&d.sweep);
	marks_clear(&d.walked);
	progress_free(&d.p);
	progress_free(&d.skips);
	intent_clear(&d.old);
	free(d.stem);
	return r;
}

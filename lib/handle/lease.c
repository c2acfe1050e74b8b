#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "handle/handle_int.h"
#include "redis/stream.h"

/* Others' claims come a minute after our last renewal at the earliest, unless they have another
 * --claim-idle. */
#define RENEW_WITHOUT 60000

static int64_t
claim_idle(const struct handle *w)
{
	return w->plan->claim_idle > 0 ? w->plan->claim_idle : RENEW_WITHOUT;
}

/* --- what is gone ------------------------------------------------------------ */

static void
looked_up(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	char id[ID_SIZE];

	if (!reply_is_array(r) || reply_count(r) > 0)
		return;
	p->w->count->lost++;
	id_format(a->ids[0], id);
	handle_note(p->w, SUB_WARNING, "'%s' %s is lost: trimmed or deleted before it was handled",
	    sub_type(p->sub), id);
}

void
lease_check_lost(struct handle *w, struct handle_stream *p, const struct stream_id *ids, size_t n)
{
	char text[ID_SIZE];

	for (size_t i = 0; i < n && w->control.conn != NULL; i++) {
		struct stream_id *id = mem_alloc(sizeof(*id));

		*id = ids[i];
		id_format(*id, text);
		stream_put_range(w->control.conn, sub_key(p->sub), text, text, 1);
		control_expect(&w->control,
		    (struct control_request){
		        .answer = looked_up, .arg = p, .ids = id, .n = 1, .takes_errors = true});
	}
}

/* --- taking over --------------------------------------------------------------- */

struct taking {
	struct stream_id id[HANDLE_PAGE];
	uint64_t attempts[HANDLE_PAGE];
	size_t n;
};

static void
hold(struct handle_stream *p, struct stream_id id, uint64_t attempts)
{
	struct job *j = jobset_add(&p->w->jobs, &p->queue, id, attempts);

	if (j == NULL || attempts < p->w->plan->max_deliveries)
		return;
	/* It was begun for the last time, and whoever ran it did not live to say how it ended. */
	job_set_failure(j, "its reader ended before it did", (struct slice){0});
	job_set_state(&p->w->jobs, j, JOB_DEAD);
}

/* number: the attempts of all of them. How many are ours now. */
static uint64_t
take_in(const struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	uint64_t n = 0;

	p->expected -= a->n;
	for (size_t i = 0; i < a->n && r != NULL; i++) {
		struct stream_id id;

		if (id_parse(reply_text(reply_at(r, (size_t)n)), &id) == 0 &&
		    id_cmp(id, a->ids[i]) == 0) {
			n++;
			hold(p, id, (uint64_t)a->number);
		} else
			lease_check_lost(p->w, p, &a->ids[i], 1);
	}
	return n;
}

static void
taken(struct control_request *a, struct reply *r)
{
	((struct handle_stream *)a->arg)->w->count->taken += take_in(a, r);
}

static void
kept(struct control_request *a, struct reply *r)
{
	(void)take_in(a, r);
}

/* What lay idle for so long without being held by us may be another's in a moment: it is claimed
 * before it is held. */
static int64_t
long_idle(const struct handle_stream *p)
{
	return p->w->plan->claim_idle / (p->stage == STAGE_OWN ? 2 : 1);
}

/* Those that have the same count, by one command: of others' consumers, whose counts mean nothing
 * to us, it is set. */
static void
take(struct handle_stream *p, const struct taking *t, size_t from, size_t n, bool ours)
{
	struct handle *w = p->w;
	struct stream_id *ids = mem_alloc(n * sizeof(*ids));
	struct pending_claim c = {.key = sub_key(p->sub),
	    .group = sub_group(p->sub),
	    .consumer = w->plan->consumer,
	    .min_idle = long_idle(p),
	    .deliveries = ours ? -1 : 1};

	for (size_t i = 0; i < n; i++)
		ids[i] = t->id[from + i];
	pending_put_claim(w->control.conn, &c, ids, n);
	p->expected += n;
	control_expect(&w->control,
	    (struct control_request){.answer = p->stage == STAGE_OWN ? kept : taken,
	        .arg = p,
	        .ids = ids,
	        .n = n,
	        .number = (int64_t)t->attempts[from]});
}

static void
take_all(struct handle_stream *p, const struct taking *t, bool ours)
{
	for (size_t from = 0, n; from < t->n; from += n) {
		for (n = 1; from + n < t->n && t->attempts[from + n] == t->attempts[from]; n++)
			;
		take(p, t, from, n, ours);
	}
}

static uint64_t
attempts_of(const struct pending *e)
{
	return pending_is_ebsub_consumer(e->consumer) && e->deliveries > 0
	    ? (uint64_t)e->deliveries - 1
	    : 0;
}

/* --- listing ---------------------------------------------------------------------- */

void
lease_relist_own(struct handle_stream *p)
{
	p->stage = STAGE_OWN;
	p->round++;
	p->listing = false;
	p->cursor = (struct stream_id){0};
}

static void
listed_to_end(struct handle_stream *p)
{
	int64_t idle = p->w->plan->claim_idle;

	if (p->stage == STAGE_TAKEOVER) {
		p->swept = true;
		p->stage = STAGE_IDLE;
		return;
	}
	p->stage = idle > 0 ? STAGE_TAKEOVER : STAGE_IDLE;
	p->their_turn = true;
	p->swept = p->swept || idle == 0;
	p->cursor = (struct stream_id){0};
	p->next_sweep = clock_mono() + idle;
}

static void
listed(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	struct taking mine = {.n = 0}, theirs = {.n = 0};
	struct pending e;

	p->expected -= a->n;
	if (a->number != p->round)
		return;
	p->listing = false;
	if (r == NULL)
		return;
	for (size_t i = 0; i < reply_count(r) && pending_parse(r, i, &e) == 0; i++) {
		struct taking *t = pending_is_ebsub_consumer(e.consumer) ? &mine : &theirs;

		p->cursor = e.id;
		if (jobset_find(&p->w->jobs, &p->queue, e.id) != NULL)
			continue;
		if (p->stage == STAGE_OWN && (e.idle < long_idle(p) || p->w->plan->claim_idle == 0))
			hold(p, e.id, attempts_of(&e));
		else {
			t->id[t->n] = e.id;
			t->attempts[t->n++] = attempts_of(&e);
		}
	}
	take_all(p, &mine, true);
	take_all(p, &theirs, false);
	if (reply_count(r) < a->n)
		listed_to_end(p);
}

static void
list_more(struct handle_stream *p, size_t n)
{
	struct handle *w = p->w;
	char id[ID_SIZE + 1] = "(";
	bool own = p->stage == STAGE_OWN;

	id_format(p->cursor, id + 1);
	pending_put_list(w->control.conn, sub_key(p->sub), sub_group(p->sub),
	    own ? 0 : w->plan->claim_idle, id, n, own ? w->plan->consumer : NULL);
	p->listing = true;
	p->expected += n;
	control_expect(&w->control,
	    (struct control_request){.answer = listed, .arg = p, .n = n, .number = p->round});
}

/* Nothing is listed while the tap is being asked: what it brings is pending with us before we know
 * of it. */
static void
list_post(struct handle_stream *p)
{
	struct handle *w = p->w;
	size_t room = handle_room(w);

	if (p->stage == STAGE_IDLE && w->plan->claim_idle > 0 && clock_mono() >= p->next_sweep) {
		p->stage = STAGE_TAKEOVER;
		p->their_turn = true;
		p->cursor = (struct stream_id){0};
		p->next_sweep = clock_mono() + w->plan->claim_idle;
	}
	if (p->listing || p->stage == STAGE_IDLE || sub_state(p->sub) != SUB_IDLE)
		return;
	if (room == 0 || (p->stage == STAGE_TAKEOVER && !p->their_turn))
		return;
	p->their_turn = false;
	list_more(p, room < HANDLE_PAGE ? room : HANDLE_PAGE);
}

void
lease_list_pending(struct handle *w)
{
	for (size_t i = 0; i < w->plan->n && w->control.conn != NULL && !w->ending; i++)
		list_post(&w->posts[i]);
}

/* --- a group that was made again ------------------------------------------------------- */

static void
forced(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	struct job *j = jobset_find(&p->w->jobs, &p->queue, a->ids[0]);

	p->forcing--;
	if (reply_count(r) > 0 || !reply_is_array(r) || j == NULL ||
	    (j->state != JOB_READY && j->state != JOB_WAITING))
		return;
	lease_check_lost(p->w, p, a->ids, 1);
	handle_release(p->w, j);
}

/* The new group begins behind what was given out, and knows nothing of what we hold. */
static void
force(void *arg, struct job *j)
{
	struct handle_stream *p = arg;
	struct handle *w = p->w;
	struct pending_claim c = {.key = sub_key(p->sub),
	    .group = sub_group(p->sub),
	    .consumer = w->plan->consumer,
	    .deliveries = (int64_t)j->attempts + 1,
	    .force = true};
	struct stream_id *id;

	if (handle_stream_of(j) != p || j->state == JOB_DONE || j->stale)
		return;
	id = mem_alloc(sizeof(*id));
	*id = j->id;
	pending_put_claim(w->control.conn, &c, id, 1);
	p->forcing++;
	control_expect(
	    &w->control, (struct control_request){.answer = forced, .arg = p, .ids = id, .n = 1});
}

void
lease_restore(struct handle *w)
{
	for (size_t i = 0; i < w->plan->n && w->control.conn != NULL; i++) {
		struct handle_stream *p = &w->posts[i];

		if (p->remade == sub_group_recreations(p->sub))
			continue;
		p->remade = sub_group_recreations(p->sub);
		jobset_each(&w->jobs, force, p);
	}
}

/* --- keeping what we hold ------------------------------------------------------------ */

static void
not_ours(struct handle *w, struct handle_stream *p, struct stream_id id)
{
	struct job *j = jobset_find(&w->jobs, &p->queue, id);

	if (j == NULL)
		return;
	if (j->state == JOB_RUNNING)
		j->stale = true;
	else if ((j->state == JOB_READY || j->state == JOB_WAITING) && p->forcing == 0) {
		lease_check_lost(w, p, &id, 1);
		handle_release(w, j);
	}
}

static void
renewed(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	struct handle *w = p->w;
	size_t at = 0;

	if (--w->renewing == 0 && r != NULL)
		w->renewed = w->renew_sent;
	for (size_t i = 0; i < a->n && reply_is_array(r); i++) {
		struct stream_id id;

		if (id_parse(reply_text(reply_at(r, at)), &id) == 0 && id_cmp(id, a->ids[i]) == 0)
			at++;
		else
			not_ours(w, p, a->ids[i]);
	}
}

struct collecting {
	struct handle_stream *p;
	struct stream_id *ids;
	size_t n;
};

static void
renew_some(struct collecting *c)
{
	struct handle *w = c->p->w;
	struct pending_claim claim = {.key = sub_key(c->p->sub),
	    .group = sub_group(c->p->sub),
	    .consumer = w->plan->consumer,
	    .deliveries = -1};

	if (c->n == 0) {
		free(c->ids);
		c->ids = NULL;
		return;
	}
	pending_put_claim(w->control.conn, &claim, c->ids, c->n);
	w->renewing++;
	control_expect(&w->control,
	    (struct control_request){.answer = renewed, .arg = c->p, .ids = c->ids, .n = c->n});
	c->ids = NULL;
	c->n = 0;
}

static void
collect(void *arg, struct job *j)
{
	struct collecting *c = arg;

	if (handle_stream_of(j) != c->p || j->state == JOB_DONE || j->stale)
		return;
	if (c->ids == NULL)
		c->ids = mem_alloc(HANDLE_PAGE * sizeof(*c->ids));
	c->ids[c->n++] = j->id;
	if (c->n == HANDLE_PAGE)
		renew_some(c);
}

static void
renew_all(struct handle *w)
{
	w->renew_sent = clock_mono();
	w->next_renewal = w->renew_sent + claim_idle(w) / 3;
	for (size_t i = 0; i < w->plan->n; i++) {
		struct collecting c = {.p = &w->posts[i]};

		jobset_each(&w->jobs, collect, &c);
		renew_some(&c);
	}
	if (w->renewing == 0)
		w->renewed = w->renew_sent;
}

/* Nobody took over what runs: it is renewed again. */
static void
looked_whose(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	struct job *j = jobset_find(&p->w->jobs, &p->queue, a->ids[0]);
	struct pending e;

	if (j == NULL || pending_parse(r, 0, &e) == -1 || id_cmp(e.id, j->id) != 0)
		return;
	j->stale = false;
	p->w->next_renewal = 0;
}

/* What was not renewed in time may be another's: it is forgotten, and what is still pending with us
 * listed again. */
static void
forget(void *arg, struct job *j)
{
	struct handle *w = arg;
	struct handle_stream *p = handle_stream_of(j);
	struct stream_id *id;
	char text[ID_SIZE];

	if (j->state == JOB_READY || j->state == JOB_WAITING)
		handle_release(w, j);
	else if (j->state == JOB_CLAIMING)
		j->stale = true;
	else if (j->state == JOB_RUNNING) {
		j->stale = true;
		id = mem_alloc(sizeof(*id));
		*id = j->id;
		id_format(j->id, text);
		pending_put_list(w->control.conn, sub_key(p->sub), sub_group(p->sub), 0, text, 1,
		    w->plan->consumer);
		control_expect(&w->control,
		    (struct control_request){.answer = looked_whose, .arg = p, .ids = id, .n = 1});
	}
}

static void
overslept(struct handle *w)
{
	jobset_each(&w->jobs, forget, w);
	for (size_t i = 0; i < w->plan->n; i++)
		lease_relist_own(&w->posts[i]);
	w->renewed = clock_mono();
}

void
lease_renew(struct handle *w)
{
	if (w->control.conn == NULL)
		return;
	if (clock_mono() - w->renewed > claim_idle(w))
		overslept(w);
	if (w->renewing == 0 && clock_mono() >= w->next_renewal)
		renew_all(w);
}

int64_t
lease_next_due(const struct handle *w)
{
	int64_t by = w->renewing == 0 ? w->next_renewal : -1;

	if (w->control.conn == NULL)
		return -1;
	for (size_t i = 0; i < w->plan->n && !w->ending; i++)
		if (w->plan->claim_idle > 0 && w->posts[i].stage == STAGE_IDLE &&
		    (by == -1 || w->posts[i].next_sweep < by))
			by = w->posts[i].next_sweep;
	return by;
}

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "event/names.h"
#include "handle/handle_int.h"
#include "redis/group.h"
#include "redis/stream.h"

static struct pending_claim
claim_of(const struct handle_stream *p, int64_t deliveries, bool bodies)
{
	return (struct pending_claim){.key = sub_key(p->sub),
	    .group = sub_group(p->sub),
	    .consumer = p->w->plan->consumer,
	    .deliveries = deliveries,
	    .bodies = bodies};
}

static void
id_word(const struct job *j, char out[NAMES_MAX + ID_SIZE + 8])
{
	char id[ID_SIZE];

	id_format(j->id, id);
	snprintf(out, NAMES_MAX + ID_SIZE + 8, "'%s' %s", sub_type(handle_stream_of(j)->sub), id);
}

/* --- beginnings ------------------------------------------------------------ */

static int64_t
wait(struct handle *w, struct job *j)
{
	int64_t ms;

	if (j->pause.first == 0)
		j->pause =
		    (struct backoff){.first = w->plan->retry_base, .max = w->plan->retry_max};
	ms = backoff_next(&j->pause);
	j->when = clock_mono() + ms;
	job_set_state(&w->jobs, j, JOB_WAITING);
	return ms;
}

/* The record of an entry that we have; false: it is gone. */
static bool
record_of(const struct job *j, struct record *r, struct bytes *kv)
{
	const struct handle_stream *p = handle_stream_of(j);
	bool gone;

	*r = (struct record){
	    .stream = slice_of(sub_key(p->sub)), .type = slice_of(sub_type(p->sub))};
	if (j->entry == NULL || stream_parse_entry(j->entry, &r->id, kv, &gone) == -1 || gone)
		return false;
	r->kv = (const void *)kv->p;
	r->nkv = kv->len / sizeof(*r->kv);
	r->deliveries = (int64_t)j->attempts;
	return true;
}

static void
run(struct handle *w, struct job *j)
{
	struct runner *h = &w->runners[j->hand];
	struct bytes kv = {0};
	struct record r;

	j->attempts++;
	if (!record_of(j, &r, &kv)) {
		runner_release(h);
		lease_check_lost(w, handle_stream_of(j), &j->id, 1);
		handle_release(w, j);
	} else {
		job_set_state(&w->jobs, j, JOB_RUNNING);
		if (w->ending)
			attempt_finish(w, j, OUTCOME_UNDONE, "", (struct slice){0});
		else
			runner_start(h, j, &r);
	}
	bytes_free(&kv);
}

/*
 * Not ours, or not begun: no answer, and it is READY again; the group is gone, or was just made
 * again, and it waits until it is pending there (lease_restore); else it was acknowledged by hand,
 * taken by another, or is gone from the stream.
 */
static void
not_begun(struct handle *w, struct job *j, const struct reply *r)
{
	struct handle_stream *p = handle_stream_of(j);

	runner_release(&w->runners[j->hand]);
	if (r == NULL)
		job_set_state(&w->jobs, j, JOB_READY);
	else if (!j->stale && (reply_is_error(r) || p->forcing > 0))
		wait(w, j);
	else {
		lease_check_lost(w, p, &j->id, 1);
		handle_release(w, j);
	}
}

/* The answer has those that are ours, in order: entries, or IDs where we have the entries. */
static void
begun(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	struct handle *w = p->w;
	struct shared_reply *b = NULL;
	size_t at = 0;

	if (r != NULL && a->number != 0) {
		b = shared_reply_new(r);
		a->kept = true;
	}
	for (size_t i = 0; i < a->n; i++) {
		struct job *j = a->jobs[i];
		const struct reply *e = reply_at(r, at);
		struct stream_id id;

		if (id_parse(reply_text(b != NULL ? reply_at(e, 0) : e), &id) == -1 ||
		    id_cmp(id, j->id) != 0) {
			not_begun(w, j, r);
			continue;
		}
		at++;
		if (b != NULL)
			job_set_entry(j, b, e);
		if (j->stale)
			not_begun(w, j, r);
		else
			run(w, j);
	}
	shared_reply_unref(b);
}

/* Those at the head of the queue that are alike, at most as many as can run now: one command for
 * them all. */
static bool
begin_some(struct handle_stream *p)
{
	struct handle *w = p->w;
	struct job *first = p->queue.ready.first, **jobs = mem_alloc(HANDLE_PAGE * sizeof(*jobs));
	struct stream_id *ids = mem_alloc(HANDLE_PAGE * sizeof(*ids));
	bool bodies = first->entry == NULL;
	uint64_t attempts = first->attempts;
	struct pending_claim c;
	size_t n = 0;

	for (struct job *j; n < HANDLE_PAGE && (j = p->queue.ready.first) != NULL; n++) {
		struct runner *h = j->attempts == attempts && (j->entry == NULL) == bodies &&
		        !(w->plan->ordered && p->queue.busy > 0)
		    ? pool_pick(w, j)
		    : NULL;

		if (h == NULL)
			break;
		runner_reserve(h, j);
		j->hand = (size_t)(h - w->runners);
		job_set_state(&w->jobs, j, JOB_CLAIMING);
		jobs[n] = j;
		ids[n] = j->id;
	}
	if (n == 0) {
		free(jobs);
		free(ids);
		return false;
	}
	c = claim_of(p, (int64_t)attempts + 2, bodies);
	pending_put_claim(w->control.conn, &c, ids, n);
	control_expect(&w->control,
	    (struct control_request){
	        .answer = begun, .arg = p, .jobs = jobs, .ids = ids, .n = n, .number = bodies});
	return true;
}

void
attempt_begin_ready(struct handle *w)
{
	if (w->control.conn == NULL || w->ending)
		return;
	for (size_t i = 0; i < w->plan->n; i++)
		while (w->posts[i].queue.ready.first != NULL && begin_some(&w->posts[i]))
			;
}

/* --- ends -------------------------------------------------------------------- */

static void
nothing(struct control_request *a, struct reply *r)
{
	(void)a;
	(void)r;
}

/* The count as it was before the attempt. Should nobody hear of it, one attempt less is left. */
static void
undo(struct handle *w, struct job *j)
{
	struct pending_claim c = claim_of(handle_stream_of(j), (int64_t)j->attempts, false);

	j->attempts--;
	if (w->control.conn == NULL || j->stale)
		return;
	pending_put_claim(w->control.conn, &c, &j->id, 1);
	control_expect(&w->control, (struct control_request){.answer = nothing});
}

static void
span_word(int64_t ms, char out[32])
{
	if (ms < 1000)
		snprintf(out, 32, "%d ms", (int)ms);
	else
		clock_format_span(ms, out, 32);
}

/* It waits for its next attempt, which is said. */
static void
again(struct handle *w, struct job *j, const char *what, const char *status)
{
	char word[NAMES_MAX + ID_SIZE + 8], span[32];

	id_word(j, word);
	span_word(wait(w, j), span);
	handle_note(w, SUB_INFO, "%s: %s: %s; again in %s", word, what, status, span);
}

static void
failed(struct handle *w, struct job *j, const char *status, struct slice words)
{
	char what[64];

	w->count->failed++;
	job_set_failure(j, status, words);
	if (j->attempts >= w->plan->max_deliveries) {
		job_set_state(&w->jobs, j, JOB_DEAD);
		return;
	}
	snprintf(what, sizeof(what), "attempt %" PRIu64 " of %" PRIu64 " failed", j->attempts,
	    w->plan->max_deliveries);
	again(w, j, what, status);
}

static void
later(struct handle *w, struct job *j, const char *status, struct slice words)
{
	if (j->put_off == 0)
		j->put_off = clock_mono();
	if (clock_mono() - j->put_off >= w->plan->retry_for) {
		failed(w, j, status, words);
		return;
	}
	w->count->later++;
	undo(w, j);
	again(w, j, "put off", status);
}

void
attempt_finish(
    struct handle *w, struct job *j, enum outcome what, const char *status, struct slice words)
{
	runner_release(&w->runners[j->hand]);
	w->last_event = clock_mono();
	if (what == OUTCOME_DONE) {
		w->count->handled++;
		job_set_state(&w->jobs, j, JOB_DONE);
	} else if (j->stale) {
		lease_check_lost(w, handle_stream_of(j), &j->id, 1);
		/* whoever has it now sees to it, if there is anything left to see to */
		handle_release(w, j);
	} else if (what == OUTCOME_POSTPONED) {
		later(w, j, status, words);
	} else if (what == OUTCOME_DEAD) {
		w->count->failed++;
		job_set_failure(j, status, words);
		job_set_state(&w->jobs, j, JOB_DEAD);
	} else if (what == OUTCOME_FAILED) {
		failed(w, j, status, words);
	} else {
		undo(w, j);
		wait(w, j);
	}
}

/* --- acknowledging ----------------------------------------------------------------- */

static void
acknowledged(struct control_request *a,
    struct reply *r) /* cppcheck-suppress constParameter ; as whoever takes an answer */
{
	struct handle *w = ((struct handle_stream *)a->arg)->w;

	for (size_t i = 0; i < a->n; i++) {
		if (r == NULL)
			job_set_state(&w->jobs, a->jobs[i], JOB_DONE); /* to be said again */
		else
			handle_release(w, a->jobs[i]);
	}
}

static void
acknowledge_some(struct handle_stream *p)
{
	struct job **jobs = mem_alloc(HANDLE_PAGE * sizeof(*jobs));
	char(*text)[ID_SIZE] = mem_alloc(HANDLE_PAGE * sizeof(*text));
	struct slice *ids = mem_alloc(HANDLE_PAGE * sizeof(*ids));
	size_t n = 0;

	for (struct job *j; n < HANDLE_PAGE && (j = p->queue.done.first) != NULL; n++) {
		job_unlist(j);
		jobs[n] = j;
		id_format(j->id, text[n]);
		ids[n] = slice_of(text[n]);
	}
	group_put_ack(p->w->control.conn, sub_key(p->sub), sub_group(p->sub), ids, n);
	control_expect(&p->w->control,
	    (struct control_request){.answer = acknowledged, .arg = p, .jobs = jobs, .n = n});
	free(text);
	free(ids);
}

void
attempt_ack_done(struct handle *w)
{
	if (w->control.conn == NULL)
		return;
	for (size_t i = 0; i < w->plan->n; i++)
		while (w->posts[i].queue.done.first != NULL)
			acknowledge_some(&w->posts[i]);
}

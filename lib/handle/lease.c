/* lease: holds pending entries: lists and claims them, renews them, detects lost ones. Declared in
 * handle_int.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "handle/handle_int.h"
#include "redis/stream.h"

/* ms; the default --claim-idle of other consumers */
#define DEFAULT_CLAIM_IDLE 60000

static int64_t
lease_ms(const struct handle_loop *loop)
{
	return loop->plan->claim_idle > 0 ? loop->plan->claim_idle : DEFAULT_CLAIM_IDLE;
}

/* --- lost entries -------------------------------------------------------------------- */

static void
on_lost_checked(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	char id[ID_SIZE];

	if (!reply_is_array(r) || reply_count(r) > 0)
		return;
	stream->loop->count->lost++;
	id_format(req->ids[0], id);
	handle_note(stream->loop, SUB_WARNING,
	    "'%s' %s is lost: trimmed or deleted before it was handled", sub_type(stream->sub), id);
}

void
lease_check_lost(
    struct handle_loop *loop, struct handle_stream *stream, const struct stream_id *ids, size_t n)
{
	char text[ID_SIZE];

	for (size_t i = 0; i < n && loop->control.conn != NULL; i++) {
		struct stream_id *id = mem_alloc(sizeof(*id));

		*id = ids[i];
		id_format(*id, text);
		stream_put_range(loop->control.conn, sub_key(stream->sub), text, text, 1);
		control_expect(&loop->control,
		    (struct control_request){.on_reply = on_lost_checked,
		        .arg = stream,
		        .ids = id,
		        .n = 1,
		        .wants_errors = true});
	}
}

/* --- claiming ------------------------------------------------------------------------ */

struct claim_list {
	struct stream_id id[HANDLE_PAGE];
	uint64_t attempts[HANDLE_PAGE];
	size_t n;
};

static void
hold_entry(struct handle_stream *stream, struct stream_id id, uint64_t attempts)
{
	struct job *job = jobset_add(&stream->loop->jobs, &stream->queue, id, attempts);

	if (job == NULL || attempts < stream->loop->plan->max_deliveries)
		return;
	/* That was the last permitted attempt, and its ebsub died before reporting a result. */
	job_set_failure(job, "ebsub ended during the attempt", (struct slice){0});
	job_set_state(&stream->loop->jobs, job, JOB_DEAD);
}

/* Holds the entries that a claim returned; req->tag is the attempt count of all of them. Returns
 * how many were claimed. */
static uint64_t
hold_claimed(const struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	uint64_t n = 0;

	stream->expected -= req->n;
	for (size_t i = 0; i < req->n && r != NULL; i++) {
		struct stream_id id;

		if (id_parse(reply_text(reply_at(r, (size_t)n)), &id) == 0 &&
		    id_cmp(id, req->ids[i]) == 0) {
			n++;
			hold_entry(stream, id, (uint64_t)req->tag);
		} else
			lease_check_lost(stream->loop, stream, &req->ids[i], 1);
	}
	return n;
}

static void
on_taken_over(struct control_request *req, struct reply *r)
{
	((struct handle_stream *)req->arg)->loop->count->taken_over += hold_claimed(req, r);
}

static void
on_own_claimed(struct control_request *req, struct reply *r)
{
	(void)hold_claimed(req, r);
}

/* Returns the idle time in ms from which an entry is claimed before it is held. Own entries that
 * idled for half of claim_idle could be claimed by another consumer at any moment. */
static int64_t
min_claim_idle(const struct handle_stream *stream)
{
	return stream->loop->plan->claim_idle / (stream->stage == STAGE_OWN ? 2 : 1);
}

/* Claims n entries with the same attempt count by one XCLAIM. The claim sets the delivery count of
 * entries from consumers of other programs to 1: no attempt was begun. */
static void
claim_same_count(
    struct handle_stream *stream, const struct claim_list *list, size_t from, size_t n, bool ours)
{
	struct handle_loop *loop = stream->loop;
	struct stream_id *ids = mem_alloc(n * sizeof(*ids));
	struct pending_claim claim = {.key = sub_key(stream->sub),
	    .group = sub_group(stream->sub),
	    .consumer = loop->plan->consumer,
	    .min_idle = min_claim_idle(stream),
	    .deliveries = ours ? -1 : 1};

	for (size_t i = 0; i < n; i++)
		ids[i] = list->id[from + i];
	pending_put_claim(loop->control.conn, &claim, ids, n);
	stream->expected += n;
	control_expect(&loop->control,
	    (struct control_request){
	        .on_reply = stream->stage == STAGE_OWN ? on_own_claimed : on_taken_over,
	        .arg = stream,
	        .ids = ids,
	        .n = n,
	        .tag = (int64_t)list->attempts[from]});
}

static void
claim_listed_entries(struct handle_stream *stream, const struct claim_list *list, bool ours)
{
	for (size_t from = 0, n; from < list->n; from += n) {
		for (n = 1; from + n < list->n && list->attempts[from + n] == list->attempts[from];
		     n++)
			;
		claim_same_count(stream, list, from, n, ours);
	}
}

/* Returns the attempts begun: the delivery count of ebsub's consumers is one more, and that of
 * other programs' consumers counts no attempts. */
static uint64_t
attempts_of_pending(const struct pending *e)
{
	return pending_is_ebsub_consumer(e->consumer) && e->deliveries > 0
	    ? (uint64_t)e->deliveries - 1
	    : 0;
}

/* --- listing ------------------------------------------------------------------------- */

void
lease_relist_own(struct handle_stream *stream)
{
	stream->stage = STAGE_OWN;
	stream->round++;
	stream->listing = false;
	stream->cursor = (struct stream_id){0};
}

static void
end_listing(struct handle_stream *stream)
{
	int64_t idle = stream->loop->plan->claim_idle;

	if (stream->stage == STAGE_TAKEOVER) {
		stream->takeover_listed = true;
		stream->stage = STAGE_IDLE;
		return;
	}
	stream->stage = idle > 0 ? STAGE_TAKEOVER : STAGE_IDLE;
	stream->takeover_turn = true;
	stream->takeover_listed = stream->takeover_listed || idle == 0;
	stream->cursor = (struct stream_id){0};
	stream->next_takeover = clock_mono() + idle;
}

static void
on_listed(struct control_request *req, struct reply *reply)
{
	struct handle_stream *stream = req->arg;
	struct claim_list ours = {.n = 0}, foreign = {.n = 0};
	struct pending listed;

	stream->expected -= req->n;
	if (req->tag != stream->round)
		return;
	stream->listing = false;
	if (reply == NULL)
		return;
	for (size_t i = 0; i < reply_count(reply) && pending_parse(reply, i, &listed) == 0; i++) {
		struct claim_list *list =
		    pending_is_ebsub_consumer(listed.consumer) ? &ours : &foreign;

		stream->cursor = listed.id;
		if (jobset_find(&stream->loop->jobs, &stream->queue, listed.id) != NULL)
			continue;
		if (stream->stage == STAGE_OWN &&
		    (listed.idle < min_claim_idle(stream) || stream->loop->plan->claim_idle == 0))
			hold_entry(stream, listed.id, attempts_of_pending(&listed));
		else {
			list->id[list->n] = listed.id;
			list->attempts[list->n++] = attempts_of_pending(&listed);
		}
	}
	claim_listed_entries(stream, &ours, true);
	claim_listed_entries(stream, &foreign, false);
	if (reply_count(reply) < req->n)
		end_listing(stream);
}

static void
request_list(struct handle_stream *stream, size_t n)
{
	struct handle_loop *loop = stream->loop;
	struct pending_query query;
	char id[ID_SIZE + 1] = "(";
	bool own = stream->stage == STAGE_OWN;

	id_format(stream->cursor, id + 1);
	query = (struct pending_query){.key = sub_key(stream->sub),
	    .group = sub_group(stream->sub),
	    .consumer = own ? loop->plan->consumer : NULL,
	    .idle = own ? 0 : loop->plan->claim_idle,
	    .limit = n};
	pending_put_list(loop->control.conn, &query, id);
	stream->listing = true;
	stream->expected += n;
	control_expect(&loop->control,
	    (struct control_request){
	        .on_reply = on_listed, .arg = stream, .n = n, .tag = stream->round});
}

/* Requests the next page of the list, except while a read is in flight: the entries of the read are
 * pending with this consumer before the reply comes. */
static void
list_pending_of(struct handle_stream *stream)
{
	struct handle_loop *loop = stream->loop;
	size_t room = handle_room(loop);

	if (stream->stage == STAGE_IDLE && loop->plan->claim_idle > 0 &&
	    clock_mono() >= stream->next_takeover) {
		stream->stage = STAGE_TAKEOVER;
		stream->takeover_turn = true;
		stream->cursor = (struct stream_id){0};
		stream->next_takeover = clock_mono() + loop->plan->claim_idle;
	}
	if (stream->listing || stream->stage == STAGE_IDLE || sub_state(stream->sub) != SUB_IDLE)
		return;
	if (room == 0 || (stream->stage == STAGE_TAKEOVER && !stream->takeover_turn))
		return;
	stream->takeover_turn = false;
	request_list(stream, room < HANDLE_PAGE ? room : HANDLE_PAGE);
}

void
lease_list_pending(struct handle_loop *loop)
{
	for (size_t i = 0; i < loop->plan->n && loop->control.conn != NULL && !loop->ending; i++)
		list_pending_of(&loop->streams[i]);
}

/* --- a group that was created again -------------------------------------------------- */

static void
on_forced(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct job *job = jobset_find(&stream->loop->jobs, &stream->queue, req->ids[0]);

	stream->forcing--;
	if (reply_count(r) > 0 || !reply_is_array(r) || job == NULL ||
	    (job->state != JOB_READY && job->state != JOB_WAITING))
		return;
	lease_check_lost(stream->loop, stream, req->ids, 1);
	handle_release(stream->loop, job);
}

/* Makes a held job pending in a group that was created again: the new group starts behind it. */
static void
force_pending(void *arg, struct job *job)
{
	struct handle_stream *stream = arg;
	struct handle_loop *loop = stream->loop;
	struct pending_claim claim = {.key = sub_key(stream->sub),
	    .group = sub_group(stream->sub),
	    .consumer = loop->plan->consumer,
	    .deliveries = (int64_t)job->attempts + 1, /* as handle.h has it */
	    .force = true};
	struct stream_id *id;

	if (handle_stream_of(job) != stream || job->state == JOB_DONE || job->stale)
		return;
	id = mem_alloc(sizeof(*id));
	*id = job->id;
	pending_put_claim(loop->control.conn, &claim, id, 1);
	stream->forcing++;
	control_expect(&loop->control,
	    (struct control_request){.on_reply = on_forced, .arg = stream, .ids = id, .n = 1});
}

void
lease_restore(struct handle_loop *loop)
{
	for (size_t i = 0; i < loop->plan->n && loop->control.conn != NULL; i++) {
		struct handle_stream *stream = &loop->streams[i];

		if (stream->group_recreations == sub_group_recreations(stream->sub))
			continue;
		stream->group_recreations = sub_group_recreations(stream->sub);
		jobset_each(&loop->jobs, force_pending, stream);
	}
}

/* --- renewal ------------------------------------------------------------------------- */

static void
release_not_ours(struct handle_loop *loop, struct handle_stream *stream, struct stream_id id)
{
	struct job *job = jobset_find(&loop->jobs, &stream->queue, id);

	if (job == NULL)
		return;
	if (job->state == JOB_RUNNING)
		job->stale = true;
	else if ((job->state == JOB_READY || job->state == JOB_WAITING) && stream->forcing == 0) {
		lease_check_lost(loop, stream, &id, 1);
		handle_release(loop, job);
	}
}

static void
on_renewed(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct handle_loop *loop = stream->loop;
	size_t at = 0;

	if (--loop->renewals_in_flight == 0 && r != NULL)
		loop->renewed_at = loop->renew_sent_at;
	for (size_t i = 0; i < req->n && reply_is_array(r); i++) {
		struct stream_id id;

		if (id_parse(reply_text(reply_at(r, at)), &id) == 0 && id_cmp(id, req->ids[i]) == 0)
			at++;
		else
			release_not_ours(loop, stream, req->ids[i]);
	}
}

struct renewal_page {
	struct handle_stream *stream;
	struct stream_id *ids;
	size_t n;
};

static void
renew_leases_of_page(struct renewal_page *page)
{
	struct handle_loop *loop = page->stream->loop;
	struct pending_claim claim = {.key = sub_key(page->stream->sub),
	    .group = sub_group(page->stream->sub),
	    .consumer = loop->plan->consumer,
	    .deliveries = -1};

	if (page->n == 0) {
		free(page->ids);
		page->ids = NULL;
		return;
	}
	pending_put_claim(loop->control.conn, &claim, page->ids, page->n);
	loop->renewals_in_flight++;
	control_expect(&loop->control,
	    (struct control_request){
	        .on_reply = on_renewed, .arg = page->stream, .ids = page->ids, .n = page->n});
	page->ids = NULL;
	page->n = 0;
}

static void
collect_for_renewal(void *arg, struct job *job)
{
	struct renewal_page *page = arg;

	if (handle_stream_of(job) != page->stream || job->state == JOB_DONE || job->stale)
		return;
	if (page->ids == NULL)
		page->ids = mem_alloc(HANDLE_PAGE * sizeof(*page->ids));
	page->ids[page->n++] = job->id;
	if (page->n == HANDLE_PAGE)
		renew_leases_of_page(page);
}

static void
renew_held(struct handle_loop *loop)
{
	loop->renew_sent_at = clock_mono();
	loop->next_renewal = loop->renew_sent_at + lease_ms(loop) / 3;
	for (size_t i = 0; i < loop->plan->n; i++) {
		struct renewal_page page = {.stream = &loop->streams[i]};

		jobset_each(&loop->jobs, collect_for_renewal, &page);
		renew_leases_of_page(&page);
	}
	if (loop->renewals_in_flight == 0)
		loop->renewed_at = loop->renew_sent_at;
}

/* Renews a running job again when it is still pending with this consumer. */
static void
on_owner_checked(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct job *job = jobset_find(&stream->loop->jobs, &stream->queue, req->ids[0]);
	struct pending e;

	if (job == NULL || pending_parse(r, 0, &e) == -1 || id_cmp(e.id, job->id) != 0)
		return;
	job->stale = false;
	stream->loop->next_renewal = 0;
}

/* Gives up a job that was not renewed in time, since another consumer may have claimed it. Own
 * pending entries are listed again afterwards. */
static void
doubt_lease(void *arg, struct job *job)
{
	struct handle_loop *loop = arg;
	struct handle_stream *stream = handle_stream_of(job);
	struct stream_id *id;
	char text[ID_SIZE];

	if (job->state == JOB_READY || job->state == JOB_WAITING)
		handle_release(loop, job);
	else if (job->state == JOB_CLAIMING)
		job->stale = true;
	else if (job->state == JOB_RUNNING) {
		job->stale = true;
		id = mem_alloc(sizeof(*id));
		*id = job->id;
		id_format(job->id, text);
		pending_put_list(loop->control.conn,
		    &(struct pending_query){
		        sub_key(stream->sub), sub_group(stream->sub), loop->plan->consumer, 0, 1},
		    text);
		control_expect(&loop->control,
		    (struct control_request){
		        .on_reply = on_owner_checked, .arg = stream, .ids = id, .n = 1});
	}
}

static void
recover_late_renewal(struct handle_loop *loop)
{
	jobset_each(&loop->jobs, doubt_lease, loop);
	for (size_t i = 0; i < loop->plan->n; i++)
		lease_relist_own(&loop->streams[i]);
	loop->renewed_at = clock_mono();
}

void
lease_renew(struct handle_loop *loop)
{
	if (loop->control.conn == NULL)
		return;
	if (clock_mono() - loop->renewed_at > lease_ms(loop))
		recover_late_renewal(loop);
	if (loop->renewals_in_flight == 0 && clock_mono() >= loop->next_renewal)
		renew_held(loop);
}

int64_t
lease_next_due(const struct handle_loop *loop)
{
	int64_t by = loop->renewals_in_flight == 0 ? loop->next_renewal : -1;

	if (loop->control.conn == NULL)
		return -1;
	for (size_t i = 0; i < loop->plan->n && !loop->ending; i++)
		if (loop->plan->claim_idle > 0 && loop->streams[i].stage == STAGE_IDLE &&
		    (by == -1 || loop->streams[i].next_takeover < by))
			by = loop->streams[i].next_takeover;
	return by;
}

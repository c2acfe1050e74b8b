/* lease: lists, claims and renews pending entries, detects lost ones. Declared in handle_int.h. */
#include "base/clock.h"
#include "handle/handle.h"
#include "handle/handle_int.h"
#include "redis/stream.h"

/* ms; the default --claim-idle of other consumers */
#define DEFAULT_CLAIM_IDLE 60000

static int64_t
lease_ms(const struct handle *handle)
{
	int64_t claim_idle = handle->loop.plan->sub->claim_idle;

	return claim_idle > 0 ? claim_idle : DEFAULT_CLAIM_IDLE;
}

/* --- lost entries -------------------------------------------------------------------- */

static void
on_lost_checked(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	char id[ID_SIZE];

	if (!reply_is_array(r) || reply_count(r) > 0)
		return;
	stream->handle->count->lost++;
	id_format(req->ids[0], id);
	sub_notef(stream->sub->plan, SUB_WARNING,
	    "'%s' %s is lost: trimmed or deleted before it was handled", stream->sub->type, id);
}

/* Asks about an entry that is no longer pending with this consumer. */
static void
check_lost(struct handle_stream *stream, struct stream_id id)
{
	struct handle *handle = stream->handle;
	char text[ID_SIZE];

	if (handle_conn(handle) == NULL)
		return;
	id_format(id, text);
	stream_put_range(handle_conn(handle), stream->sub->key, text, text, 1);
	control_expect(&handle->loop.control, on_lost_checked, stream, &id, 1)->wants_errors = true;
}

void
lease_release_not_ours(struct job *job)
{
	check_lost(handle_stream_of(job), job->id);
	handle_release(handle_stream_of(job)->handle, job);
}

/* --- listing and claiming ------------------------------------------------------------ */

static void
list_own(struct handle_stream *stream)
{
	stream->relist = false;
	stream->stage = STAGE_OWN;
	stream->takeover_listed = stream->sub->plan->claim_idle == 0;
	takeover_begin(&stream->sub->takeover, true);
	stream->sub->takeover.next = 0;
}

void
lease_relist_own(struct handle_stream *stream)
{
	if (stream->expected > 0)
		stream->relist = true;
	else
		list_own(stream);
}

/* Holds an entry of the page. The delivery count of ebsub's consumers is one more than the attempts
 * begun; that of other programs' consumers counts no attempts. */
static void
hold_entry(void *arg, const struct pending *p, bool claimed)
{
	struct handle_stream *stream = arg;
	struct handle *handle = stream->handle;
	bool ours = pending_is_ebsub_consumer(p->consumer) && p->deliveries > 0;
	uint64_t attempts = ours ? (uint64_t)p->deliveries - 1 : 0;
	struct job *job;

	if (!claimed) {
		check_lost(stream, p->id);
		return;
	}
	if ((job = jobset_add(&handle->jobs, &stream->queue, p->id, attempts)) == NULL)
		return;
	handle->count->taken_over += stream->stage == STAGE_TAKEOVER;
	if (attempts < handle->plan->max_deliveries)
		return;
	/* That was the last permitted attempt, and its ebsub died before reporting a result. */
	job_set_failure(job, "ebsub ended during the attempt", (struct slice){0});
	job_set_state(&handle->jobs, job, JOB_DEAD);
}

/* Holds the page of the list. claim: of XCLAIM, or the list itself; NULL: the entries may have been
 * claimed, so own entries are listed again. */
static void
on_page_claimed(struct control_request *req, struct reply *claim)
{
	struct handle_stream *stream = req->arg;

	stream->expected = 0;
	if (claim != NULL)
		takeover_each(&stream->sub->takeover, claim, hold_entry, stream);
	if (stream->sub->takeover.last_page) {
		stream->takeover_listed =
		    stream->takeover_listed || stream->stage == STAGE_TAKEOVER;
		stream->stage = STAGE_IDLE;
	}
	takeover_clear(&stream->sub->takeover);
	if (stream->relist || claim == NULL)
		list_own(stream);
}

static void
on_listed(struct control_request *req, struct reply *reply)
{
	struct handle_stream *stream = req->arg;
	struct takeover *t = &stream->sub->takeover;
	size_t asked = stream->expected;

	stream->expected = 0;
	if (reply == NULL || stream->relist) {
		if (stream->relist)
			list_own(stream);
		return;
	}
	req->keep_reply = true;
	if (takeover_take_list(t, handle_conn(stream->handle), reply, asked)) {
		stream->expected = t->n;
		control_expect(&stream->handle->loop.control, on_page_claimed, stream, NULL, 0);
	} else
		on_page_claimed(req, reply);
}

/* Requests the next page of the list, except while a read is in flight: the entries of the read are
 * pending with this consumer before the reply comes. */
static void
list_pending_of(struct handle_stream *stream)
{
	struct subscription *sub = stream->sub;
	size_t room;

	if (stream->stage == STAGE_IDLE && takeover_due(&sub->takeover)) {
		stream->stage = STAGE_TAKEOVER;
		stream->takeover_turn = true;
		takeover_begin(&sub->takeover, false);
	}
	if (stream->stage == STAGE_IDLE && sub->plan->claim_idle > 0)
		clock_earliest(&stream->handle->loop.wake, sub->takeover.next);
	if (stream->expected > 0 || stream->stage == STAGE_IDLE || sub->state != SUB_IDLE ||
	    (stream->stage == STAGE_TAKEOVER && !stream->takeover_turn) ||
	    (room = handle_room(&stream->handle->loop)) == 0)
		return;
	if (room > HANDLE_PAGE)
		room = HANDLE_PAGE;
	stream->takeover_turn = false;
	takeover_put_list(&sub->takeover, handle_conn(stream->handle), room);
	stream->expected = room;
	control_expect(&stream->handle->loop.control, on_listed, stream, NULL, 0);
}

void
lease_list_pending(struct handle *handle)
{
	for (size_t i = 0; i < handle->n && !handle->loop.ending; i++)
		list_pending_of(&handle->streams[i]);
}

/* --- a group that was created again -------------------------------------------------- */

static bool
is_at_rest(const struct job *job)
{
	return job != NULL && (job->state == JOB_READY || job->state == JOB_WAITING);
}

static void
on_forced(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct job *job = jobset_find(&stream->handle->jobs, &stream->queue, req->ids[0]);

	stream->forcing--;
	if (r == NULL) /* perhaps not executed: to be done again */
		stream->group_recreations = stream->sub->group_recreations - 1;
	if (reply_is_array(r) && reply_count(r) == 0 && is_at_rest(job))
		lease_release_not_ours(job);
}

/* Makes the held jobs pending in a group that was created again: the new group starts behind them.
 */
static void
force_pending(struct handle_stream *stream)
{
	for (struct job *job = NULL; (job = jobset_next(&stream->handle->jobs, job)) != NULL;) {
		if (handle_stream_of(job) != stream || job->state == JOB_DONE || job->stale)
			continue;
		stream->forcing++;
		handle_claim(stream,
		    (struct pending_claim){.deliveries = (int64_t)job->attempts + 1, .force = true},
		    &job->id, 1, on_forced);
	}
}

void
lease_restore(struct handle *handle)
{
	for (size_t i = 0; i < handle->n; i++) {
		struct handle_stream *stream = &handle->streams[i];

		if (stream->group_recreations == stream->sub->group_recreations)
			continue;
		stream->group_recreations = stream->sub->group_recreations;
		force_pending(stream);
	}
}

/* --- renewal ------------------------------------------------------------------------- */

static void
on_renewed(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct handle *handle = stream->handle;
	size_t at = 0;

	if (--handle->lease.in_flight == 0 && r != NULL)
		handle->lease.renewed_at = handle->lease.sent_at;
	for (size_t i = 0; i < req->n && reply_is_array(r); i++) {
		struct job *job;

		if (pending_next_claimed(r, &at, req->ids[i]) != NULL ||
		    (job = jobset_find(&handle->jobs, &stream->queue, req->ids[i])) == NULL)
			continue;
		if (job->state == JOB_RUNNING)
			job->stale = true;
		else if (is_at_rest(job) && stream->forcing == 0)
			lease_release_not_ours(job);
	}
}

static void
renew_stream(struct handle_stream *stream)
{
	struct handle *handle = stream->handle;
	struct bytes held = {0}; /* struct stream_id each */
	const struct stream_id *ids;
	size_t left;

	for (struct job *job = NULL; (job = jobset_next(&handle->jobs, job)) != NULL;)
		if (handle_stream_of(job) == stream && job->state != JOB_DONE && !job->stale)
			bytes_add(&held, &job->id, sizeof(job->id));
	ids = (const void *)held.p;
	left = held.len / sizeof(*ids);
	for (size_t n; left > 0; ids += n, left -= n) {
		n = left < HANDLE_PAGE ? left : HANDLE_PAGE;
		handle->lease.in_flight++;
		handle_claim(stream, (struct pending_claim){.deliveries = -1}, ids, n, on_renewed);
	}
	bytes_free(&held);
}

/* Renews a running job again when it is still pending with this consumer. */
static void
on_owner_checked(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct job *job = jobset_find(&stream->handle->jobs, &stream->queue, req->ids[0]);
	struct pending e;

	if (job == NULL || pending_parse(r, 0, &e) == -1 || id_cmp(e.id, job->id) != 0)
		return;
	job->stale = false;
	stream->handle->lease.next = 0;
}

/* Gives up a job that was not renewed in time, since another consumer may have claimed it. Own
 * pending entries are listed again afterwards. */
static void
doubt_lease(struct handle *handle, struct job *job)
{
	struct handle_stream *stream = handle_stream_of(job);
	char text[ID_SIZE];

	if (is_at_rest(job)) {
		handle_release(handle, job);
		return;
	}
	if (job->state == JOB_CLAIMING || job->state == JOB_RUNNING)
		job->stale = true;
	if (job->state != JOB_RUNNING)
		return;
	id_format(job->id, text);
	pending_put_list(handle_conn(handle),
	    &(struct pending_query){
	        stream->sub->key, stream->sub->group, stream->sub->plan->consumer, 0, 1},
	    text);
	control_expect(&handle->loop.control, on_owner_checked, stream, &job->id, 1);
}

void
lease_renew(struct handle *handle)
{
	struct lease *lease = &handle->lease;
	int64_t now = clock_mono();

	if (now - lease->renewed_at > lease_ms(handle)) {
		for (struct job *job = jobset_next(&handle->jobs, NULL), *next; job != NULL;
		     job = next) {
			next = jobset_next(&handle->jobs, job);
			doubt_lease(handle, job);
		}
		for (size_t i = 0; i < handle->n; i++)
			lease_relist_own(&handle->streams[i]);
		lease->renewed_at = now;
	}
	if (lease->in_flight > 0)
		return;
	if (now < lease->next) {
		clock_earliest(&handle->loop.wake, lease->next);
		return;
	}
	lease->sent_at = now;
	lease->next = now + lease_ms(handle) / 3;
	for (size_t i = 0; i < handle->n; i++)
		renew_stream(&handle->streams[i]);
	if (lease->in_flight == 0) { /* nothing is held */
		lease->renewed_at = now;
		clock_earliest(&handle->loop.wake, lease->next);
	}
}

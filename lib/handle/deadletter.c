/* deadletter: moves entries to the dead letters of their type. Declared in handle_int.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "event/provenance.h"
#include "handle/handle.h"
#include "handle/handle_int.h"
#include "redis/group.h"
#include "redis/pool.h"
#include "redis/scan.h"
#include "redis/stream.h"

/*
 * Copies and acknowledges in one step, and only an entry that is pending with this consumer, so
 * that two consumers cannot both copy it. When XADD fails nothing is acknowledged. Returns the dead
 * letter's ID; 0: not pending with us; 1: gone from the stream; 2: more fields than unpack() can
 * pass.
 */
static const char script[] =
    "local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)\n"
    "if #p == 0 or p[1][2] ~= ARGV[3] then return 0 end\n"
    "local e = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])\n"
    "if #e == 0 then redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) return 1 end\n"
    "local f = e[1][2]\n"
    "if #f > 7000 then return 2 end\n"
    "for i = 4, #ARGV do f[#f + 1] = ARGV[i] end\n"
    "local id = redis.call('XADD', KEYS[2], '*', unpack(f))\n"
    "redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])\n"
    "return id\n";

#define STUCK_PAUSE 1000 /* ms until the next try after a temporary refusal */

/* A dead letter's provenance fields, and the storage of their values. */
struct deadletter_fields {
	char id[ID_SIZE], attempts[24], time[CLOCK_SIZE];
	struct slice kv[2 * PROVENANCE_FIELDS];
};

static void
fill_fields(const struct job *job, struct deadletter_fields *fields)
{
	const struct subscription *sub = handle_stream_of(job)->sub;
	struct provenance d;

	id_format(job->id, fields->id);
	snprintf(fields->attempts, sizeof(fields->attempts), "%" PRIu64, job->attempts);
	clock_format(clock_now(), fields->time);
	d = (struct provenance){.id = slice_of(fields->id),
	    .stream = slice_of(sub->key),
	    .group = slice_of(sub->group),
	    .consumer = slice_of(sub->plan->consumer),
	    .attempts = slice_of(fields->attempts),
	    .status = slice_of(job->status),
	    .stderr_tail = slice_of(job->stderr_tail),
	    .time = slice_of(fields->time)};
	provenance_to_fields(&d, fields->kv);
}

/* --- results ------------------------------------------------------------------------- */

static void
finish_dead_letter(struct handle *handle, struct job *job)
{
	struct handle_stream *stream = handle_stream_of(job);
	char id[ID_SIZE];

	handle->count->dead++;
	handle->loop.count++;
	id_format(job->id, id);
	sub_notef(stream->sub->plan, SUB_WARNING,
	    "'%s' %s is a dead letter in '%s' after %" PRIu64 " attempt%s: %s", stream->sub->type,
	    id, stream->dead_key, job->attempts, job->attempts == 1 ? "" : "s", job->status);
	handle_release(handle, job);
}

/* Handles a copy that failed. After a temporary error it is tried again; otherwise the entry stays
 * pending, and the next takeover scan finds it. */
static void
retry_or_leave_pending(struct handle *handle, struct job *job, const struct err *err)
{
	if (err->why == CONN_LATER || err->why == CONN_READONLY || err->why == CONN_NOGROUP) {
		job->dead_when_due = true;
		job->due = clock_mono() + STUCK_PAUSE;
		job_set_state(&handle->jobs, job, JOB_WAITING);
		return;
	}
	handle->count->stuck++;
	sub_notef(handle->loop.plan->sub, SUB_WARNING, "%s; the entry stays pending", err->text);
	handle_release(handle, job);
}

/* --- without EVAL, over a connection of its own -------------------------------------- */

/* The move of one entry by single commands. */
struct deadletter_move {
	struct conn *conn;
	const struct handle_stream *stream;
	struct deadletter_fields fields;
	char found[2][ID_SIZE]; /* the IDs of the entry's first two dead letters */
	size_t nfound;
};

/* Compares id, stream and group of a dead letter. */
static int
match_dead_letter(void *arg, const struct stream_entry *e)
{
	struct deadletter_move *move = arg;
	size_t own = provenance_from_fields(e->kv, e->nkv, &(struct provenance){0});

	if (own == e->nkv)
		return 0;
	for (size_t i = 1; i < 6; i += 2)
		if (!slice_equal(e->kv[own + i], move->fields.kv[i]))
			return 0;
	snprintf(move->found[move->nfound++], ID_SIZE, "%.*s", (int)e->id.n, e->id.p);
	return move->nfound == 2;
}

/* Finds the dead letters of this entry. Returns 0, or -1 with err. */
static int
find_dead_letters(struct deadletter_move *move, struct err *err)
{
	const char *key = move->stream->dead_key;
	struct err what;

	move->nfound = 0;
	if (scan_entries(move->conn, &(struct scan){.key = key}, match_dead_letter, move, &what) !=
	    -1)
		return 0;
	return conn_fail(err, what.why, "look for a dead letter in '%s': %s", key, what.text);
}

/* Waits for a reply that says no more than that the command was executed. Returns 0 or -1. */
static int
await_move_step(struct conn *conn, const char *what, struct err *err)
{
	struct reply *r = reply_await(conn, NULL, what, err);

	reply_free(r);
	return r != NULL ? 0 : -1;
}

/* Returns 1 when the entry is pending with this consumer, 0 when not, -1 with err. */
static int
check_pending_with_us(const struct deadletter_move *move, struct err *err)
{
	const struct subscription *sub = move->stream->sub;
	struct reply *r;
	struct pending e;
	int ours;

	conn_putl(move->conn, "XPENDING", sub->key, sub->group, move->fields.id, move->fields.id,
	    "1", NULL);
	if ((r = reply_await(move->conn, NULL, "XPENDING", err)) == NULL)
		return -1;
	ours = pending_parse(r, 0, &e) == 0 && slice_is(e.consumer, sub->plan->consumer);
	reply_free(r);
	return ours;
}

/* Adds the entry and its provenance to the dead letters. Returns 1; 0 when the entry is gone from
 * the stream; -1 with err. */
static int
copy_to_dead_letters(const struct deadletter_move *move, struct err *err)
{
	const char *id = move->fields.id;
	struct bytes kv = {0};
	struct reply *reply;
	struct slice read_id;
	bool missing = true;
	char what[300];

	stream_put_range(move->conn, move->stream->sub->key, id, id, 1);
	if ((reply = reply_await(move->conn, NULL, "XRANGE", err)) == NULL)
		return -1;
	if (stream_parse_entry(reply_at(reply, 0), &read_id, &kv, &missing) == 0 && !missing) {
		bytes_add(&kv, move->fields.kv, sizeof(move->fields.kv));
		stream_put_add(move->conn, move->stream->dead_key, 0, (const void *)kv.p,
		    kv.len / sizeof(struct slice));
	}
	bytes_free(&kv);
	reply_free(reply);
	if (missing)
		return 0;
	snprintf(what, sizeof(what), "add a dead letter in '%s'", move->stream->dead_key);
	return await_move_step(move->conn, what, err) == -1 ? -1 : 1;
}

/*
 * Copies and acknowledges without EVAL. Another consumer may copy the same entry meanwhile, so it
 * looks again after the copy and deletes the second of two. Returns 1; 0 when the entry is not
 * pending with this consumer or is gone; -1 with err.
 */
static int
run_without_eval(struct deadletter_move *move, struct err *err)
{
	const struct subscription *sub = move->stream->sub;
	struct slice id = slice_of(move->fields.id);
	int ok = check_pending_with_us(move, err);

	if (ok != 1)
		return ok;
	if (find_dead_letters(move, err) == -1)
		return -1;
	if (move->nfound == 0 && (ok = copy_to_dead_letters(move, err)) != 1)
		return ok;
	if (find_dead_letters(move, err) == -1)
		return -1;
	if (move->nfound > 1) {
		conn_putl(move->conn, "XDEL", move->stream->dead_key, move->found[1], NULL);
		if (await_move_step(move->conn, "XDEL", err) == -1)
			return -1;
	}
	group_put_ack(move->conn, sub->key, sub->group, &id, 1);
	return await_move_step(move->conn, "XACK", err) == -1 ? -1 : 1;
}

static void
send_without_eval(struct handle *handle, struct job *job)
{
	const struct sub_plan *plan = handle->loop.plan->sub;
	struct pool pool = {.url = plan->url, .timeout_ms = plan->timeout_ms};
	struct deadletter_move move = {.stream = handle_stream_of(job)};
	struct err err;
	int ok = -1;

	fill_fields(job, &move.fields);
	if ((move.conn = pool_get(&pool, move.stream->dead_key, &err)) != NULL)
		ok = run_without_eval(&move, &err);
	pool_close(&pool);
	if (ok == 1)
		finish_dead_letter(handle, job);
	else if (ok == 0)
		lease_release_not_ours(job);
	else {
		if (err.why != CONN_NOPERM && err.why != CONN_WRONGTYPE && err.why != CONN_OTHER)
			err.why = CONN_LATER;
		retry_or_leave_pending(handle, job, &err);
	}
}

/* --- with EVAL ----------------------------------------------------------------------- */

static void
on_eval_reply(struct control_request *req, struct reply *reply)
{
	struct handle_stream *stream = req->arg;
	struct handle *handle = stream->handle;
	struct job *job = jobset_find(&handle->jobs, &stream->queue, req->ids[0]);
	struct err err;
	char what[300];

	if (reply == NULL)
		/* NOLINTNEXTLINE(bugprone-branch-clone): each branch has its own reason */
		job_set_state(&handle->jobs, job, JOB_DEAD);
	else if (reply_is_eval_refused(reply)) {
		handle->no_eval = true;
		job_set_state(&handle->jobs, job, JOB_DEAD);
	} else if (reply_is_error(reply)) {
		snprintf(what, sizeof(what), "add a dead letter in '%s'", stream->dead_key);
		reply_fail(&err, reply, what);
		retry_or_leave_pending(handle, job, &err);
	} else if (reply_is_text(reply))
		finish_dead_letter(handle, job);
	else if (reply_int(reply) == 2)
		send_without_eval(handle, job);
	else if (stream->forcing > 0)
		/* not pending yet in a group that was created again */
		job_set_state(&handle->jobs, job, JOB_DEAD);
	else
		lease_release_not_ours(job);
}

static void
send_by_eval(struct handle *handle, struct job *job)
{
	struct handle_stream *stream = handle_stream_of(job);
	struct deadletter_fields fields;
	struct slice argv[8 + 2 * PROVENANCE_FIELDS] = {slice_of("EVAL"), slice_of(script),
	    slice_of("2"), slice_of(stream->sub->key), slice_of(stream->dead_key),
	    slice_of(stream->sub->group), {0}, slice_of(stream->sub->plan->consumer)};

	fill_fields(job, &fields);
	argv[6] = slice_of(fields.id);
	memcpy(argv + 8, fields.kv, sizeof(fields.kv));
	conn_put(handle_conn(handle), sizeof(argv) / sizeof(argv[0]), argv);
	job_unlist(job);
	control_expect(&handle->loop.control, on_eval_reply, stream, &job->id, 1)->wants_errors =
	    true;
}

void
deadletter_send(struct handle *handle)
{
	for (size_t i = 0; i < handle->n; i++)
		for (struct job *job; (job = handle->streams[i].queue.dead.first) != NULL;)
			(handle->no_eval ? send_without_eval : send_by_eval)(handle, job);
}

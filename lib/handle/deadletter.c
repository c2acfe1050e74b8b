/* deadletter: moves an entry and its provenance to the dead letters of its type. Declared in
 * handle_int.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "event/provenance.h"
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
	const struct handle_stream *stream = handle_stream_of(job);
	struct provenance d;

	id_format(job->id, fields->id);
	snprintf(fields->attempts, sizeof(fields->attempts), "%" PRIu64, job->attempts);
	clock_format(clock_now(), fields->time);
	d = (struct provenance){.id = slice_of(fields->id),
	    .stream = slice_of(sub_key(stream->sub)),
	    .group = slice_of(sub_group(stream->sub)),
	    .consumer = slice_of(stream->loop->plan->consumer),
	    .attempts = slice_of(fields->attempts),
	    .status = slice_of(job->status),
	    .stderr_tail = slice_of(job->stderr_tail),
	    .time = slice_of(fields->time)};
	provenance_to_fields(&d, fields->kv);
}

/* --- results ------------------------------------------------------------------------- */

static void
finish_dead_letter(struct handle_loop *loop, struct job *job)
{
	struct handle_stream *stream = handle_stream_of(job);
	char id[ID_SIZE];

	loop->count->dead++;
	id_format(job->id, id);
	handle_note(loop, SUB_WARNING,
	    "'%s' %s is a dead letter in '%s' after %" PRIu64 " attempt%s: %s",
	    sub_type(stream->sub), id, stream->dead_key, job->attempts,
	    job->attempts == 1 ? "" : "s", job->status);
	handle_release(loop, job);
}

static void
drop_not_pending(struct handle_loop *loop, struct job *job)
{
	lease_check_lost(loop, handle_stream_of(job), &job->id, 1);
	handle_release(loop, job);
}

/* Handles a copy that failed. After a temporary error it is tried again; otherwise the entry stays
 * pending, and the next takeover scan finds it. */
static void
retry_or_leave_pending(struct handle_loop *loop, struct job *job, const struct err *err)
{
	if (err->why == CONN_LATER || err->why == CONN_READONLY || err->why == CONN_NOGROUP) {
		job->dead_when_due = true;
		job->due = clock_mono() + STUCK_PAUSE;
		job_set_state(&loop->jobs, job, JOB_WAITING);
		return;
	}
	loop->count->stuck++;
	handle_note(loop, SUB_WARNING, "%s; the entry stays pending", err->text);
	handle_release(loop, job);
}

/* --- without EVAL, over a connection of its own -------------------------------------- */

struct deadletter_search {
	/* the provenance; id, stream and group must match */
	const struct slice *kv;
	char found[2][ID_SIZE]; /* the IDs of the first two matches */
	size_t nfound;
};

static int
match_dead_letter(void *arg, const struct stream_entry *e)
{
	struct deadletter_search *search = arg;
	size_t own = provenance_from_fields(e->kv, e->nkv, &(struct provenance){0});

	if (own == e->nkv)
		return 0;
	for (size_t i = 1; i < 6; i += 2)
		if (e->kv[own + i].n != search->kv[i].n ||
		    memcmp(e->kv[own + i].p, search->kv[i].p, search->kv[i].n) != 0)
			return 0;
	snprintf(search->found[search->nfound++], ID_SIZE, "%.*s", (int)e->id.n, e->id.p);
	return search->nfound == 2;
}

/* Finds the dead letters of this entry. Returns 0, or -1 with err. */
static int
find_dead_letters(struct conn *conn, const struct handle_stream *stream,
    const struct deadletter_fields *fields, struct deadletter_search *search, struct err *err)
{
	struct err what;

	*search = (struct deadletter_search){.kv = fields->kv};
	if (scan_entries(conn, &(struct scan){.key = stream->dead_key}, match_dead_letter, search,
	        &what) != -1)
		return 0;
	return conn_fail(
	    err, what.why, "look for a dead letter in '%s': %s", stream->dead_key, what.text);
}

/* Returns 1 when the entry is pending with this consumer, 0 when not, -1 with err. */
static int
check_pending_with_us(
    struct conn *conn, const struct handle_stream *stream, const char *id, struct err *err)
{
	struct reply *r;
	struct pending e;
	int ours;

	conn_putl(
	    conn, "XPENDING", sub_key(stream->sub), sub_group(stream->sub), id, id, "1", NULL);
	if ((r = reply_await(conn, NULL, "XPENDING", err)) == NULL)
		return -1;
	ours = pending_parse(r, 0, &e) == 0 && slice_is(e.consumer, stream->loop->plan->consumer);
	reply_free(r);
	return ours;
}

/* Adds the entry and its provenance to the dead letters. Returns 1; 0 when the entry is gone from
 * the stream; -1 with err. */
static int
copy_to_dead_letters(struct conn *conn, const struct handle_stream *stream,
    const struct deadletter_fields *fields, struct err *err)
{
	struct reply *reply, *added;
	struct slice id;
	struct bytes kv = {0};
	bool missing = true;
	char what[300];

	stream_put_range(conn, sub_key(stream->sub), fields->id, fields->id, 1);
	if ((reply = reply_await(conn, NULL, "XRANGE", err)) == NULL)
		return -1;
	if (reply_count(reply) == 0 ||
	    stream_parse_entry(reply_at(reply, 0), &id, &kv, &missing) == -1 || missing) {
		bytes_free(&kv);
		reply_free(reply);
		return 0;
	}
	bytes_add(&kv, fields->kv, sizeof(fields->kv));
	stream_put_add(
	    conn, stream->dead_key, 0, (const void *)kv.p, kv.len / sizeof(struct slice));
	bytes_free(&kv);
	reply_free(reply);
	snprintf(what, sizeof(what), "add a dead letter in '%s'", stream->dead_key);
	if ((added = reply_await(conn, NULL, what, err)) == NULL)
		return -1;
	reply_free(added);
	return 1;
}

/*
 * Copies and acknowledges without EVAL. Another consumer may copy the same entry meanwhile, so it
 * looks again after the copy and deletes the second of two. Returns 1; 0 when the entry is not
 * pending with this consumer or is gone; -1 with err.
 */
static int
run_without_eval(struct conn *conn, const struct handle_stream *stream,
    const struct deadletter_fields *fields, struct err *err)
{
	struct deadletter_search search;
	struct slice id = slice_of(fields->id);
	struct reply *reply;
	int ok = check_pending_with_us(conn, stream, fields->id, err);

	if (ok != 1 || find_dead_letters(conn, stream, fields, &search, err) == -1)
		return ok == 1 ? -1 : ok;
	if (search.nfound == 0 && (ok = copy_to_dead_letters(conn, stream, fields, err)) != 1)
		return ok;
	if (find_dead_letters(conn, stream, fields, &search, err) == -1)
		return -1;
	if (search.nfound > 1) {
		conn_putl(conn, "XDEL", stream->dead_key, search.found[1], NULL);
		if ((reply = reply_await(conn, NULL, "XDEL", err)) == NULL)
			return -1;
		reply_free(reply);
	}
	group_put_ack(conn, sub_key(stream->sub), sub_group(stream->sub), &id, 1);
	if ((reply = reply_await(conn, NULL, "XACK", err)) == NULL)
		return -1;
	reply_free(reply);
	return 1;
}

static void
send_without_eval(struct handle_loop *loop, struct job *job)
{
	struct deadletter_fields fields;
	struct pool pool = {.url = loop->plan->url, .timeout_ms = loop->plan->timeout_ms};
	struct err err;
	struct conn *conn = pool_get(&pool, handle_stream_of(job)->dead_key, &err);
	int ok = -1;

	fill_fields(job, &fields);
	if (conn != NULL)
		ok = run_without_eval(conn, handle_stream_of(job), &fields, &err);
	pool_close(&pool);
	if (ok == 1)
		finish_dead_letter(loop, job);
	else if (ok == 0)
		drop_not_pending(loop, job);
	else {
		if (err.why != CONN_NOPERM && err.why != CONN_WRONGTYPE && err.why != CONN_OTHER)
			err.why = CONN_LATER;
		retry_or_leave_pending(loop, job, &err);
	}
}

/* --- with EVAL ----------------------------------------------------------------------- */

static bool
is_eval_refused(const struct reply *r)
{
	struct slice t = reply_text(r);

	return reply_why(r) == CONN_NOPERM ||
	    (reply_is_error(r) && memmem(t.p, t.n, "can't run this command", 22) != NULL) ||
	    (reply_is_error(r) && memmem(t.p, t.n, "unknown command", 15) != NULL);
}

static void
on_eval_reply(struct control_request *req, struct reply *reply)
{
	struct handle_stream *stream = req->arg;
	struct handle_loop *loop = stream->loop;
	struct job *job = req->jobs[0];
	struct err err;
	char what[300];

	if (reply == NULL)
		/* NOLINTNEXTLINE(bugprone-branch-clone): each branch has its own reason */
		job_set_state(&loop->jobs, job, JOB_DEAD);
	else if (is_eval_refused(reply)) {
		loop->no_eval = true;
		job_set_state(&loop->jobs, job, JOB_DEAD);
	} else if (reply_is_error(reply)) {
		snprintf(what, sizeof(what), "add a dead letter in '%s'", stream->dead_key);
		reply_fail(&err, reply, what);
		retry_or_leave_pending(loop, job, &err);
	} else if (reply_is_text(reply))
		finish_dead_letter(loop, job);
	else if (reply_int(reply) == 2)
		send_without_eval(loop, job);
	else if (stream->forcing > 0)
		/* not pending yet in a group that was created again */
		job_set_state(&loop->jobs, job, JOB_DEAD);
	else
		drop_not_pending(loop, job);
}

static void
send_by_eval(struct handle_loop *loop, struct job *job)
{
	struct handle_stream *stream = handle_stream_of(job);
	struct job **mine = mem_alloc(sizeof(*mine));
	struct slice argv[8 + 2 * PROVENANCE_FIELDS];
	struct deadletter_fields fields;
	size_t n = 0;

	fill_fields(job, &fields);
	argv[n++] = slice_of("EVAL");
	argv[n++] = slice_of(script);
	argv[n++] = slice_of("2");
	argv[n++] = slice_of(sub_key(stream->sub));
	argv[n++] = slice_of(stream->dead_key);
	argv[n++] = slice_of(sub_group(stream->sub));
	argv[n++] = slice_of(fields.id);
	argv[n++] = slice_of(loop->plan->consumer);
	memcpy(argv + n, fields.kv, sizeof(fields.kv));
	conn_put(loop->control.conn, n + 2 * PROVENANCE_FIELDS, argv);
	mine[0] = job;
	job_unlist(job);
	control_expect(&loop->control,
	    (struct control_request){.on_reply = on_eval_reply,
	        .arg = stream,
	        .jobs = mine,
	        .n = 1,
	        .wants_errors = true});
}

void
deadletter_send(struct handle_loop *loop)
{
	for (size_t i = 0; i < loop->plan->n && loop->control.conn != NULL; i++)
		for (struct job *job; (job = loop->streams[i].queue.dead.first) != NULL;)
			if (loop->no_eval)
				send_without_eval(loop, job);
			else
				send_by_eval(loop, job);
}

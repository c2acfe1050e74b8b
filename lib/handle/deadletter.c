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
#include "redis/scan.h"
#include "redis/stream.h"

/*
 * Copy and acknowledgement in one, and only of what is pending with us: two readers cannot both do
 * it, and where the copy fails nothing is acknowledged. 0: not ours any more; 1: gone from the
 * stream; 2: more fields than Lua can hand on.
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

#define STUCK_PAUSE 1000 /* ms before it is tried again what the server may let us do later */

/* A dead letter's provenance, and where its texts are. */
struct grave {
	char id[ID_SIZE], attempts[24], time[CLOCK_SIZE];
	struct slice kv[2 * PROVENANCE_FIELDS];
};

static void
dig(const struct job *j, struct grave *g)
{
	const struct handle_stream *p = handle_stream_of(j);
	struct provenance d;

	id_format(j->id, g->id);
	snprintf(g->attempts, sizeof(g->attempts), "%" PRIu64, j->attempts);
	clock_format(clock_now(), g->time);
	d = (struct provenance){.id = slice_of(g->id),
	    .stream = slice_of(sub_key(p->sub)),
	    .group = slice_of(sub_group(p->sub)),
	    .consumer = slice_of(p->w->plan->consumer),
	    .attempts = slice_of(g->attempts),
	    .status = slice_of(j->status),
	    .stderr_tail = slice_of(j->words),
	    .time = slice_of(g->time)};
	provenance_to_fields(&d, g->kv);
}

/* --- what came of it -------------------------------------------------------------- */

static void
set_aside(struct handle *w, struct job *j)
{
	struct handle_stream *p = handle_stream_of(j);
	char id[ID_SIZE];

	w->count->dead++;
	id_format(j->id, id);
	handle_note(w, SUB_WARNING, "'%s' %s is set aside in '%s' after %" PRIu64 " attempt%s: %s",
	    sub_type(p->sub), id, p->dead_key, j->attempts, j->attempts == 1 ? "" : "s", j->status);
	handle_release(w, j);
}

static void
gone(struct handle *w, struct job *j)
{
	lease_check_lost(w, handle_stream_of(j), &j->id, 1);
	handle_release(w, j);
}

/* Not set aside: what passes is tried again; else it stays pending, and the next sweep brings it
 * back. */
static void
stuck(struct handle *w, struct job *j, enum conn_why why, const struct err *err)
{
	if (why == CONN_LATER || why == CONN_READONLY || why == CONN_NOGROUP) {
		j->doomed = true;
		j->when = clock_mono() + STUCK_PAUSE;
		job_set_state(&w->jobs, j, JOB_WAITING);
		return;
	}
	w->count->stuck++;
	handle_note(w, SUB_WARNING, "%s; it stays pending", err->text);
	handle_release(w, j);
}

/* --- without EVAL, over a connection of its own ---------------------------------------- */

struct deadletter_search {
	/* of the provenance: id, stream and group are looked for */
	const struct slice *kv;
	char found[2][ID_SIZE]; /* the first two that have them */
	size_t n;
};

static int
look_at(void *arg, struct slice id, const struct slice *kv, size_t nkv)
{
	struct deadletter_search *s = arg;
	size_t own = provenance_from_fields(kv, nkv, &(struct provenance){0});

	if (own == nkv)
		return 0;
	for (size_t i = 1; i < 6; i += 2)
		if (kv[own + i].n != s->kv[i].n ||
		    memcmp(kv[own + i].p, s->kv[i].p, s->kv[i].n) != 0)
			return 0;
	snprintf(s->found[s->n++], ID_SIZE, "%.*s", (int)id.n, id.p);
	return s->n == 2;
}

/* Dead letters of this entry; -1: f. */
static int
search(struct conn *conn, const struct handle_stream *p, const struct grave *g,
    struct deadletter_search *s, enum conn_why *why, struct err *err)
{
	struct err what;

	*s = (struct deadletter_search){.kv = g->kv};
	if (scan_entries(conn, p->dead_key, (struct stream_id){0}, HANDLE_PAGE, look_at, s, why,
	        &what) != -1)
		return 0;
	return err_set(err, what.status, "look in '%s': %s", p->dead_key, what.text);
}

/* An answer that is as it should be, or NULL: *why and f. */
static struct reply *
answer(struct conn *conn, const char *what, enum conn_why *why, struct err *err)
{
	struct reply *r = conn_wait(conn, 0, err);

	if (r == NULL) {
		*why = conn_why(conn);
		return NULL;
	}
	*why = reply_why(r);
	if (*why == CONN_OK)
		return r;
	reply_fail(err, r, what);
	reply_free(r);
	return NULL;
}

/* 1 pending with us, 0 not; -1. */
static int
is_ours(struct conn *conn, const struct handle_stream *p, const char *id, enum conn_why *why,
    struct err *err)
{
	struct reply *r;
	struct pending e;
	int ours;

	conn_putl(conn, "XPENDING", sub_key(p->sub), sub_group(p->sub), id, id, "1", NULL);
	if ((r = answer(conn, "XPENDING", why, err)) == NULL)
		return -1;
	ours = pending_parse(r, 0, &e) == 0 && slice_is(e.consumer, p->w->plan->consumer);
	reply_free(r);
	return ours;
}

/* The entry behind its provenance into the dead letters: 1, 0 when it is gone, -1. */
static int
copy(struct conn *conn, const struct handle_stream *p, const struct grave *g, enum conn_why *why,
    struct err *err)
{
	struct reply *r, *added;
	struct slice id;
	struct bytes kv = {0};
	bool missing = true;
	char what[300];

	stream_put_range(conn, sub_key(p->sub), g->id, g->id, 1);
	if ((r = answer(conn, "XRANGE", why, err)) == NULL)
		return -1;
	if (reply_count(r) == 0 || stream_parse_entry(reply_at(r, 0), &id, &kv, &missing) == -1 ||
	    missing) {
		bytes_free(&kv);
		reply_free(r);
		return 0;
	}
	bytes_add(&kv, g->kv, sizeof(g->kv));
	stream_put_add(conn, p->dead_key, 0, (const void *)kv.p, kv.len / sizeof(struct slice));
	bytes_free(&kv);
	reply_free(r);
	snprintf(what, sizeof(what), "set aside in '%s'", p->dead_key);
	if ((added = answer(conn, what, why, err)) == NULL)
		return -1;
	reply_free(added);
	return 1;
}

/* Look, copy, look again (another may have done the same: the first stays), acknowledge. 1 done, 0
 * not ours or gone, -1. */
static int
by_hand(struct conn *conn, const struct handle_stream *p, const struct grave *g, enum conn_why *why,
    struct err *err)
{
	struct deadletter_search s;
	struct slice id = slice_of(g->id);
	struct reply *r;
	int ok = is_ours(conn, p, g->id, why, err);

	if (ok != 1 || search(conn, p, g, &s, why, err) == -1)
		return ok == 1 ? -1 : ok;
	if (s.n == 0 && (ok = copy(conn, p, g, why, err)) != 1)
		return ok;
	if (search(conn, p, g, &s, why, err) == -1)
		return -1;
	if (s.n > 1) {
		conn_putl(conn, "XDEL", p->dead_key, s.found[1], NULL);
		if ((r = answer(conn, "XDEL", why, err)) == NULL)
			return -1;
		reply_free(r);
	}
	group_put_ack(conn, sub_key(p->sub), sub_group(p->sub), &id, 1);
	if ((r = answer(conn, "XACK", why, err)) == NULL)
		return -1;
	reply_free(r);
	return 1;
}

static void
bury_by_hand(struct handle *w, struct job *j)
{
	struct grave g;
	enum conn_why why;
	struct err err;
	struct conn *conn = conn_open(w->plan->url, w->plan->timeout_ms, &why, &err);
	int ok = -1;

	dig(j, &g);
	if (conn != NULL)
		ok = by_hand(conn, handle_stream_of(j), &g, &why, &err);
	conn_close(conn);
	if (ok == 1)
		set_aside(w, j);
	else if (ok == 0)
		gone(w, j);
	else
		stuck(w, j,
		    why == CONN_NOPERM || why == CONN_WRONGTYPE || why == CONN_OTHER ? why
		                                                                     : CONN_LATER,
		    &err);
}

/* --- by the script ---------------------------------------------------------------------- */

static bool
not_permitted(const struct reply *r)
{
	struct slice t = reply_text(r);

	return reply_why(r) == CONN_NOPERM ||
	    (reply_is_error(r) && memmem(t.p, t.n, "can't run this command", 22) != NULL) ||
	    (reply_is_error(r) && memmem(t.p, t.n, "unknown command", 15) != NULL);
}

static void
buried(struct control_request *a, struct reply *r)
{
	struct handle_stream *p = a->arg;
	struct handle *w = p->w;
	struct job *j = a->jobs[0];
	struct err err;
	char what[300];

	if (r == NULL)
		/* NOLINTNEXTLINE(bugprone-branch-clone): each has a reason of its own */
		job_set_state(&w->jobs, j, JOB_DEAD);
	else if (not_permitted(r)) {
		w->no_eval = true;
		job_set_state(&w->jobs, j, JOB_DEAD);
	} else if (reply_is_error(r)) {
		snprintf(what, sizeof(what), "set aside in '%s'", p->dead_key);
		reply_fail(&err, r, what);
		stuck(w, j, reply_why(r), &err);
	} else if (reply_is_text(r))
		set_aside(w, j);
	else if (reply_int(r) == 2)
		bury_by_hand(w, j);
	else if (p->forcing > 0)
		/* it is not pending yet in a group that was made again */
		job_set_state(&w->jobs, j, JOB_DEAD);
	else
		gone(w, j);
}

static void
bury(struct handle *w, struct job *j)
{
	struct handle_stream *p = handle_stream_of(j);
	struct job **mine = mem_alloc(sizeof(*mine));
	struct slice argv[8 + 2 * PROVENANCE_FIELDS];
	struct grave g;
	size_t n = 0;

	dig(j, &g);
	argv[n++] = slice_of("EVAL");
	argv[n++] = slice_of(script);
	argv[n++] = slice_of("2");
	argv[n++] = slice_of(sub_key(p->sub));
	argv[n++] = slice_of(p->dead_key);
	argv[n++] = slice_of(sub_group(p->sub));
	argv[n++] = slice_of(g.id);
	argv[n++] = slice_of(w->plan->consumer);
	memcpy(argv + n, g.kv, sizeof(g.kv));
	conn_put(w->control.conn, n + 2 * PROVENANCE_FIELDS, argv);
	mine[0] = j;
	job_unlist(j);
	control_expect(&w->control,
	    (struct control_request){
	        .answer = buried, .arg = p, .jobs = mine, .n = 1, .takes_errors = true});
}

void
deadletter_send(struct handle *w)
{
	for (size_t i = 0; i < w->plan->n && w->control.conn != NULL; i++)
		for (struct job *j; (j = w->posts[i].queue.dead.first) != NULL;)
			if (w->no_eval)
				bury_by_hand(w, j);
			else
				bury(w, j);
}

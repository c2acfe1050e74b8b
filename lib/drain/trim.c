#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/reply.h"
#include "drain/trim.h"

#define NODE 100	/* entries of a stream's node (stream-node-max-entries): trimming goes by whole ones */
#define EVERY 100	/* entries, of which one makes its publisher look */

/* --- limits ------------------------------------------------------------------------- */

void
trim_policy(struct dest *l, const struct conf *c)
{
	l->acked = conf_acked(c, l->type);
	l->hard = l->acked ? conf_maxlen_hard(c, l->type) : 0;
}

/* What nobody needs goes above so many entries; 0: nothing goes. */
static uint64_t
keep(const struct dest *l)
{
	if (l->hard && (!l->maxlen || l->maxlen > l->hard))
		return (uint64_t)l->hard;
	return (uint64_t)l->maxlen;
}

/* Of what has been trimmed by whole nodes up to one may be left that nobody needs: above this something is to be had. */
static uint64_t
most(const struct dest *l)
{
	uint64_t n = keep(l) + NODE;

	if (l->acked && !l->hard)
		return INT64_MAX;
	return l->acked && (uint64_t)l->hard > n ? (uint64_t)l->hard : n;
}

static uint64_t
tenth(const struct dest *l)
{
	uint64_t n = keep(l) / 10;

	return n < NODE ? NODE : n;
}

/* How many may be added to so many before the next look. */
static int64_t
room(const struct dest *l, uint64_t length)
{
	uint64_t step = tenth(l), left = length < most(l) ? most(l) - length : 0;

	if (keep(l) == 0)
		return INT64_MAX;
	if (step > TRIM_STEP)
		step = TRIM_STEP;
	return (int64_t)(left < step ? left : step);
}

int
trim_limit(struct dest *l, int64_t maxlen)
{
	if (l->maxlen == maxlen)
		return 1;
	if (l->mode == DEST_GUARDED && (l->maxlen == 0 || maxlen == 0))
		return 0;
	if (l->mode == DEST_GUARDED && !l->acked)
		l->room += maxlen - l->maxlen;
	l->maxlen = maxlen;
	return 1;
}

/* --- a lane that cannot go on --------------------------------------------------------- */

/* Refusals of one key stop the lane; those of the whole server end the run. */
static int
refused(struct dest *l, struct conn *b, enum conn_why why, struct err *f)
{
	if (conn_why(b) != CONN_FINE || why == CONN_LATER || why == CONN_READONLY || why == CONN_DENIED ||
	    why == CONN_MOVED)
		return -1;
	dest_stop(l, why, f->text);
	return 0;
}

static void
stop_full(struct dest *l, uint64_t length, const struct stream_group *g, size_t n)
{
	struct stream_id need = stream_needed(g, n);
	char id[ID_SIZE], text[512];
	const char *name = "?";
	uint64_t pending = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (id_cmp(stream_needed(&g[i], 1), need) == 0) {
			name = g[i].name;
			pending = g[i].pending;
			break;
		}
	id_format(need, id);
	snprintf(text, sizeof text, "stream full: %" PRIu64 " entries, limit %" PRId64 ", and group '%.200s' still needs "
	    "those from %s (%" PRIu64 " pending): consume, remove the group, or ebreplay --force",
	    length, l->acked ? l->hard : l->maxlen, name, id, pending);
	dest_stop(l, CONN_FINE, text);
}

static void
stop_blind(struct dest *l, uint64_t length, const char *refusal)
{
	char text[512];

	snprintf(text, sizeof text, "stream full: %" PRIu64 " entries, limit %" PRId64 ", and nothing is trimmed: %.300s", length,
	    l->hard, refusal);
	dest_stop(l, CONN_FINE, text);
}

/* --- a replay's own rule (G7) ------------------------------------------------------------ */

/* Trims what nobody needs, and counts what then may be added. */
static int
make_room(struct dest *l, struct conn *b, uint64_t length, struct err *f)
{
	struct stream_group *g;
	size_t n;
	uint64_t limit = keep(l), want = limit / 10 + 1, removed = 0;
	enum conn_why why = CONN_FINE;
	int r = 0;

	if (want > TRIM_STEP)
		want = TRIM_STEP;
	if (length + want > limit) {
		if (stream_groups(b, l->key, &g, &n, &why, f) == -1)
			return refused(l, b, why, f);
		if (n == 0) {	/* the last group went away just now */
			stream_groups_free(g, n);
			l->mode = DEST_PLAIN;
			l->room = INT64_MAX;
			return 0;
		}
		if (stream_trim(b, l->key, stream_needed(g, n), length + want - limit + NODE - 1,
		    &removed, &why, f) == -1)
			r = refused(l, b, why, f);
		length -= removed < length ? removed : length;
		if (r == 0 && !l->stopped && length >= most(l))
			stop_full(l, length, g, n);
		stream_groups_free(g, n);
	}
	l->room = (int64_t)most(l) - (int64_t)length;
	return r;
}

static int
measure(struct dest *l, struct conn *b, bool force, struct err *f)
{
	struct stream_info info;
	enum conn_why why = CONN_FINE;

	if (stream_info(b, l->key, &info, &why, f) == -1) {
		if (why != CONN_NOPERM)
			return refused(l, b, why, f);
		l->mode = DEST_BLIND;
		l->room = INT64_MAX;
		return 0;
	}
	l->after = info.last_generated;
	if (!l->opened)
		l->watch.before = info;
	l->mode = info.groups && !force ? DEST_GUARDED : DEST_PLAIN;
	l->room = INT64_MAX;
	if (l->mode == DEST_GUARDED && l->maxlen > 0)
		return make_room(l, b, info.length, f);
	return 0;
}

/* --- trim = acked --------------------------------------------------------------------------- */

struct view {
	struct stream_info info;
	struct stream_group *g;
	size_t n;
	uint64_t length;
	char refusal[256];	/* "", or why nothing can be trimmed: all of it counts as needed */
};

static void
go_blind(struct view *v, const struct err *f)
{
	snprintf(v->refusal, sizeof v->refusal, "%.255s", f->text);
}

/* XINFO STREAM and XINFO GROUPS in one round trip. -1 as stream_info; a refusal of permission is none. */
static int
look(struct dest *l, struct conn *b, struct view *v, enum conn_why *why, struct err *f)
{
	struct reply *info, *groups = NULL;
	int r = -1;

	stream_put_info(b, l->key);
	stream_put_groups(b, l->key);
	if ((info = conn_wait(b, 0, f)) == NULL || (groups = conn_wait(b, 0, f)) == NULL)
		*why = conn_why(b);
	else if (stream_take_info(info, &v->info, why, f) == 0)
		r = stream_take_groups(groups, &v->g, &v->n, why, f);
	if (r == -1 && conn_why(b) == CONN_FINE && *why == CONN_NOPERM) {
		go_blind(v, f);
		r = 0;
	}
	reply_free(info);
	reply_free(groups);
	return r;
}

/* Where XINFO STREAM is refused, XLEN may be allowed. *known: whether it is. */
static int
look_at_length(struct dest *l, struct conn *b, struct view *v, bool *known, enum conn_why *why, struct err *f)
{
	*known = true;
	v->length = v->info.length;
	if (v->info.exists || !*v->refusal)
		return 0;
	if (stream_length(b, l->key, &v->length, why, f) == 0)
		return 0;
	*known = false;
	return *why == CONN_NOPERM ? 0 : -1;
}

static int
trim(struct dest *l, struct conn *b, struct view *v, enum conn_why *why, struct err *f)
{
	uint64_t over = v->length - keep(l), removed = 0;
	int r;

	if (v->n == 0) {
		r = stream_trim_length(b, l->key, keep(l), over, &removed, why, f);
		l->trimmed += removed;
	} else {
		stream_put_pending(b, l->key, v->g, v->n);
		if (stream_take_pending(b, v->g, v->n, why, f) == -1)
			return -1;
		r = stream_trim(b, l->key, stream_needed(v->g, v->n), over, &removed, why, f);
	}
	v->length -= removed < v->length ? removed : v->length;
	if (r == -1 && *why == CONN_NOPERM) {
		go_blind(v, f);
		r = 0;
	}
	return r;
}

static void
tell_blind(struct dest *l, const struct view *v, bool known, struct bytes *words)
{
	if (l->told)
		return;
	l->told = true;
	bytes_addf(words, "%s'%s': trim = acked: nothing is trimmed%s: %s", words->len ? "; " : "", l->key,
	    known || !l->hard ? "" : ", and maxlen-hard is not kept", v->refusal);
}

static void
note_view(struct dest *l, struct view *v, struct bytes *words)
{
	l->after = v->info.last_generated;
	if (!l->opened)
		l->watch.before = v->info;
	trimwatch_others(&l->watch, l->key, &v->info, v->g, v->n, words);
}

static int
measure_view(struct dest *l, struct conn *b, struct view *v, struct bytes *words, enum conn_why *why, struct err *f)
{
	bool known, over;

	if (look_at_length(l, b, v, &known, why, f) == -1)
		return -1;
	if (!*v->refusal)
		note_view(l, v, words);
	over = keep(l) > 0 && (v->length > keep(l) + tenth(l) || v->length >= most(l));
	if (!*v->refusal && over && trim(l, b, v, why, f) == -1)
		return -1;
	l->watch.before.length = v->length;
	if (*v->refusal && (over || !known))
		tell_blind(l, v, known, words);
	l->mode = *v->refusal ? DEST_BLIND : DEST_GUARDED;
	l->room = known ? room(l, v->length) : INT64_MAX;
	if (l->room == 0 && *v->refusal)
		stop_blind(l, v->length, v->refusal);
	else if (l->room == 0 && v->n)
		stop_full(l, v->length, v->g, v->n);
	else if (l->room == 0)	/* nobody reads: it will be trimmed next time */
		l->room = 1;
	return 0;
}

static int
measure_acked(struct dest *l, struct conn *b, struct bytes *words, struct err *f)
{
	enum conn_why why = CONN_FINE;
	struct view v = { .n = 0 };
	int r;

	if (keep(l) == 0 && l->opened && !l->stale) {
		l->room = INT64_MAX;
		return 0;
	}
	r = look(l, b, &v, &why, f);
	if (r == 0)
		r = measure_view(l, b, &v, words, &why, f);
	stream_groups_free(v.g, v.n);
	return r == -1 ? refused(l, b, why, f) : 0;
}

/* --- the interface ----------------------------------------------------------------------------- */

int
trim_ready(struct dest *l, struct conn *b, int64_t maxlen, bool force, struct bytes *words, struct err *f)
{
	int r;

	if (l->stopped || (l->opened && !l->stale && trim_limit(l, maxlen) && l->room > 0))
		return 0;
	l->maxlen = maxlen;
	r = l->acked && !force ? measure_acked(l, b, words, f) : measure(l, b, force, f);
	if (r == -1)
		return -1;
	l->opened = true;
	l->stale = false;
	return 0;
}

void
trim_seen(struct dest *l, const struct stream_info *info)
{
	l->mode = DEST_GUARDED;
	l->room = info != NULL ? room(l, info->length) : 0;
}

bool
trim_due(const struct dest *l)
{
	const struct stream_info *was = &l->watch.before;
	uint64_t now = was->added + l->watch.added;

	return l->acked && !l->stopped && keep(l) > 0 && was->added / EVERY != now / EVERY &&
	    was->length + l->watch.added > keep(l) + tenth(l);
}

void
trim_again(struct dest *l)
{
	l->stopped = false;
	free(l->reason);
	l->reason = NULL;
	l->room = 0;
}

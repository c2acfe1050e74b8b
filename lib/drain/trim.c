#include "drain/trim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/id.h"
#include "redis/reply.h"
#include "redis/stream.h"

/* Entries in a node of a stream (stream-node-max-entries): trimming removes whole nodes. */
#define STREAM_NODE 100
#define MEASURE_EVERY 100 /* of this many entries, one makes its publisher measure */

/* Returns how many entries are kept even if no group needs them; 0: all, nothing is trimmed. */
static uint64_t
trim_threshold(const struct dest *dest)
{
	if (dest->maxlen_hard && (!dest->maxlen || dest->maxlen > dest->maxlen_hard))
		return (uint64_t)dest->maxlen_hard;
	return (uint64_t)dest->maxlen;
}

/* Returns the length at which the stream is full. Trimming by whole nodes may leave up to one node
 * of entries that no group needs. */
static uint64_t
full_length(const struct dest *dest)
{
	uint64_t n = trim_threshold(dest) + STREAM_NODE;

	if (dest->trim_acked && !dest->maxlen_hard)
		return INT64_MAX;
	return dest->trim_acked && (uint64_t)dest->maxlen_hard > n ? (uint64_t)dest->maxlen_hard
	                                                           : n;
}

static uint64_t
trim_slack(const struct dest *dest)
{
	uint64_t n = trim_threshold(dest) / 10;

	return n < STREAM_NODE ? STREAM_NODE : n;
}

/* Returns how many entries may be added to a stream of this length before it is measured again. */
static int64_t
room_until_measured(const struct dest *dest, uint64_t length)
{
	uint64_t step = trim_slack(dest),
	         left = length < full_length(dest) ? full_length(dest) - length : 0;

	if (trim_threshold(dest) == 0)
		return INT64_MAX;
	if (step > TRIM_STEP)
		step = TRIM_STEP;
	return (int64_t)(left < step ? left : step);
}

bool
trim_set_limit(struct dest *dest, int64_t maxlen)
{
	if (dest->maxlen == maxlen)
		return true;
	if (dest->mode == DEST_GUARDED && (dest->maxlen == 0 || maxlen == 0))
		return false;
	if (dest->mode == DEST_GUARDED && !dest->trim_acked)
		dest->room += maxlen - dest->maxlen;
	dest->maxlen = maxlen;
	return true;
}

static void
stop_untrimmed_dest(struct dest *dest, uint64_t length, const char *refusal)
{
	char text[512];

	snprintf(text, sizeof(text),
	    "stream full: %" PRIu64 " entries, limit %" PRId64 ", and nothing is trimmed: %.300s",
	    length, dest->maxlen_hard, refusal);
	dest_stop(dest, CONN_OK, text);
}

/* --- what the server says about a stream --- */

struct stream_view {
	bool has_info; /* XINFO STREAM is permitted */
	struct stream_info info;
	struct stream_group *groups;
	size_t ngroups;
	uint64_t length;
	/* a question, or trimming, is not permitted: all entries count as needed */
	bool refused;
	struct err refusal;
};

static void
stop_full_dest(const struct dests *dests, struct dest *dest, const struct stream_view *view)
{
	struct stream_id need = stream_lowest_needed(view->groups, view->ngroups);
	char id[ID_SIZE], text[512];
	const char *name = "?";
	uint64_t pending = 0;
	size_t i;

	for (i = 0; i < view->ngroups; i++)
		if (id_cmp(stream_lowest_needed(&view->groups[i], 1), need) == 0) {
			name = view->groups[i].name;
			pending = view->groups[i].pending;
			break;
		}
	id_format(need, id);
	snprintf(text, sizeof(text),
	    "stream full: %" PRIu64 " entries, limit %" PRId64 ", and group '%.200s' still needs "
	    "those from %s (%" PRIu64 " pending): consume, remove the group, or %s --force",
	    view->length, dest->trim_acked ? dest->maxlen_hard : dest->maxlen, name, id, pending,
	    dests->forcible);
	dest_stop(dest, CONN_OK, text);
}

/* Notes that something is not permitted, and returns 0. Returns -1 for another failure. */
static int
note_refusal(struct stream_view *view, const struct err *err)
{
	if (err->why != CONN_NOPERM)
		return -1;
	view->refused = true;
	view->refusal = *err;
	return 0;
}

/* Sends XINFO STREAM and XINFO GROUPS in one round trip. */
static int
read_stream_view(struct dest *dest, struct conn *conn, struct stream_view *view, struct err *err)
{
	struct reply *info, *groups = NULL;
	int r = -1;

	stream_put_info(conn, dest->key);
	stream_put_groups(conn, dest->key);
	if ((info = conn_wait(conn, err)) != NULL && (groups = conn_wait(conn, err)) != NULL) {
		view->has_info = stream_take_info(info, &view->info, err) == 0;
		if (!view->has_info ||
		    stream_take_groups(groups, &view->groups, &view->ngroups, err) == -1)
			r = note_refusal(view, err);
		else
			r = 0;
	}
	reply_free(info);
	reply_free(groups);
	if (!view->refused)
		view->info.groups = view->ngroups;
	view->length = view->info.length;
	if (!view->has_info)
		return r;
	dest->after = view->info.last_generated;
	if (!dest->measured)
		dest->watch.before = view->info;
	return r;
}

/* Trims entries that no group needs; without groups by length. */
static int
trim_stream(struct dest *dest, struct conn *conn, struct stream_view *view, uint64_t excess,
    struct err *err)
{
	uint64_t removed = 0;
	int r;

	if (view->ngroups == 0) {
		r = stream_trim_maxlen(
		    conn, dest->key, trim_threshold(dest), excess, &removed, err);
		dest->trimmed += removed;
	} else {
		stream_put_lowest_pending(conn, dest->key, view->groups, view->ngroups);
		if (stream_take_lowest_pending(conn, view->groups, view->ngroups, err) == -1)
			return -1;
		r = stream_trim_minid(conn, dest->key,
		    stream_lowest_needed(view->groups, view->ngroups), excess, &removed, err);
	}
	view->length -= removed < view->length ? removed : view->length;
	return r == -1 ? note_refusal(view, err) : 0;
}

/* --- replay: keeps what groups need (G7) --- */

static int
measure_for_replay(const struct dests *dests, struct dest *dest, struct conn *conn,
    struct stream_view *view, struct err *err)
{
	uint64_t limit = trim_threshold(dest), want = limit / 10 + 1;

	dest->mode = !view->has_info             ? DEST_BLIND
	    : view->info.groups && !dests->force ? DEST_GUARDED
	                                         : DEST_PLAIN;
	dest->room = INT64_MAX;
	if (dest->mode != DEST_GUARDED || dest->maxlen == 0)
		return 0;
	if (want > TRIM_STEP)
		want = TRIM_STEP;
	if (view->length + want > limit) {
		if (!view->refused &&
		    trim_stream(
		        dest, conn, view, view->length + want - limit + STREAM_NODE - 1, err) == -1)
			return -1;
		if (view->refused)
			return dest_refuse(dest, &view->refusal);
		if (view->length >= full_length(dest))
			stop_full_dest(dests, dest, view);
	}
	dest->room = (int64_t)full_length(dest) - (int64_t)view->length;
	return 0;
}

/* --- trim = acked --- */

static void
warn_untrimmed(struct dest *dest, const struct stream_view *view, bool known, struct bytes *words)
{
	if (dest->warned)
		return;
	dest->warned = true;
	bytes_addf(words, "%s'%s': trim = acked: nothing is trimmed%s: %s", words->len ? "; " : "",
	    dest->key, known || !dest->maxlen_hard ? "" : ", and maxlen-hard is not enforced",
	    view->refusal.text);
}

static int
measure_acked(const struct dests *dests, struct dest *dest, struct conn *conn,
    struct stream_view *view, struct bytes *words, struct err *err)
{
	bool known = true, over_limit;

	if (!view->has_info && stream_length(conn, dest->key, &view->length, err) == -1) {
		known = false;
		if (err->why != CONN_NOPERM)
			return -1;
	}
	if (!view->refused)
		trimwatch_check(&dest->watch, dest->key, -1, &view->info, view->groups, words);
	over_limit = trim_threshold(dest) > 0 &&
	    (view->length > trim_threshold(dest) + trim_slack(dest) ||
	        view->length >= full_length(dest));
	if (!view->refused && over_limit &&
	    trim_stream(dest, conn, view, view->length - trim_threshold(dest), err) == -1)
		return -1;
	dest->watch.before.length = view->length;
	if (view->refused && (over_limit || !known))
		warn_untrimmed(dest, view, known, words);
	dest->mode = view->refused ? DEST_BLIND : DEST_GUARDED;
	dest->room = known ? room_until_measured(dest, view->length) : INT64_MAX;
	if (dest->room == 0 && view->refused)
		stop_untrimmed_dest(dest, view->length, view->refusal.text);
	else if (dest->room == 0 && view->ngroups)
		stop_full_dest(dests, dest, view);
	else if (dest->room == 0) /* no groups: the next measurement trims it */
		dest->room = 1;
	return 0;
}

/* Reports the words, if there are any, and frees them. */
static void
say_words(const struct dests *dests, struct bytes *words)
{
	if (words->len) {
		err_clean(words);
		dests->say(dests->arg, words->p);
	}
	bytes_free(words);
}

int
trim_ensure_room(const struct dests *dests, struct dest *dest, struct conn *conn, int64_t maxlen,
    struct err *err)
{
	struct stream_view view = {.has_info = false};
	struct bytes words = {0};
	bool acked = dest->trim_acked && !dests->force;
	int r;

	if (dest->stopped ||
	    (dest->measured && !dest->stale && trim_set_limit(dest, maxlen) && dest->room > 0))
		return 0;
	dest->maxlen = maxlen;
	if (acked && trim_threshold(dest) == 0 && dest->measured && !dest->stale) {
		dest->room = INT64_MAX;
		return 0;
	}
	r = read_stream_view(dest, conn, &view, err);
	if (r == 0)
		r = acked ? measure_acked(dests, dest, conn, &view, &words, err)
		          : measure_for_replay(dests, dest, conn, &view, err);
	say_words(dests, &words);
	stream_groups_free(view.groups, view.ngroups);
	/* A refusal of the whole server does not stop the type: the reply to its XADD will tell. */
	if (r == -1 && (conn_is_server_wide(err->why) || dest_refuse(dest, err) == -1))
		return -1;
	dest->measured = true;
	dest->stale = false;
	return 0;
}

uint64_t
trim_count_unread(const struct dests *dests, struct dest *dest, struct conn *conn)
{
	struct trimwatch *watch = &dest->watch;
	struct stream_view view = {.has_info = false};
	struct bytes words = {0};
	struct err err;
	uint64_t unread = 0;

	if (watch->before.groups == 0 || dest->maxlen == 0 ||
	    watch->before.length + watch->added <= (uint64_t)dest->maxlen)
		return 0;
	if (read_stream_view(dest, conn, &view, &err) == 0 && !view.refused)
		unread = trimwatch_check(
		    watch, dest->key, dest->maxlen, &view.info, view.groups, &words);
	say_words(dests, &words);
	stream_groups_free(view.groups, view.ngroups);
	return unread;
}

uint64_t
dests_count_trimmed(const struct dests *dests, struct conn *conn)
{
	uint64_t trimmed = 0, now;
	struct err err;

	for (size_t i = 0; i < dests->n && conn_why(conn) == CONN_OK; i++) {
		const struct dest *dest = dests->dest[i];
		uint64_t had = dest->watch.before.length + dest->watch.added;

		trimmed += dest->trimmed;
		if (dest->mode == DEST_PLAIN && dest->watch.added && dest->maxlen > 0 &&
		    had > (uint64_t)dest->maxlen &&
		    stream_length(conn, dest->key, &now, &err) == 0 && now < had)
			trimmed += had - now;
	}
	return trimmed;
}

void
trim_begin_acked(struct dest *dest, const struct stream_info *info)
{
	dest->mode = DEST_GUARDED;
	dest->room = info != NULL ? room_until_measured(dest, info->length) : 0;
}

bool
trim_is_due(const struct dest *dest)
{
	const struct stream_info *was = &dest->watch.before;
	uint64_t now = was->added + dest->watch.added;

	return dest->trim_acked && !dest->stopped && trim_threshold(dest) > 0 &&
	    was->added / MEASURE_EVERY != now / MEASURE_EVERY &&
	    was->length + dest->watch.added > trim_threshold(dest) + trim_slack(dest);
}

void
trim_remeasure(struct dest *dest)
{
	dest->stopped = false;
	free(dest->reason);
	dest->reason = NULL;
	dest->room = 0;
}

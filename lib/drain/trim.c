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

void
trim_set_policy(struct dest *dest, const struct conf *c)
{
	dest->trim_acked = conf_trim_acked(c, dest->type);
	dest->maxlen_hard = dest->trim_acked ? conf_maxlen_hard(c, dest->type) : 0;
}

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
stop_full_dest(
    struct dest *dest, uint64_t length, const struct stream_group *groups, size_t ngroups)
{
	struct stream_id need = stream_lowest_needed(groups, ngroups);
	char id[ID_SIZE], text[512];
	const char *name = "?";
	uint64_t pending = 0;
	size_t i;

	for (i = 0; i < ngroups; i++)
		if (id_cmp(stream_lowest_needed(&groups[i], 1), need) == 0) {
			name = groups[i].name;
			pending = groups[i].pending;
			break;
		}
	id_format(need, id);
	snprintf(text, sizeof(text),
	    "stream full: %" PRIu64 " entries, limit %" PRId64 ", and group '%.200s' still needs "
	    "those from %s (%" PRIu64 " pending): consume, remove the group, or ebreplay --force",
	    length, dest->trim_acked ? dest->maxlen_hard : dest->maxlen, name, id, pending);
	dest_stop(dest, CONN_OK, text);
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

/* --- replay: keeps what groups need (G7) --- */

/* Trims entries that no group needs, and counts the room. Stops the dest if the stream stays full.
 * A stream without groups becomes DEST_PLAIN: the last group was deleted since it was measured. */
static int
make_room_or_stop(struct dest *dest, struct conn *conn, uint64_t length, struct err *err)
{
	struct stream_group *groups;
	size_t ngroups;
	uint64_t limit = trim_threshold(dest), want = limit / 10 + 1, removed = 0;
	int result = 0;

	if (want > TRIM_STEP)
		want = TRIM_STEP;
	if (length + want > limit) {
		if (stream_groups(conn, dest->key, &groups, &ngroups, err) == -1)
			return dest_refuse(dest, err);
		if (ngroups == 0) {
			stream_groups_free(groups, ngroups);
			dest->mode = DEST_PLAIN;
			dest->room = INT64_MAX;
			return 0;
		}
		if (stream_trim_minid(conn, dest->key, stream_lowest_needed(groups, ngroups),
		        length + want - limit + STREAM_NODE - 1, &removed, err) == -1)
			result = dest_refuse(dest, err);
		length -= removed < length ? removed : length;
		if (result == 0 && !dest->stopped && length >= full_length(dest))
			stop_full_dest(dest, length, groups, ngroups);
		stream_groups_free(groups, ngroups);
	}
	dest->room = (int64_t)full_length(dest) - (int64_t)length;
	return result;
}

static int
measure_for_replay(struct dest *dest, struct conn *conn, bool force, struct err *err)
{
	struct stream_info info;

	if (stream_info(conn, dest->key, &info, err) == -1) {
		if (err->why != CONN_NOPERM)
			return dest_refuse(dest, err);
		dest->mode = DEST_BLIND;
		dest->room = INT64_MAX;
		return 0;
	}
	dest->after = info.last_generated;
	if (!dest->measured)
		dest->watch.before = info;
	dest->mode = info.groups && !force ? DEST_GUARDED : DEST_PLAIN;
	dest->room = INT64_MAX;
	if (dest->mode == DEST_GUARDED && dest->maxlen > 0)
		return make_room_or_stop(dest, conn, info.length, err);
	return 0;
}

/* --- trim = acked --- */

struct stream_view {
	struct stream_info info;
	struct stream_group *groups;
	size_t ngroups;
	uint64_t length;
	/* "", or why nothing can be trimmed: all entries count as needed */
	char refusal[256];
};

static void
note_refusal(struct stream_view *view, const struct err *err)
{
	snprintf(view->refusal, sizeof(view->refusal), "%.255s", err->text);
}

/* Sends XINFO STREAM and XINFO GROUPS in one round trip. Fails as stream_info does, except that a
 * missing permission is noted in view->refusal. */
static int
read_stream_view(struct dest *dest, struct conn *conn, struct stream_view *view, struct err *err)
{
	struct reply *info, *groups = NULL;
	int r = -1;

	stream_put_info(conn, dest->key);
	stream_put_groups(conn, dest->key);
	if ((info = conn_wait(conn, 0, err)) != NULL &&
	    (groups = conn_wait(conn, 0, err)) != NULL &&
	    stream_take_info(info, &view->info, err) == 0)
		r = stream_take_groups(groups, &view->groups, &view->ngroups, err);
	if (r == -1 && conn_why(conn) == CONN_OK && err->why == CONN_NOPERM) {
		note_refusal(view, err);
		r = 0;
	}
	reply_free(info);
	reply_free(groups);
	return r;
}

/* Sets view->length, by XLEN if XINFO STREAM is not permitted. Sets *known to whether either is. */
static int
determine_stream_length(
    struct dest *dest, struct conn *conn, struct stream_view *view, bool *known, struct err *err)
{
	*known = true;
	view->length = view->info.length;
	if (view->info.exists || !*view->refusal)
		return 0;
	if (stream_length(conn, dest->key, &view->length, err) == 0)
		return 0;
	*known = false;
	return err->why == CONN_NOPERM ? 0 : -1;
}

static int
trim_stream(struct dest *dest, struct conn *conn, struct stream_view *view, struct err *err)
{
	uint64_t excess = view->length - trim_threshold(dest), removed = 0;
	int result;

	if (view->ngroups == 0) {
		result = stream_trim_maxlen(
		    conn, dest->key, trim_threshold(dest), excess, &removed, err);
		dest->trimmed += removed;
	} else {
		stream_put_lowest_pending(conn, dest->key, view->groups, view->ngroups);
		if (stream_take_lowest_pending(conn, view->groups, view->ngroups, err) == -1)
			return -1;
		result = stream_trim_minid(conn, dest->key,
		    stream_lowest_needed(view->groups, view->ngroups), excess, &removed, err);
	}
	view->length -= removed < view->length ? removed : view->length;
	if (result == -1 && err->why == CONN_NOPERM) {
		note_refusal(view, err);
		result = 0;
	}
	return result;
}

static void
warn_untrimmed(struct dest *dest, const struct stream_view *view, bool known, struct bytes *words)
{
	if (dest->warned)
		return;
	dest->warned = true;
	bytes_addf(words, "%s'%s': trim = acked: nothing is trimmed%s: %s", words->len ? "; " : "",
	    dest->key, known || !dest->maxlen_hard ? "" : ", and maxlen-hard is not enforced",
	    view->refusal);
}

static void
note_stream_view(struct dest *dest, struct stream_view *view, struct bytes *words)
{
	dest->after = view->info.last_generated;
	if (!dest->measured)
		dest->watch.before = view->info;
	trimwatch_check_others(
	    &dest->watch, dest->key, &view->info, view->groups, view->ngroups, words);
}

static int
measure_stream_view(struct dest *dest, struct conn *conn, struct stream_view *view,
    struct bytes *words, struct err *err)
{
	bool known, over_limit;

	if (determine_stream_length(dest, conn, view, &known, err) == -1)
		return -1;
	if (!*view->refusal)
		note_stream_view(dest, view, words);
	over_limit = trim_threshold(dest) > 0 &&
	    (view->length > trim_threshold(dest) + trim_slack(dest) ||
	        view->length >= full_length(dest));
	if (!*view->refusal && over_limit && trim_stream(dest, conn, view, err) == -1)
		return -1;
	dest->watch.before.length = view->length;
	if (*view->refusal && (over_limit || !known))
		warn_untrimmed(dest, view, known, words);
	dest->mode = *view->refusal ? DEST_BLIND : DEST_GUARDED;
	dest->room = known ? room_until_measured(dest, view->length) : INT64_MAX;
	if (dest->room == 0 && *view->refusal)
		stop_untrimmed_dest(dest, view->length, view->refusal);
	else if (dest->room == 0 && view->ngroups)
		stop_full_dest(dest, view->length, view->groups, view->ngroups);
	else if (dest->room == 0) /* no groups: the next measurement trims it */
		dest->room = 1;
	return 0;
}

static int
measure_acked(struct dest *dest, struct conn *conn, struct bytes *words, struct err *err)
{
	struct stream_view view = {.ngroups = 0};
	int r;

	if (trim_threshold(dest) == 0 && dest->measured && !dest->stale) {
		dest->room = INT64_MAX;
		return 0;
	}
	r = read_stream_view(dest, conn, &view, err);
	if (r == 0)
		r = measure_stream_view(dest, conn, &view, words, err);
	stream_groups_free(view.groups, view.ngroups);
	return r == -1 ? dest_refuse(dest, err) : 0;
}

int
trim_ensure_room(struct dest *dest, struct conn *conn, int64_t maxlen, bool force,
    struct bytes *words, struct err *err)
{
	int r;

	if (dest->stopped ||
	    (dest->measured && !dest->stale && trim_set_limit(dest, maxlen) && dest->room > 0))
		return 0;
	dest->maxlen = maxlen;
	r = dest->trim_acked && !force ? measure_acked(dest, conn, words, err)
	                               : measure_for_replay(dest, conn, force, err);
	if (r == -1)
		return -1;
	dest->measured = true;
	dest->stale = false;
	return 0;
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

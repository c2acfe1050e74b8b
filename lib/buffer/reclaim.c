#include "buffer/reclaim.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"
#include "buffer/manifest.h"
#include "buffer/reader.h"

static void
add_clean_segment(struct reclaim *rc, const char *stem)
{
	rc->clean = mem_realloc(rc->clean, (rc->nclean + 1) * sizeof(*rc->clean));
	rc->clean[rc->nclean++] = mem_strdup(stem);
}

static void
drop_clean_segment(struct reclaim *rc, const char *stem)
{
	for (size_t i = 0; i < rc->nclean; i++)
		if (strcmp(rc->clean[i], stem) == 0) {
			free(rc->clean[i]);
			rc->clean[i] = rc->clean[--rc->nclean];
			return;
		}
}

void
reclaim_note_line(struct reclaim *rc, const char *stem, bool first)
{
	if (rc->stem != NULL && strcmp(rc->stem, stem) == 0)
		return;
	if (rc->stem != NULL && rc->from_start && !rc->has_skipped)
		add_clean_segment(rc, rc->stem);
	rc->entered |= rc->stem != NULL;
	free(rc->stem);
	rc->stem = mem_strdup(stem);
	rc->from_start = first;
	rc->has_skipped = false;
}

void
reclaim_note_skipped(struct reclaim *rc, const char *stem)
{
	if (strcmp(rc->stem, stem) == 0)
		rc->has_skipped = true;
	else
		drop_clean_segment(rc, stem);
}

bool
reclaim_has_entered(struct reclaim *rc)
{
	bool entered = rc->entered;

	rc->entered = false;
	return entered;
}

void
reclaim_begin_walk(struct reclaim *rc)
{
	free(rc->gone);
	rc->gone = NULL;
	rc->first_left = 0;
	free(rc->stem);
	rc->stem = NULL;
	rc->entered = false;
}

void
reclaim_free(struct reclaim *rc)
{
	reclaim_begin_walk(rc);
	while (rc->nclean)
		free(rc->clean[--rc->nclean]);
	free(rc->clean);
	rc->clean = NULL;
	lateclose_wait(&rc->closer);
}

static bool
is_clean_segment(const struct reclaim *rc, const char *stem)
{
	for (size_t i = 0; i < rc->nclean; i++)
		if (strcmp(rc->clean[i], stem) == 0)
			return true;
	return false;
}

/* True when a lagging type may have undelivered lines in this source. */
static bool
has_lagging_lines(const struct reclaim *rc, struct checkpoint *cp, const struct segment *seg)
{
	const struct position *at;

	for (size_t i = 0; i < cp->nlagging; i++) {
		if (seg->kind != SEGMENT_CHAIN) {
			if (positions_find(&cp->lagging[i].positions, seg->stem) != NULL)
				return true;
			continue;
		}
		at = &cp->lagging[i].positions.chain;
		if (at->stem != NULL && strcmp(at->stem, seg->stem) <= 0 &&
		    !is_clean_segment(rc, seg->stem))
			return true;
	}
	return false;
}

/* Removes a segment that is already removed from the manifest. */
static int
remove_segment(struct reclaim *rc, struct buffer *buf, struct quarantine *q, struct checkpoint *cp,
    const struct segment *seg, struct err *err)
{
	struct bad_segment *b = checkpoint_find_bad(cp, seg->stem);
	int fd, r = 0;

	if (b != NULL)
		return quarantine_move_segment(q, seg, b->lines, err);
	fd = lateclose_hold(buf->fd, seg->name, seg->size);
	if (segment_unlink(buf->fd, seg) == -1)
		r = err_sys(err, STATUS_UNSAFE, "remove '%s/%s'", buf->dir, seg->name);
	lateclose_start(&rc->closer, fd);
	return r;
}

/* --- the last segment of the chain, to which publishers append ---------------------------- */

/* Quarantines a line without newline. Under the writers' lock: its writer is dead. */
static int
quarantine_torn_end(struct reclaim *rc, struct buffer *buf, struct quarantine *q,
    struct checkpoint *cp, const struct segment *seg, uint64_t from, struct err *err)
{
	struct reader *r = reader_open(buf->fd, seg, from, UINT64_MAX, 0, err);
	struct reader_line l;
	struct err why;
	int got;

	if (r == NULL)
		return -1;
	got = reader_next(r, &l, err);
	if (got == 1 && l.torn) {
		if (l.text.n > QUARANTINE_LINE_MAX ||
		    quarantine_add(q, seg->stem, l.pos,
		        "torn: the writer died in the middle of the line", l.text, &why) == -1 ||
		    quarantine_sync(q, &why) == -1)
			checkpoint_count_bad_line(cp, seg->stem);
		rc->torn++;
		position_set(&cp->positions.chain, seg->stem, l.end, 0);
	}
	if (got == -1 && err->sys == EBADMSG) { /* too long for a line: quarantine the whole file */
		if (checkpoint_find_bad(cp, seg->stem) == NULL)
			checkpoint_count_bad_line(cp, seg->stem);
		position_set(&cp->positions.chain, seg->stem, UINT64_MAX, 0);
		got = 0;
	}
	reader_close(r);
	return got == -1 ? -1 : 0;
}

static int
remove_last_locked(struct reclaim *rc, struct buffer *buf, struct quarantine *q,
    struct checkpoint *cp, const struct segment *seg, struct buffer_hints *hints, bool *gone,
    struct err *err)
{
	struct stat st;
	const struct position *at = &cp->positions.chain;
	bool inside = at->stem != NULL && strcmp(at->stem, seg->stem) == 0;

	if (fstatat(buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if (!seg->gz && (uint64_t)st.st_size > (inside ? at->pos : 0) &&
	    quarantine_torn_end(rc, buf, q, cp, seg, inside ? at->pos : 0, err) == -1)
		return -1;
	inside = at->stem != NULL && strcmp(at->stem, seg->stem) == 0;
	if (!seg->gz && (uint64_t)st.st_size > (inside ? at->pos : 0))
		return 0; /* a publisher appended since */
	if (strcmp(hints->stem, seg->stem) == 0) {
		hints->inode = 0;
		if (buffer_write_hints(buf, hints, err) == -1)
			return -1;
	}
	*gone = true;
	if (manifest_mark_removed(buf, &(const char *){seg->stem}, 1, err) == -1 ||
	    remove_segment(rc, buf, q, cp, seg, err) == -1)
		return -1;
	if (segment_any(buf->fd) == 0)
		manifest_clear(buf, false);
	return 0;
}

static int
remove_last_segment(struct reclaim *rc, struct buffer *buf, struct quarantine *q,
    struct checkpoint *cp, const struct segment *seg, int64_t lock_ms, bool *gone, struct err *err)
{
	struct buffer_hints hints;
	int r;

	if (buffer_lock(buf, lock_ms, &hints, err) == -1)
		return err->sys == EWOULDBLOCK ? 0 : -1;
	r = remove_last_locked(rc, buf, q, cp, seg, &hints, gone, err);
	buffer_unlock(buf);
	return r;
}

/* Returns whether a file outside the chain was walked to its end and has not grown since. Ends the
 * sorted part of one that has grown. */
static bool
check_file_delivered(
    struct buffer *buf, struct checkpoint *cp, const struct walk *w, const struct segment *seg)
{
	struct position *at = positions_find(&cp->positions, seg->stem);
	struct stat st;

	if (!walk_is_finished(w, seg->stem) ||
	    fstatat(buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	if (at == NULL)
		return st.st_size == 0;
	if (!at->limit)
		return at->pos >= (uint64_t)st.st_size;
	/* grown since it was sorted: the next walk begins there */
	if ((uint64_t)st.st_size > at->limit) {
		position_set(at, seg->stem, at->limit, 0);
		return false;
	}
	return true;
}

/* Collects the indices of segments that can be removed now, but the last of the chain. */
static size_t
choose_removable(struct reclaim *rc, struct buffer *buf, struct checkpoint *cp,
    const struct walk *w, bool at_end, size_t *out)
{
	const char *reached = cp->positions.chain.stem;
	size_t n, chosen = 0;
	const struct segment *seg = walk_segments(w, &n);

	for (size_t i = rc->first_left; i < n; i++) {
		bool chain = seg[i].kind == SEGMENT_CHAIN,
		     last = i + 1 == n || seg[i + 1].kind != SEGMENT_CHAIN;
		bool passed = chain && reached != NULL && strcmp(seg[i].stem, reached) < 0;

		if (!at_end && !passed)
			/* the chain ahead of the position; files wait for the end of the walk */
			break;
		if (rc->gone[i] || seg[i].kind == SEGMENT_FOREIGN || seg[i].ignored ||
		    has_lagging_lines(rc, cp, &seg[i]))
			continue;
		if (passed || (chain && !last) ||
		    (!chain && check_file_delivered(buf, cp, w, &seg[i])))
			out[chosen++] = i;
	}
	return chosen;
}

static int
remove_chosen(struct reclaim *rc, struct buffer *buf, struct quarantine *q, struct checkpoint *cp,
    const struct segment *seg, const size_t *chosen, size_t n, struct err *err)
{
	const char **stems = mem_alloc((n + 1) * sizeof(*stems));
	int r;

	for (size_t i = 0; i < n; i++)
		stems[i] = seg[chosen[i]].stem;
	r = manifest_mark_removed(buf, stems, n, err);
	free(stems);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if ((r = remove_segment(rc, buf, q, cp, &seg[chosen[i]], err)) == -1)
			break;
		checkpoint_drop_source(cp, seg[chosen[i]].stem);
		rc->gone[chosen[i]] = true;
	}
	return r;
}

int
reclaim_run(struct reclaim *rc, struct buffer *buf, struct quarantine *q, struct checkpoint *cp,
    const struct walk *w, bool at_end, int64_t lock_ms, struct err *err)
{
	size_t n, last = 0, chosen, *which;
	const struct segment *seg = walk_segments(w, &n);
	bool out = false;
	int r;

	if (rc->gone == NULL)
		rc->gone = mem_alloc((n + 1) * sizeof(*rc->gone));
	which = mem_alloc((n + 1) * sizeof(*which));
	chosen = choose_removable(rc, buf, cp, w, at_end, which);
	r = remove_chosen(rc, buf, q, cp, seg, which, chosen, err);
	free(which);
	while (rc->first_left < n && rc->gone[rc->first_left])
		rc->first_left++;
	while (last < n && seg[last].kind == SEGMENT_CHAIN)
		last++;
	if (r == 0 && at_end && last-- > 0 && !rc->gone[last] && !seg[last].ignored &&
	    !has_lagging_lines(rc, cp, &seg[last]) &&
	    (r = remove_last_segment(rc, buf, q, cp, &seg[last], lock_ms, &out, err)) == 0 && out) {
		checkpoint_drop_source(cp, seg[last].stem);
		rc->gone[last] = true;
		chosen++;
	}
	return chosen && r == 0 ? buffer_sync(buf, err) : r;
}

#include "buffer/reclaim.h"

#include <sys/stat.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/edited.h"
#include "buffer/manifest.h"
#include "buffer/reader.h"

#define LATE_CLOSE_MIN (1 << 20) /* bytes; below that a thread costs more than it saves */

/* --- freeing blocks late ----------------------------------------------------------------- */

/* Before the unlink: opens a descriptor for close_late. -1 when the file is small or cannot be
 * opened: the unlink then frees the blocks. NFS renames an open file instead of removing it. */
static int
hold_blocks(int dirfd, const struct segment *seg)
{
	struct statfs fs;

	if (seg->size < LATE_CLOSE_MIN || fstatfs(dirfd, &fs) == -1 || fs.f_type == NFS_SUPER_MAGIC)
		return -1;
	return openat(dirfd, seg->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static void *
close_file(void *arg)
{
	const struct reclaim *rc = arg;

	close(rc->closing_fd);
	return NULL;
}

static void
await_closer(struct reclaim *rc)
{
	if (rc->closing)
		pthread_join(rc->closer, NULL);
	rc->closing = false;
}

/* After the unlink: closes fd, which may be -1, in a thread. Waits for the previous one first. */
static void
close_late(struct reclaim *rc, int fd)
{
	sigset_t all, before;

	if (fd == -1)
		return;
	await_closer(rc);
	rc->closing_fd = fd;
	sigfillset(&all);
	/* the main thread must get the signals, which interrupt its system calls */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc->closing = pthread_create(&rc->closer, NULL, close_file, rc) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!rc->closing)
		close(fd);
}

/* --- what can be removed ------------------------------------------------------------------ */

static char **
find_clean_segment(const struct reclaim *rc, const char *stem)
{
	for (size_t i = 0; i < rc->nclean; i++)
		if (strcmp(rc->clean[i], stem) == 0)
			return &rc->clean[i];
	return NULL;
}

void
reclaim_note_line(struct reclaim *rc, const char *stem, bool first)
{
	if (rc->stem != NULL && strcmp(rc->stem, stem) == 0)
		return;
	if (rc->stem != NULL && rc->from_start && !rc->has_skipped) {
		rc->clean = mem_realloc(rc->clean, (rc->nclean + 1) * sizeof(*rc->clean));
		rc->clean[rc->nclean++] = mem_strdup(rc->stem);
	}
	rc->entered |= rc->stem != NULL;
	free(rc->stem);
	rc->stem = mem_strdup(stem);
	rc->from_start = first;
	rc->has_skipped = false;
}

void
reclaim_note_skipped(struct reclaim *rc, const char *stem)
{
	char **clean;

	if (strcmp(rc->stem, stem) == 0) {
		rc->has_skipped = true;
	} else if ((clean = find_clean_segment(rc, stem)) != NULL) {
		free(*clean);
		*clean = rc->clean[--rc->nclean];
	}
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
	free(rc->stem);
	rc->gone = NULL;
	rc->stem = NULL;
	rc->first_left = 0;
	rc->entered = false;
}

void
reclaim_free(struct reclaim *rc)
{
	free(rc->gone);
	free(rc->stem);
	while (rc->nclean)
		free(rc->clean[--rc->nclean]);
	free(rc->clean);
	await_closer(rc);
}

/* True when a lagging type may have undelivered lines in this source. */
static bool
has_lagging_lines(const struct reclaim *rc, const struct segment *seg)
{
	const struct checkpoint *cp = rc->checkpoint;
	bool clean = find_clean_segment(rc, seg->stem) != NULL;

	for (size_t i = 0; i < cp->nlagging; i++) {
		const struct positions *ps = &cp->lagging[i]->positions;

		if (seg->kind != SEGMENT_CHAIN ? positions_find(ps, seg->stem) != NULL
		                               : !clean && ps->chain.stem != NULL &&
		            strcmp(ps->chain.stem, seg->stem) <= 0)
			return true;
	}
	return false;
}

/* Returns whether a file outside the chain was walked to its end, has not grown since, and grows no
 * more. Ends the sorted part of one that has grown or may grow: the next walk begins there. */
static bool
check_file_delivered(struct reclaim *rc, const struct segment *seg)
{
	struct position *at = positions_find(&rc->checkpoint->positions, seg->stem);
	struct stat st;
	bool written;

	if (!walk_is_finished(rc->walk, seg->stem))
		return false;
	if (at == NULL) /* no line was read: adopt_remove_empty removes a plain writer's */
		return seg->kind != SEGMENT_ADOPTED && seg->size == 0;
	written = seg->kind == SEGMENT_ADOPTED && adopt_is_written(rc->buf, seg);
	/* in this order: what a writer appended before it closed the file counts */
	if (fstatat(rc->buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	if (!at->limit)
		return !written && at->pos >= (uint64_t)st.st_size;
	if (written || (uint64_t)st.st_size > at->limit) {
		position_set(at, seg->stem, at->limit, 0);
		rc->moved = true;
		return false;
	}
	return true;
}

/* --- removing ----------------------------------------------------------------------------- */

/* Removes a segment that is already removed from the manifest. */
static int
remove_segment(struct reclaim *rc, const struct segment *seg, struct err *err)
{
	const struct position *bad = positions_find(&rc->checkpoint->bad, seg->stem);
	int fd, r = 0;

	if (bad != NULL) {
		r = quarantine_move_segment(rc->quarantine, seg, bad->pos, err);
	} else {
		fd = hold_blocks(rc->buf->fd, seg);
		if (segment_unlink(rc->buf->fd, seg) == -1)
			r = err_sys(err, STATUS_UNSAFE, "remove '%s/%s'", rc->buf->dir, seg->name);
		close_late(rc, fd);
	}
	if (r == 0)
		checkpoint_drop_source(rc->checkpoint, seg->stem);
	return r;
}

/* Removes all that can be removed now but the last segment of the chain. Returns how many, or -1
 * with err. */
static int
remove_passed(struct reclaim *rc, bool at_end, struct err *err)
{
	const char *reached = rc->checkpoint->positions.chain.stem, **stems;
	size_t n, chosen = 0, *which;
	const struct segment *seg = walk_segments(rc->walk, &n);
	int r;

	stems = mem_alloc((n + 1) * sizeof(*stems));
	which = mem_alloc((n + 1) * sizeof(*which));
	for (size_t i = rc->first_left; i < n; i++) {
		bool chain = seg[i].kind == SEGMENT_CHAIN,
		     last = i + 1 == n || seg[i + 1].kind != SEGMENT_CHAIN,
		     passed = chain && reached != NULL && strcmp(seg[i].stem, reached) < 0;

		if (!at_end && !passed)
			/* the chain ahead of the position; files wait for the end of the walk */
			break;
		if (rc->gone[i] || seg[i].kind == SEGMENT_PLAIN || seg[i].ignored ||
		    has_lagging_lines(rc, &seg[i]))
			continue;
		if (passed || (chain ? !last : check_file_delivered(rc, &seg[i]))) {
			stems[chosen] = seg[i].stem;
			which[chosen++] = i;
		}
	}
	r = manifest_mark_removed(rc->buf, stems, chosen, err);
	for (size_t i = 0; r == 0 && i < chosen; i++)
		if ((r = remove_segment(rc, &seg[which[i]], err)) == 0)
			rc->gone[which[i]] = true;
	free(stems);
	free(which);
	return r == -1 ? -1 : (int)chosen;
}

/* --- the last segment of the chain, to which publishers append ---------------------------- */

/* Quarantines a line without newline. Under the writers' lock: its writer is dead. */
static int
quarantine_torn_end(struct reclaim *rc, const struct segment *seg, uint64_t from, struct err *err)
{
	struct reader *r = reader_open(rc->buf->fd, seg, from, UINT64_MAX, 0, err);
	struct position *at = &rc->checkpoint->positions.chain;
	struct reader_line l;
	struct err why;
	int got;

	if (r == NULL)
		return -1;
	got = reader_next(r, &l, err);
	if (got == 1 && l.torn) {
		if (l.text.n > QUARANTINE_LINE_MAX ||
		    quarantine_add(rc->quarantine, seg->stem, l.pos,
		        "torn: the writer died in the middle of the line", l.text, &why) == -1 ||
		    quarantine_sync(rc->quarantine, &why) == -1)
			checkpoint_count_bad_line(rc->checkpoint, seg->stem);
		rc->torn++;
		position_set(at, seg->stem, l.end, 0);
		at->mark = edited_mark(l.text);
	}
	if (got == -1 && err->sys == EBADMSG) { /* too long for a line: quarantine the whole file */
		if (positions_find(&rc->checkpoint->bad, seg->stem) == NULL)
			checkpoint_count_bad_line(rc->checkpoint, seg->stem);
		position_set(at, seg->stem, UINT64_MAX, 0);
		got = 0;
	}
	reader_close(r);
	return got == -1 ? -1 : 0;
}

/* Returns how many bytes of the segment were passed. */
static uint64_t
passed_bytes(const struct reclaim *rc, const struct segment *seg)
{
	const struct position *at = &rc->checkpoint->positions.chain;

	return at->stem != NULL && strcmp(at->stem, seg->stem) == 0 ? at->pos : 0;
}

/* Returns 1 when it removed the segment, 0 when not, -1 with err. */
static int
remove_last_locked(
    struct reclaim *rc, const struct segment *seg, struct buffer_hints *hints, struct err *err)
{
	struct stat st;
	uint64_t size;
	int any;

	if (fstatat(rc->buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	size = seg->gz ? 0 : (uint64_t)st.st_size;
	if (size > passed_bytes(rc, seg) &&
	    quarantine_torn_end(rc, seg, passed_bytes(rc, seg), err) == -1)
		return -1;
	if (size > passed_bytes(rc, seg))
		return 0; /* a publisher appended since */
	if (strcmp(hints->stem, seg->stem) == 0) {
		hints->inode = 0;
		if (buffer_write_hints(rc->buf, hints, err) == -1)
			return -1;
	}
	if (manifest_mark_removed(rc->buf, &(const char *){seg->stem}, 1, err) == -1 ||
	    remove_segment(rc, seg, err) == -1)
		return -1;
	any = segment_any(rc->buf->fd);
	if (any == 0 || any == 2)
		manifest_clear(rc->buf);
	return 1;
}

/* As remove_last_locked. */
static int
remove_last(struct reclaim *rc, struct err *err)
{
	size_t n, last = 0;
	const struct segment *seg = walk_segments(rc->walk, &n);
	struct buffer_hints hints;
	int r;

	while (last < n && seg[last].kind == SEGMENT_CHAIN)
		last++;
	if (last-- == 0 || rc->gone[last] || seg[last].ignored || has_lagging_lines(rc, &seg[last]))
		return 0;
	if (buffer_lock(rc->buf, rc->lock_ms, &hints, err) == -1)
		return err->sys == EWOULDBLOCK ? 0 : -1;
	r = remove_last_locked(rc, &seg[last], &hints, err);
	buffer_unlock(rc->buf);
	rc->gone[last] = r == 1;
	return r;
}

int
reclaim_run(struct reclaim *rc, const struct walk *walk, bool at_end, struct err *err)
{
	size_t n;
	int removed, last = 0;

	rc->walk = walk;
	walk_segments(rc->walk, &n);
	if (rc->gone == NULL)
		rc->gone = mem_alloc((n + 1) * sizeof(*rc->gone));
	removed = remove_passed(rc, at_end, err);
	while (rc->first_left < n && rc->gone[rc->first_left])
		rc->first_left++;
	if (removed != -1 && at_end)
		last = remove_last(rc, err);
	if (removed == -1 || last == -1)
		return -1;
	return removed + last > 0 ? buffer_sync(rc->buf, err) : 0;
}

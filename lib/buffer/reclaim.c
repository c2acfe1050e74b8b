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

void
reclaim_add_clean(struct reclaim *s, const char *stem)
{
	s->clean = mem_realloc(s->clean, (s->n + 1) * sizeof(*s->clean));
	s->clean[s->n++] = mem_strdup(stem);
}

void
reclaim_drop_clean(struct reclaim *s, const char *stem)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->clean[i], stem) == 0) {
			free(s->clean[i]);
			s->clean[i] = s->clean[--s->n];
			return;
		}
}

void
reclaim_begin_walk(struct reclaim *s)
{
	free(s->gone);
	s->gone = NULL;
	s->first = 0;
}

void
reclaim_free(struct reclaim *s)
{
	reclaim_begin_walk(s);
	while (s->n)
		free(s->clean[--s->n]);
	free(s->clean);
	s->clean = NULL;
	lateclose_wait(&s->release);
}

static bool
is_clean(const struct reclaim *s, const char *stem)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->clean[i], stem) == 0)
			return true;
	return false;
}

/* Whether a late type may still have lines in this source. */
static bool
is_needed(const struct reclaim *s, struct checkpoint *p, const struct segment *seg)
{
	size_t i;
	const struct position *k;

	for (i = 0; i < p->nlagging; i++) {
		if (seg->kind != SEGMENT_CHAIN) {
			if (positions_find(&p->lagging[i].positions, seg->stem) != NULL)
				return true;
			continue;
		}
		k = &p->lagging[i].positions.chain;
		if (k->stem != NULL && strcmp(k->stem, seg->stem) <= 0 && !is_clean(s, seg->stem))
			return true;
	}
	return false;
}

/* A segment that is struck from the roster. */
static int
take_away(struct reclaim *s, struct buffer *buf, struct quarantine *q, struct checkpoint *p,
    const struct segment *seg, struct err *err)
{
	struct bad_segment *b = checkpoint_find_bad(p, seg->stem);
	int fd, r = 0;

	if (b != NULL)
		return quarantine_move_segment(q, seg, b->lines, err);
	fd = lateclose_hold(buffer_fd(buf), seg->name, seg->size);
	if (segment_unlink(buffer_fd(buf), seg) == -1)
		r = err_sys(err, STATUS_UNSAFE, "remove '%s/%s'", buffer_dir(buf), seg->name);
	lateclose_start(&s->release, fd);
	return r;
}

/* --- the last segment of the chain: others may be appending ------------------------------ */

/* A piece without newline, seen under the lock: its writer is dead. */
static int
keep_torn(struct reclaim *s, struct buffer *buf, struct quarantine *q, struct checkpoint *p,
    const struct segment *seg, uint64_t from, struct err *err)
{
	struct reader *r = reader_open(buffer_fd(buf), seg, from, UINT64_MAX, 0, err);
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
			checkpoint_add_bad(p, seg->stem);
		s->torn++;
		position_set(&p->positions.chain, seg->stem, l.end, 0);
	}
	if (got == -1 && err->sys == EBADMSG) { /* no end of it in sight: the file goes whole */
		if (checkpoint_find_bad(p, seg->stem) == NULL)
			checkpoint_add_bad(p, seg->stem);
		position_set(&p->positions.chain, seg->stem, UINT64_MAX, 0);
		got = 0;
	}
	reader_close(r);
	return got == -1 ? -1 : 0;
}

static int
take_last_locked(struct reclaim *s, struct buffer *buf, struct quarantine *q, struct checkpoint *p,
    const struct segment *seg, struct buffer_hints *nb, bool *gone, struct err *err)
{
	struct stat st;
	const struct position *m = &p->positions.chain;
	bool in = m->stem != NULL && strcmp(m->stem, seg->stem) == 0;

	if (fstatat(buffer_fd(buf), seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if (!seg->gz && (uint64_t)st.st_size > (in ? m->pos : 0) &&
	    keep_torn(s, buf, q, p, seg, in ? m->pos : 0, err) == -1)
		return -1;
	in = m->stem != NULL && strcmp(m->stem, seg->stem) == 0;
	if (!seg->gz && (uint64_t)st.st_size > (in ? m->pos : 0))
		return 0; /* somebody appended: for the next round */
	if (strcmp(nb->stem, seg->stem) == 0) {
		nb->inode = 0;
		if (buffer_write_hints(buf, nb, err) == -1)
			return -1;
	}
	*gone = true;
	if (manifest_remove(buf, &(const char *){seg->stem}, 1, err) == -1 ||
	    take_away(s, buf, q, p, seg, err) == -1)
		return -1;
	if (segment_any(buffer_fd(buf)) == 0)
		manifest_clear(buf, false);
	return 0;
}

static int
take_last(struct reclaim *s, struct buffer *buf, struct quarantine *q, struct checkpoint *p,
    const struct segment *seg, int64_t lock_ms, bool *gone, struct err *err)
{
	struct buffer_hints nb;
	int r;

	if (buffer_lock(buf, lock_ms, &nb, err) == -1)
		return err->sys == EWOULDBLOCK ? 0 : -1;
	r = take_last_locked(s, buf, q, p, seg, &nb, gone, err);
	buffer_unlock(buf);
	return r;
}

/* --- all of them ---------------------------------------------------------------------------- */

/* Whether a file that is not of the chain was given out whole, and has not grown since. */
static bool
is_through(
    struct buffer *buf, struct checkpoint *p, const struct walk *w, const struct segment *seg)
{
	struct position *m = positions_find(&p->positions, seg->stem);
	struct stat st;

	if (!walk_is_finished(w, seg->stem) ||
	    fstatat(buffer_fd(buf), seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	if (m == NULL)
		return st.st_size == 0;
	if (!m->limit)
		return m->pos >= (uint64_t)st.st_size;
	/* grown behind what was sorted: read on from there */
	if ((uint64_t)st.st_size > m->limit) {
		position_set(m, seg->stem, m->limit, 0);
		return false;
	}
	return true;
}

/* Which are through now, from `first` on; the last of the chain is another matter. */
static size_t
choose(struct reclaim *s, struct buffer *buf, struct checkpoint *p, const struct walk *w, bool end,
    size_t *out)
{
	const char *mark = p->positions.chain.stem;
	size_t i, n, chosen = 0;
	const struct segment *seg = walk_segments(w, &n);

	for (i = s->first; i < n; i++) {
		bool chain = seg[i].kind == SEGMENT_CHAIN,
		     last = i + 1 == n || seg[i + 1].kind != SEGMENT_CHAIN;
		bool through = chain && mark != NULL && strcmp(seg[i].stem, mark) < 0;

		if (!end && !through)
			/* the rest of the chain, and files, which wait for the end */
			break;
		if (s->gone[i] || seg[i].kind == SEGMENT_FOREIGN || seg[i].ignored ||
		    is_needed(s, p, &seg[i]))
			continue;
		if (through || (chain && !last) || (!chain && is_through(buf, p, w, &seg[i])))
			out[chosen++] = i;
	}
	return chosen;
}

static int
take_chosen(struct reclaim *s, struct buffer *buf, struct quarantine *q, struct checkpoint *p,
    const struct segment *seg, const size_t *chosen, size_t n, struct err *err)
{
	const char **stems = mem_alloc((n + 1) * sizeof(*stems));
	size_t i;
	int r;

	for (i = 0; i < n; i++)
		stems[i] = seg[chosen[i]].stem;
	r = manifest_remove(buf, stems, n, err);
	free(stems);
	for (i = 0; r == 0 && i < n; i++) {
		if ((r = take_away(s, buf, q, p, &seg[chosen[i]], err)) == -1)
			break;
		checkpoint_drop_source(p, seg[chosen[i]].stem);
		s->gone[chosen[i]] = true;
	}
	return r;
}

int
reclaim_run(struct reclaim *s, struct buffer *buf, struct quarantine *q, struct checkpoint *p,
    const struct walk *w, bool end, int64_t lock_ms, struct err *err)
{
	size_t n, last = 0, chosen, *which;
	const struct segment *seg = walk_segments(w, &n);
	bool out = false;
	int r;

	if (s->gone == NULL)
		s->gone = mem_alloc((n + 1) * sizeof(*s->gone));
	which = mem_alloc((n + 1) * sizeof(*which));
	chosen = choose(s, buf, p, w, end, which);
	r = take_chosen(s, buf, q, p, seg, which, chosen, err);
	free(which);
	while (s->first < n && s->gone[s->first])
		s->first++;
	while (last < n && seg[last].kind == SEGMENT_CHAIN)
		last++;
	if (r == 0 && end && last-- > 0 && !s->gone[last] && !seg[last].ignored &&
	    !is_needed(s, p, &seg[last]) &&
	    (r = take_last(s, buf, q, p, &seg[last], lock_ms, &out, err)) == 0 && out) {
		checkpoint_drop_source(p, seg[last].stem);
		s->gone[last] = true;
		chosen++;
	}
	return chosen && r == 0 ? buffer_sync(buf, err) : r;
}

#include "buffer/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/reader.h"

struct source {
	bool chain;
	size_t next, end; /* chain: indices into the segments still to be opened */
	const struct segment *seg;
	struct reader *r; /* NULL between segments */
	bool has, over;
	struct walk_line line;
	int64_t stamp;
	/* an unsorted file */
	uint64_t limit, given;    /* its size when it was sorted; lines given out */
	struct sorted_line *heap; /* walksort.c */
	size_t heaped, room;
	int64_t newest; /* last stamp read into the window */
	int64_t given_stamp;
	struct bytes text;
};

struct walk {
	struct buffer *buf;
	bool late, sync, closed;
	walk_stamp_fn *stamp;
	struct segment *segs;
	size_t nsegs;
	uint64_t last_size; /* of the last chain segment, measured before the listing */
	struct source *src;
	size_t nsrc;
	struct source *given; /* whose line the caller holds */
	const char *disorder;
	const struct segment **damaged;
	size_t ndamaged;
};

struct sorted_line { /* of the window of an unsorted file */
	int64_t stamp;
	uint64_t at;
	uint32_t len;
	bool torn;
};

static int
before(const struct sorted_line *a, const struct sorted_line *b)
{
	return a->stamp != b->stamp ? a->stamp < b->stamp : a->at < b->at;
}

static void
heap_push(struct source *s, struct sorted_line e)
{
	size_t i = s->heaped++, up;

	if (s->heaped > s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->heap = mem_realloc(s->heap, s->room * sizeof(*s->heap));
	}
	for (; i > 0 && before(&e, &s->heap[up = (i - 1) / 2]); i = up)
		s->heap[i] = s->heap[up];
	s->heap[i] = e;
}

static struct sorted_line
heap_pop(struct source *s)
{
	struct sorted_line top = s->heap[0], last = s->heap[--s->heaped];
	size_t i = 0, kid;

	while ((kid = 2 * i + 1) < s->heaped) {
		if (kid + 1 < s->heaped && before(&s->heap[kid + 1], &s->heap[kid]))
			kid++;
		if (!before(&s->heap[kid], &last))
			break;
		s->heap[i] = s->heap[kid];
		i = kid;
	}
	if (s->heaped)
		s->heap[i] = last;
	return top;
}

static int
fill_window(struct walk *w, struct source *s, struct err *err)
{
	struct reader_line l;
	int r = 1;

	while (s->heaped < WALK_WINDOW && (r = reader_next(s->r, &l, err)) == 1) {
		struct sorted_line e = {.at = l.pos, .len = (uint32_t)l.text.n, .torn = l.torn};

		if (w->stamp(l.text, &e.stamp) == -1)
			e.stamp = s->newest;
		s->newest = e.stamp;
		heap_push(s, e);
	}
	return r == -1 ? -1 : 0;
}

/* The next line of an unsorted file into s->line, as walk_next: 1, 0, -1. */
static int
walk_sorted(struct walk *w, struct source *s, struct err *err)
{
	struct sorted_line e;

	if (fill_window(w, s, err) == -1)
		return -1;
	if (!s->heaped)
		return 0;
	e = heap_pop(s);
	if (e.stamp < s->given_stamp)
		w->disorder = s->seg->name;
	else
		s->given_stamp = e.stamp;
	s->text.len = 0;
	bytes_reserve(&s->text, e.len + 1u);
	if (reader_read_at(s->r, e.at, s->text.p, e.len, err) == -1)
		return -1;
	s->line = (struct walk_line){.text = {s->text.p, e.len},
	    .stem = s->seg->stem,
	    .pos = s->given,
	    .end = s->given + 1,
	    .limit = s->limit,
	    .at = e.at,
	    .torn = e.torn};
	s->given++;
	s->stamp = e.stamp;
	return 1;
}

/* Passes over its first n lines. */
static int
walk_skip(struct walk *w, struct source *s, uint64_t n, struct err *err)
{
	int r = 1;

	while (r == 1 && s->given < n)
		r = walk_sorted(w, s, err);
	return r == -1 ? -1 : 0;
}

/* --- the next line of a source --------------------------------------------------------- */

static int
next_plain(struct walk *w, struct source *s, struct err *err)
{
	struct reader_line l;
	int r = reader_next(s->r, &l, err);

	if (r != 1)
		return r;
	s->line = (struct walk_line){.text = l.text,
	    .stem = s->seg->stem,
	    .chain = s->chain,
	    .pos = l.pos,
	    .end = l.end,
	    .at = l.pos,
	    .torn = l.torn,
	    .suspect = s->seg->suspect};
	/* The stamp serves the merge only: not looked for while there is nothing to merge with. */
	if (w->nsrc > 1 && w->stamp(l.text, &l.stamp) == 0)
		s->stamp = l.stamp;
	return 1;
}

/* Of the chain: a file of another kind is a source of its own. */
static int
open_next(struct walk *w, struct source *s, uint64_t from, struct err *err)
{
	struct segment *seg = &w->segs[s->next++];
	uint64_t limit = UINT64_MAX;
	bool last = s->next == s->end;
	int flags = (last && !w->closed ? READER_LIVE : 0) | (w->sync ? READER_SYNC : 0);

	s->seg = seg;
	if (last && !s->seg->gz)
		limit = w->last_size;
	s->r = reader_open(buffer_fd(w->buf), s->seg, from, limit, flags, err);
	/* its fdatasync failed since the list was made */
	if (s->r == NULL && err->sys == ENOENT && !s->seg->suspect) {
		snprintf(seg->name, sizeof(seg->name), "%.200s.suspect.jsonl", seg->stem);
		seg->suspect = true;
		s->r = reader_open(buffer_fd(w->buf), seg, from, limit, flags, err);
	}
	if (s->r != NULL)
		return 0;
	if (err->sys != ENOENT)
		return -1;
	/* gone meanwhile, and not by us: it stays in the roster, which tells of it */
	seg->ignored = true;
	return 0;
}

static int
advance(struct walk *w, struct source *s, struct err *err)
{
	int r;

	s->has = false;
	while (!s->over) {
		r = s->r == NULL ? 0 : s->limit ? walk_sorted(w, s, err) : next_plain(w, s, err);
		if (r == 1)
			s->has = true;
		if (r == -1 && err->sys == EBADMSG) {
			w->damaged =
			    mem_realloc(w->damaged, (w->ndamaged + 1) * sizeof(*w->damaged));
			w->damaged[w->ndamaged++] = s->seg;
			r = 0;
		}
		if (r != 0)
			return r == 1 ? 0 : -1;
		reader_close(s->r);
		s->r = NULL;
		if (s->next == s->end)
			s->over = true;
		else if (open_next(w, s, 0, err) == -1)
			return -1;
	}
	return 0;
}

int
walk_next(struct walk *w, struct walk_line *l, struct err *err)
{
	struct source *best = NULL;
	size_t i;

	if (w->given != NULL && advance(w, w->given, err) == -1)
		return -1;
	w->given = NULL;
	for (i = 0; i < w->nsrc; i++)
		if (w->src[i].has && (best == NULL || w->src[i].stamp < best->stamp))
			best = &w->src[i];
	if (best == NULL)
		return 0;
	w->given = best;
	*l = best->line;
	return 1;
}

/* --- opening ----------------------------------------------------------------------------- */

/* The lowest of a source's marks: the main one, or that of a late type when those count. */
static struct position
start_of(const struct checkpoint *p, bool from_late, const char *stem)
{
	struct position *m = stem != NULL ? positions_find(&p->positions, stem) : NULL;
	struct position low = {0}, *k;
	size_t i;

	if (stem == NULL)
		low = p->positions.chain;
	else if (m != NULL)
		low = *m;
	for (i = 0; from_late && i < p->nlagging; i++) {
		k = stem != NULL ? positions_find(&p->lagging[i].positions, stem)
		                 : &p->lagging[i].positions.chain;
		if (k == NULL || k->stem == NULL)
			continue;
		if (stem != NULL ? k->pos < low.pos
		                 : position_cmp(k, low.stem != NULL ? low.stem : "", low.pos) < 0)
			low = *k;
	}
	return low;
}

static int
open_chain(struct walk *w, const struct checkpoint *p, size_t n, struct err *err)
{
	struct source *s = &w->src[0];
	struct position from = start_of(p, w->late, NULL);
	uint64_t at = 0;

	s->chain = true;
	s->end = n;
	while (s->next < n && from.stem != NULL && strcmp(w->segs[s->next].stem, from.stem) < 0)
		s->next++;
	if (s->next < n && from.stem != NULL && strcmp(w->segs[s->next].stem, from.stem) == 0)
		at = from.pos;
	if (s->next == n)
		s->over = true;
	else if (open_next(w, s, at, err) == -1)
		return -1;
	return advance(w, s, err);
}

/* Whether a claimed file is in order of its stamps; reads all of it, once in its life. */
static int
is_sorted(struct walk *w, const struct segment *seg, uint64_t *size, struct err *err)
{
	struct reader *r = reader_open(buffer_fd(w->buf), seg, 0, UINT64_MAX, 0, err);
	struct reader_line l;
	int64_t last = INT64_MIN, stamp;
	int got, sorted = 1;

	if (r == NULL)
		return -1;
	while ((got = reader_next(r, &l, err)) == 1)
		if (w->stamp(l.text, &stamp) == 0) {
			sorted &= stamp >= last;
			last = stamp;
		}
	*size = reader_bytes_read(r);
	reader_close(r);
	/* what is damaged shows again when it is read */
	return got == -1 && err->sys != EBADMSG ? -1 : sorted;
}

static int
open_file(struct walk *w, const struct checkpoint *p, const struct segment *seg, struct err *err)
{
	struct source *s = &w->src[w->nsrc];
	struct position from = start_of(p, w->late, seg->stem);
	const struct position *main = positions_find(&p->positions, seg->stem);
	uint64_t limit = main != NULL ? main->limit : 0;
	int sorted = 1;

	if (seg->kind == SEGMENT_ADOPTED && main == NULL &&
	    (sorted = is_sorted(w, seg, &limit, err)) == -1)
		return err->sys == ENOENT ? 0 : -1;
	if (sorted && !(main != NULL && main->limit))
		limit = 0;
	w->nsrc++;
	s->seg = seg;
	s->limit = limit;
	s->r = reader_open(buffer_fd(w->buf), seg, limit ? 0 : from.pos, limit ? limit : UINT64_MAX,
	    w->sync ? READER_SYNC : 0, err);
	if (s->r == NULL)
		return err->sys == ENOENT ? 0 : -1;
	if (limit) {
		s->given_stamp = INT64_MIN;
		if (walk_skip(w, s, from.pos, err) == -1)
			return -1;
	}
	return 0;
}

/* Sizes are measured before the list is made: a line below its size was written before any file
 * that is not in the list. */
static int
take_list(struct walk *w, struct err *err)
{
	struct segment last;
	int any = segment_last(buffer_fd(w->buf), &last, err);
	size_t n, i;

	if (any == -1 || segment_list(buffer_fd(w->buf), &w->segs, &w->nsegs, err) == -1)
		return -1;
	if (any)
		w->last_size = last.size;
	for (i = 0, n = 0; i < w->nsegs;
	     i++) /* chain segments begun since then are for the next walk */
		if (!w->segs[i].ignored &&
		    (w->segs[i].kind != SEGMENT_CHAIN ||
		        (any && strcmp(w->segs[i].stem, last.stem) <= 0)))
			w->segs[n++] = w->segs[i];
	w->nsegs = n;
	return 0;
}

struct walk *
walk_open(struct buffer *buf, const struct checkpoint *p, int flags, walk_stamp_fn *stamp,
    struct err *err)
{
	struct walk *w = mem_alloc(sizeof(*w));
	size_t i, chain = 0;

	w->buf = buf;
	w->stamp = stamp;
	w->late = flags & WALK_LAGGING;
	w->sync = flags & WALK_SYNC;
	w->closed = flags & WALK_LOCKED;
	if (take_list(w, err) == -1)
		goto fail;
	w->src = mem_alloc((w->nsegs + 1) * sizeof(*w->src)); /* the first is the chain */
	while (chain < w->nsegs && w->segs[chain].kind == SEGMENT_CHAIN)
		chain++;
	/* Files first: then it is known whether the chain has anything to be merged with. */
	for (w->nsrc = 1, i = chain; i < w->nsegs; i++)
		if (w->segs[i].kind != SEGMENT_FOREIGN && open_file(w, p, &w->segs[i], err) == -1)
			goto fail;
	for (i = 1; i < w->nsrc; i++)
		if (advance(w, &w->src[i], err) == -1)
			goto fail;
	if (open_chain(w, p, chain, err) == -1)
		goto fail;
	return w;
fail:
	walk_close(w);
	return NULL;
}

void
walk_close(struct walk *w)
{
	size_t i;

	if (w == NULL)
		return;
	for (i = 0; w->src != NULL && i < w->nsegs + 1; i++) {
		reader_close(w->src[i].r);
		free(w->src[i].heap);
		bytes_free(&w->src[i].text);
	}
	free(w->src);
	free(w->damaged);
	free(w->segs);
	free(w);
}

const struct segment *
walk_segments(const struct walk *w, size_t *n)
{
	*n = w->nsegs;
	return w->segs;
}

int
walk_is_finished(const struct walk *w, const char *stem)
{
	size_t i;

	for (i = 1; i < w->nsrc; i++)
		if (strcmp(w->src[i].seg->stem, stem) == 0)
			return w->src[i].over;
	return 0;
}

const struct segment *
walk_damaged(const struct walk *w, size_t i)
{
	return i < w->ndamaged ? w->damaged[i] : NULL;
}

const char *
walk_disordered_file(const struct walk *w)
{
	return w->disorder;
}

#include "buffer/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/adopt.h"
#include "buffer/edited.h"
#include "buffer/reader.h"

struct source {
	bool chain;
	size_t next, end; /* chain: indices of the segments not yet opened */
	const struct segment *seg;
	struct reader *r; /* NULL between segments, and at the end */
	bool has_line;
	struct walk_line line;
	int64_t stamp;
	/* an unsorted file */
	uint64_t limit, nreturned; /* its size when it was sorted; lines returned */
	struct sorted_line *heap;  /* the window, a binary heap */
	size_t heap_len, heap_cap;
	int64_t newest; /* last stamp read into the window */
	int64_t last_stamp;
	struct bytes text; /* of a line that was read by its offset */
};

struct walk {
	struct buffer *buf;
	int flags;
	struct segment *segments;
	size_t nsegments;
	uint64_t last_size; /* of the last chain segment, measured before the listing */
	struct source *sources;
	size_t nsources;
	struct source **order; /* those with a line: a binary heap, the next line first */
	size_t norder;
	struct source *current; /* whose line was returned last */
	const char *disordered;
	const struct segment **damaged;
	size_t ndamaged;
};

struct sorted_line { /* in the window of an unsorted file */
	int64_t stamp;
	uint64_t at;
	uint32_t len;
	bool torn;
};

static bool
is_earlier_line(const struct sorted_line *a, const struct sorted_line *b)
{
	return a->stamp != b->stamp ? a->stamp < b->stamp : a->at < b->at;
}

static void
window_push(struct source *s, struct sorted_line e)
{
	size_t i = s->heap_len++, up;

	if (s->heap_len > s->heap_cap) {
		s->heap_cap = s->heap_cap ? 2 * s->heap_cap : 64;
		s->heap = mem_realloc(s->heap, s->heap_cap * sizeof(*s->heap));
	}
	for (; i > 0 && is_earlier_line(&e, &s->heap[up = (i - 1) / 2]); i = up)
		s->heap[i] = s->heap[up];
	s->heap[i] = e;
}

static struct sorted_line
window_pop(struct source *s)
{
	struct sorted_line top = s->heap[0], last = s->heap[--s->heap_len];
	size_t i = 0, kid;

	while ((kid = 2 * i + 1) < s->heap_len) {
		if (kid + 1 < s->heap_len && is_earlier_line(&s->heap[kid + 1], &s->heap[kid]))
			kid++;
		if (!is_earlier_line(&s->heap[kid], &last))
			break;
		s->heap[i] = s->heap[kid];
		i = kid;
	}
	if (s->heap_len)
		s->heap[i] = last;
	return top;
}

static int
read_into_window(struct source *s, struct err *err)
{
	struct reader_line l;
	int r = 1;

	while (s->heap_len < WALK_WINDOW && (r = reader_next(s->r, &l, err)) == 1) {
		struct sorted_line e = {.at = l.pos, .len = (uint32_t)l.text.n, .torn = l.torn};

		if (line_stamp(l.text, &e.stamp) == -1)
			e.stamp = s->newest;
		s->newest = e.stamp;
		window_push(s, e);
	}
	return r == -1 ? -1 : 0;
}

/* Reads the line of which only the place is in memory. */
static int
load_line(struct source *s, struct err *err)
{
	struct slice *text = &s->line.text;

	bytes_fit(&s->text, text->n + 1);
	text->p = s->text.p;
	return reader_read_at(s->r, s->line.at, s->text.p, text->n, err);
}

/* Puts the next line of an unsorted file into s->line: 1, 0, -1 as walk_next. */
static int
next_sorted_line(struct walk *w, struct source *s, struct err *err)
{
	struct sorted_line e;

	if (read_into_window(s, err) == -1)
		return -1;
	if (!s->heap_len)
		return 0;
	e = window_pop(s);
	if (e.stamp < s->last_stamp)
		w->disordered = s->seg->name;
	else
		s->last_stamp = e.stamp;
	s->line = (struct walk_line){.text = {NULL, e.len},
	    .stem = s->seg->stem,
	    .pos = s->nreturned,
	    .end = s->nreturned + 1,
	    .limit = s->limit,
	    .at = e.at,
	    .torn = e.torn};
	s->nreturned++;
	s->stamp = e.stamp;
	return load_line(s, err) == -1 ? -1 : 1;
}

/* --- the next line of a source --------------------------------------------------------- */

/* What all lines of the segment have in common is set once: a walk of a million lines feels it. */
static void
enter_segment(struct source *s)
{
	s->line =
	    (struct walk_line){.stem = s->seg->stem, .chain = s->chain, .suspect = s->seg->suspect};
}

/* Returns whether the writer of a plain file may still append the rest of its last line. */
static bool
is_unfinished(struct walk *w, const struct segment *seg)
{
	return seg->kind == SEGMENT_ADOPTED && adopt_is_written(w->buf, seg);
}

static int
next_file_line(struct walk *w, struct source *s, struct err *err)
{
	struct reader_line l;
	int r = reader_next(s->r, &l, err);

	if (r != 1)
		return r;
	if (l.torn && is_unfinished(w, s->seg))
		return 0;
	s->line.text = l.text;
	s->line.pos = s->line.at = l.pos;
	s->line.end = l.end;
	s->line.torn = l.torn;
	if ((w->flags & WALK_NO_MARKS) == 0) {
		s->line.mark_before = s->line.mark;
		s->line.mark = edited_mark(l.text);
	}
	/* Only a merge needs the stamp: not searched for in the usual case of one source. */
	if (w->nsources > 1 && line_stamp(l.text, &l.stamp) == 0)
		s->stamp = l.stamp;
	return 1;
}

/* Opens the next segment of the chain. */
static int
open_next_segment(struct walk *w, struct source *s, const struct position *at, struct err *err)
{
	struct segment *seg = &w->segments[s->next++];
	uint64_t limit = UINT64_MAX, from = at != NULL ? at->pos : 0;
	bool last = s->next == s->end;
	int flags = (last && !(w->flags & WALK_LOCKED) ? READER_LIVE : 0) |
	    (w->flags & WALK_SYNC ? READER_SYNC : 0);

	s->seg = seg;
	if (last && !s->seg->gz)
		limit = w->last_size;
	s->r = reader_open(w->buf->fd, s->seg, from, limit, flags, err);
	/* renamed after the listing: its fdatasync failed */
	if (s->r == NULL && err->sys == ENOENT && !s->seg->suspect) {
		snprintf(seg->name,
		    strlen(seg->stem) + sizeof(SEGMENT_SUSPECT ".jsonl") + (seg->gz ? 3 : 0),
		    "%s" SEGMENT_SUSPECT ".jsonl%s", seg->stem, seg->gz ? ".gz" : "");
		seg->suspect = true;
		s->r = reader_open(w->buf->fd, seg, from, limit, flags, err);
	}
	enter_segment(s);
	s->line.mark = at != NULL ? at->mark : 0;
	if (s->r != NULL)
		return 0;
	if (err->sys != ENOENT)
		return -1;
	/* removed by another program: the manifest still has it and reports it */
	seg->ignored = "it was removed";
	return 0;
}

static int
advance_source(struct walk *w, struct source *s, struct err *err)
{
	int r;

	while (s->r != NULL || s->next < s->end) {
		r = s->r == NULL ? 0
		    : s->limit   ? next_sorted_line(w, s, err)
		                 : next_file_line(w, s, err);
		s->has_line = r == 1;
		if (r == 1)
			return 0;
		if (r == -1 && err->sys == EBADMSG) {
			w->damaged =
			    mem_realloc(w->damaged, (w->ndamaged + 1) * sizeof(*w->damaged));
			w->damaged[w->ndamaged++] = s->seg;
			r = 0;
		}
		if (r == -1)
			return -1;
		reader_close(s->r);
		s->r = NULL;
		if (s->next < s->end && open_next_segment(w, s, NULL, err) == -1)
			return -1;
	}
	return 0;
}

/* --- merging --------------------------------------------------------------------------- */

#define SOURCES_LOADED 256 /* with more of them, only the current file has lines in memory */

/* With equal times the chain is first, then the others in the order of their names. */
static bool
is_earlier_source(const struct source *a, const struct source *b)
{
	return a->stamp != b->stamp ? a->stamp < b->stamp : a < b;
}

/* Moves the source at index i of the heap down to its place. */
static void
sink_source(struct walk *w, size_t i)
{
	struct source *s = w->order[i];
	size_t kid;

	while ((kid = 2 * i + 1) < w->norder) {
		if (kid + 1 < w->norder && is_earlier_source(w->order[kid + 1], w->order[kid]))
			kid++;
		if (!is_earlier_source(w->order[kid], s))
			break;
		w->order[i] = w->order[kid];
		i = kid;
	}
	w->order[i] = s;
}

/* Frees the memory of a file's lines, when there are many files, until walk_next comes to it. */
static void
park_source(struct walk *w, struct source *s)
{
	if (w->nsources <= SOURCES_LOADED || s->chain || s->seg->gz || !s->has_line)
		return;
	reader_park(s->r);
	bytes_free(&s->text);
	s->line.text.p = NULL;
}

/* Makes the heap of the sources that have a line. */
static void
order_sources(struct walk *w)
{
	w->order = mem_alloc(w->nsources * sizeof(*w->order));
	for (size_t i = 0; i < w->nsources; i++)
		if (w->sources[i].has_line)
			w->order[w->norder++] = &w->sources[i];
	for (size_t i = w->norder / 2; i-- > 0;)
		sink_source(w, i);
}

int
walk_next(struct walk *w, struct walk_line *l, struct err *err)
{
	struct source *last = w->current, *next;

	if (last != NULL) {
		if (advance_source(w, last, err) == -1)
			return -1;
		if (last->has_line && w->norder == 1) {
			*l = last->line;
			return 1;
		}
		if (!last->has_line)
			w->order[0] = w->order[--w->norder];
		if (w->norder > 0)
			sink_source(w, 0);
	}
	w->current = next = w->norder > 0 ? w->order[0] : NULL;
	if (last != NULL && next != last)
		park_source(w, last);
	if (next == NULL)
		return 0;
	if (next->line.text.p == NULL && load_line(next, err) == -1)
		return -1;
	*l = next->line;
	return 1;
}

/* --- opening ----------------------------------------------------------------------------- */

/* The lowest position of a source: the checkpoint's own or, with WALK_LAGGING, a lagging type's. */
static struct position
start_position(const struct walk *w, struct checkpoint *cp, bool chain, const char *stem)
{
	size_t n = w->flags & WALK_LAGGING ? cp->nlagging : 0;
	const struct position *at = positions_get(&cp->positions, chain, stem);
	struct position low = at != NULL ? *at : (struct position){0};

	for (size_t i = 0; i < n; i++) {
		at = positions_get(&cp->lagging[i]->positions, chain, stem);
		if (at != NULL && position_cmp(at, low.stem != NULL ? low.stem : "", low.pos) < 0)
			low = *at;
	}
	return low;
}

static int
open_chain_source(struct walk *w, struct checkpoint *cp, size_t n, struct err *err)
{
	struct source *s = &w->sources[0];
	struct position from = start_position(w, cp, true, NULL);
	int cmp = -1;

	s->chain = true;
	s->end = n;
	while (s->next < n && from.stem != NULL &&
	    (cmp = strcmp(w->segments[s->next].stem, from.stem)) < 0)
		s->next++;
	if (s->next < n &&
	    open_next_segment(w, s, from.stem != NULL && cmp == 0 ? &from : NULL, err) == -1)
		return -1;
	return advance_source(w, s, err);
}

/* Reads an adopted file whole, before its first position is recorded. *size: the bytes read when
 * it is not sorted by its stamps, else 0. */
static int
measure_unsorted(struct walk *w, const struct segment *seg, uint64_t *size, struct err *err)
{
	struct reader *r = reader_open(w->buf->fd, seg, 0, UINT64_MAX, 0, err);
	struct reader_line l;
	int64_t last = INT64_MIN, stamp;
	bool sorted = true, unfinished = false;
	int got;

	if (r == NULL)
		return -1;
	while (!unfinished && (got = reader_next(r, &l, err)) == 1) {
		unfinished = l.torn && is_unfinished(w, seg);
		if (!unfinished && line_stamp(l.text, &stamp) == 0) {
			sorted &= stamp >= last;
			last = stamp;
		}
	}
	*size = sorted ? 0 : unfinished ? l.pos : reader_bytes_read(r);
	reader_close(r);
	/* damage shows again when the lines are read */
	return got == -1 && err->sys != EBADMSG ? -1 : 0;
}

static int
open_file_source(struct walk *w, struct checkpoint *cp, const struct segment *seg, struct err *err)
{
	struct source *s = &w->sources[w->nsources];
	struct position from = start_position(w, cp, false, seg->stem);
	const struct position *recorded = positions_find(&cp->positions, seg->stem);
	uint64_t limit = recorded != NULL ? recorded->limit : 0;
	int r;

	if (seg->kind == SEGMENT_ADOPTED && recorded == NULL &&
	    measure_unsorted(w, seg, &limit, err) == -1)
		return err->sys == ENOENT ? 0 : -1;
	w->nsources++;
	s->seg = seg;
	s->limit = limit;
	s->r = reader_open(w->buf->fd, seg, limit ? 0 : from.pos, limit ? limit : UINT64_MAX,
	    w->flags & WALK_SYNC ? READER_SYNC : 0, err);
	if (s->r == NULL)
		return err->sys == ENOENT ? 0 : -1;
	enter_segment(s);
	s->line.mark = from.mark;
	if (!limit)
		return 0;
	/* the lines before the position */
	s->last_stamp = INT64_MIN;
	for (r = 1; r == 1 && s->nreturned < from.pos;)
		r = next_sorted_line(w, s, err);
	return r == -1 ? -1 : 0;
}

/* Lists twice, and measures the last chain segment in the first list: a line within that size is
 * older than any file that is not in the second. Chain segments that are newer are for the next
 * walk. */
static int
list_walk_segments(struct walk *w, struct err *err)
{
	struct segment *first;
	const struct segment *last = NULL;
	size_t n, kept = 0;

	if (segment_list(w->buf->fd, &first, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n && first[i].kind == SEGMENT_CHAIN; i++)
		if (!first[i].ignored)
			last = &first[i];
	if (segment_list(w->buf->fd, &w->segments, &n, err) == -1) {
		free(first);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const struct segment *s = &w->segments[i];

		if (!s->ignored &&
		    (s->kind != SEGMENT_CHAIN ||
		        (last != NULL && strcmp(s->stem, last->stem) <= 0)))
			w->segments[kept++] = *s;
	}
	w->nsegments = kept;
	w->last_size = last != NULL ? last->size : 0;
	free(first);
	return 0;
}

struct walk *
walk_open(struct buffer *buf, struct checkpoint *cp, int flags, struct err *err)
{
	struct walk *w = mem_alloc(sizeof(*w));
	size_t i, chain = 0;

	w->buf = buf;
	w->flags = flags;
	if (list_walk_segments(w, err) == -1)
		goto fail;
	w->sources =
	    mem_alloc((w->nsegments + 1) * sizeof(*w->sources)); /* the chain is the first */
	while (chain < w->nsegments && w->segments[chain].kind == SEGMENT_CHAIN)
		chain++;
	/* Files first: next_file_line needs to know whether there is anything to merge. */
	for (w->nsources = 1, i = chain; i < w->nsegments; i++)
		if ((w->segments[i].kind != SEGMENT_PLAIN || (flags & WALK_PLAIN)) &&
		    open_file_source(w, cp, &w->segments[i], err) == -1)
			goto fail;
	for (i = 1; i < w->nsources; i++) {
		if (advance_source(w, &w->sources[i], err) == -1)
			goto fail;
		park_source(w, &w->sources[i]);
	}
	if (open_chain_source(w, cp, chain, err) == -1)
		goto fail;
	order_sources(w);
	return w;
fail:
	walk_close(w);
	return NULL;
}

void
walk_close(struct walk *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; w->sources != NULL && i < w->nsegments + 1; i++) {
		reader_close(w->sources[i].r);
		free(w->sources[i].heap);
		bytes_free(&w->sources[i].text);
	}
	free(w->sources);
	free(w->order);
	free(w->damaged);
	free(w->segments);
	free(w);
}

const struct segment *
walk_segments(const struct walk *w, size_t *n)
{
	*n = w->nsegments;
	return w->segments;
}

static const struct source *
find_file_source(const struct walk *w, const char *stem)
{
	size_t low = 1, high = w->nsources, mid;

	/* they are in the order of segment_list */
	while (low < high) {
		mid = (low + high) / 2;
		if (strcmp(w->sources[mid].seg->stem, stem) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < w->nsources && strcmp(w->sources[low].seg->stem, stem) == 0 ? &w->sources[low]
	                                                                         : NULL;
}

bool
walk_is_finished(const struct walk *w, const char *stem)
{
	const struct source *s = find_file_source(w, stem);

	return s != NULL && s->r == NULL;
}

uint64_t
walk_file_end(const struct walk *w, const char *stem)
{
	const struct source *s = find_file_source(w, stem);

	return s == NULL ? 0 : s->limit ? s->limit : s->line.end;
}

const struct segment *
walk_damaged(const struct walk *w, size_t i)
{
	return i < w->ndamaged ? w->damaged[i] : NULL;
}

const char *
walk_disordered_file(const struct walk *w)
{
	return w->disordered;
}

/* --- lines that are not delivered --------------------------------------------------- */

int
undelivered_open(struct undelivered *u, struct buffer *buf, int flags, bool parse, struct err *err)
{
	memset(u, 0, sizeof(*u));
	if (checkpoint_load(buf, &u->checkpoint, err) == -1)
		return -1;
	edited_check(buf, &u->checkpoint);
	u->parse =
	    parse || u->checkpoint.nlagging > 0 || !positions_empty(&u->checkpoint.delivered);
	u->walk = walk_open(buf, &u->checkpoint, flags | WALK_LAGGING, err);
	return u->walk != NULL ? 0 : -1;
}

bool
undelivered_examine(struct undelivered *u)
{
	const struct walk_line *at = &u->at;
	/* A bad line has no type: when it is before the positions, it is in quarantine. */
	struct slice type = {"", 0};

	u->bad = NULL;
	if (!u->parse)
		return false; /* no type lags, and the walk began at the positions */
	if (line_parse_checked(at->text.p, at->text.n, &u->line, &u->text, &u->why) == 0)
		type = u->line.e.type;
	else
		u->bad = u->why.text;
	return checkpoint_is_delivered(
	    &u->checkpoint, type.p, type.n, at->chain, at->stem, at->pos);
}

int
undelivered_next(struct undelivered *u, struct err *err)
{
	int r;

	while ((r = walk_next(u->walk, &u->at, err)) == 1)
		if (u->at.text.n > 0 && !undelivered_examine(u))
			return 1;
	return r;
}

void
undelivered_close(struct undelivered *u)
{
	walk_close(u->walk);
	bytes_free(&u->text);
	checkpoint_free(&u->checkpoint);
}

/* The part of walk that puts an unsorted file in order: a window of its lines, lowest stamp first. */
#include "base/mem.h"
#include "buffer/walk_int.h"

struct sorted_line {			/* of the window of an unsorted file */
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
		s->heap = mem_realloc(s->heap, s->room * sizeof *s->heap);
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
		struct sorted_line e = { .at = l.pos, .len = (uint32_t)l.text.n, .torn = l.torn };

		if (w->stamp(l.text, &e.stamp) == -1)
			e.stamp = s->newest;
		s->newest = e.stamp;
		heap_push(s, e);
	}
	return r == -1 ? -1 : 0;
}

int
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
	buf_reserve(&s->text, e.len + 1u);
	if (reader_at(s->r, e.at, s->text.p, e.len, err) == -1)
		return -1;
	s->line = (struct walk_line){ .text = { s->text.p, e.len }, .stem = s->seg->stem, .pos = s->given,
	    .end = s->given + 1, .limit = s->limit, .at = e.at, .torn = e.torn };
	s->given++;
	s->stamp = e.stamp;
	return 1;
}

int
walk_skip(struct walk *w, struct source *s, uint64_t n, struct err *err)
{
	int r = 1;

	while (r == 1 && s->given < n)
		r = walk_sorted(w, s, err);
	return r == -1 ? -1 : 0;
}

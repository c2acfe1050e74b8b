#include "drain/readahead.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/line.h"

#define READAHEAD_LINES ((size_t)BATCH_LINES + 1) /* a batch, and the one that is given */

void
readahead_open(struct readahead *a, struct walk *w)
{
	if (a->line == NULL)
		a->line = mem_alloc(READAHEAD_LINES * sizeof(*a->line));
	a->w = w;
	a->head = a->n = a->bytes = a->damaged = 0;
	a->given = a->over = false;
}

void
readahead_close(struct readahead *a)
{
	size_t i;

	walk_close(a->w);
	for (i = 0; a->line != NULL && i < READAHEAD_LINES; i++) {
		bytes_free(&a->line[i].raw);
		bytes_free(&a->line[i].text);
		free(a->line[i].why);
	}
	free(a->line);
	memset(a, 0, sizeof(*a));
}

static struct readahead_line *
slot_at(const struct readahead *a, size_t i)
{
	return &a->line[(a->head + i) % READAHEAD_LINES];
}

static void
keep_error(struct readahead_line *k, const struct err *err)
{
	k->why = mem_alloc(sizeof(*k->why));
	*k->why = *err;
}

/* A failure of the walk is told when it is come to. */
static void
read_next_line(struct readahead *a)
{
	struct readahead_line *k = slot_at(a, a->n++);
	struct err err;

	free(k->why);
	k->why = NULL;
	k->got = walk_next(a->w, &k->l, &err);
	for (k->damaged = a->damaged; walk_damaged(a->w, k->damaged) != NULL;)
		k->damaged++;
	if (k->got != 1) {
		a->over = true;
		if (k->got == -1)
			keep_error(k, &err);
		return;
	}
	bytes_fit(&k->raw, k->l.text.n);
	bytes_add(&k->raw, k->l.text.p, k->l.text.n);
	k->l.text.p = k->raw.p;
	a->bytes += k->raw.len;
	bytes_fit(&k->text, k->raw.len + 1); /* as line_read would make it */
	k->bad = line_read(k->raw.p, k->raw.len, &k->event, &k->text, &err) == -1;
	if (k->bad)
		keep_error(k, &err);
}

static void
drop_head(struct readahead *a)
{
	struct readahead_line *k = slot_at(a, 0);

	a->bytes -= k->raw.len;
	if (k->raw.cap > 2 * BATCH_LARGE)
		bytes_free(&k->raw);
	if (k->text.cap > 4 * BATCH_LARGE)
		bytes_free(&k->text);
	a->head = (a->head + 1) % READAHEAD_LINES;
	a->n--;
	a->given = false;
}

int
readahead_next(struct readahead *a, struct readahead_line **line, struct err *err)
{
	struct readahead_line *k;

	if (a->given)
		drop_head(a);
	if (a->n == 0 && !a->over)
		read_next_line(a);
	k = *line = slot_at(a, 0);
	a->damaged = k->damaged;
	if (k->got == 1)
		a->given = true;
	else if (k->got == -1)
		*err = *k->why;
	return k->got;
}

void
readahead_push_back(struct readahead *a)
{
	a->given = false;
}

const struct readahead_line *
readahead_peek(const struct readahead *a, size_t i)
{
	const struct readahead_line *k = i + a->given < a->n ? slot_at(a, i + a->given) : NULL;

	return k != NULL && k->got == 1 ? k : NULL;
}

bool
readahead_fill(struct readahead *a, size_t n, size_t most)
{
	for (; n > 0; n--) {
		if (a->over || a->n == READAHEAD_LINES || a->n >= most + a->given || a->bytes >= BATCH_BYTES)
			return false;
		read_next_line(a);
	}
	return true;
}

const struct segment *
readahead_damaged(const struct readahead *a, size_t i)
{
	return i < a->damaged ? walk_damaged(a->w, i) : NULL;
}

#include "drain/readahead.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/line.h"

#define READAHEAD_LINES \
	((size_t)BATCH_LINES + 1) /* a batch, and the line that was returned last \
	                           */

void
readahead_open(struct readahead *a, struct walk *w)
{
	if (a->slot == NULL)
		a->slot = mem_alloc(READAHEAD_LINES * sizeof(*a->slot));
	a->walk = w;
	a->head = a->n = a->bytes = a->damaged = 0;
	a->taken = a->at_end = false;
}

void
readahead_close(struct readahead *a)
{
	size_t i;

	walk_close(a->walk);
	for (i = 0; a->slot != NULL && i < READAHEAD_LINES; i++) {
		bytes_free(&a->slot[i].raw);
		bytes_free(&a->slot[i].text);
		free(a->slot[i].why);
	}
	free(a->slot);
	memset(a, 0, sizeof(*a));
}

static struct readahead_line *
slot_at(const struct readahead *a, size_t i)
{
	return &a->slot[(a->head + i) % READAHEAD_LINES];
}

static void
keep_error(struct readahead_line *k, const struct err *err)
{
	k->why = mem_alloc(sizeof(*k->why));
	*k->why = *err;
}

/* A failure of the walk is kept until readahead_next reaches it. */
static void
read_next_line(struct readahead *a)
{
	struct readahead_line *k = slot_at(a, a->n++);
	struct err err;

	free(k->why);
	k->why = NULL;
	k->result = walk_next(a->walk, &k->line, &err);
	for (k->damaged = a->damaged; walk_damaged(a->walk, k->damaged) != NULL;)
		k->damaged++;
	if (k->result != 1) {
		a->at_end = true;
		if (k->result == -1)
			keep_error(k, &err);
		return;
	}
	bytes_fit(&k->raw, k->line.text.n);
	bytes_add(&k->raw, k->line.text.p, k->line.text.n);
	k->line.text.p = k->raw.p;
	a->bytes += k->raw.len;
	bytes_fit(&k->text, k->raw.len + 1); /* as much as line_parse_checked needs */
	k->bad = line_parse_checked(k->raw.p, k->raw.len, &k->parsed, &k->text, &err) == -1;
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
	a->taken = false;
}

int
readahead_next(struct readahead *a, struct readahead_line **line, struct err *err)
{
	struct readahead_line *k;

	if (a->taken)
		drop_head(a);
	if (a->n == 0 && !a->at_end)
		read_next_line(a);
	k = *line = slot_at(a, 0);
	a->damaged = k->damaged;
	if (k->result == 1)
		a->taken = true;
	else if (k->result == -1)
		*err = *k->why;
	return k->result;
}

void
readahead_push_back(struct readahead *a)
{
	a->taken = false;
}

const struct readahead_line *
readahead_peek(const struct readahead *a, size_t i)
{
	const struct readahead_line *k = i + a->taken < a->n ? slot_at(a, i + a->taken) : NULL;

	return k != NULL && k->result == 1 ? k : NULL;
}

bool
readahead_fill(struct readahead *a, size_t n, size_t most)
{
	for (; n > 0; n--) {
		if (a->at_end || a->n == READAHEAD_LINES || a->n >= most + a->taken ||
		    a->bytes >= BATCH_BYTES)
			return false;
		read_next_line(a);
	}
	return true;
}

const struct segment *
readahead_damaged(const struct readahead *a, size_t i)
{
	return i < a->damaged ? walk_damaged(a->walk, i) : NULL;
}

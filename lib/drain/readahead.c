#include "drain/readahead.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/line.h"

/* a batch, and the line that was returned last */
#define READAHEAD_LINES ((size_t)BATCH_LINES + 1)

void
readahead_open(struct readahead *ahead, struct walk *walk)
{
	if (ahead->slot == NULL)
		ahead->slot = mem_alloc(READAHEAD_LINES * sizeof(*ahead->slot));
	ahead->walk = walk;
	ahead->head = ahead->n = ahead->bytes = ahead->damaged = 0;
	ahead->taken = ahead->at_end = false;
}

void
readahead_close(struct readahead *ahead)
{
	size_t i;

	walk_close(ahead->walk);
	for (i = 0; ahead->slot != NULL && i < READAHEAD_LINES; i++) {
		bytes_free(&ahead->slot[i].raw);
		bytes_free(&ahead->slot[i].text);
		free(ahead->slot[i].why);
	}
	free(ahead->slot);
	memset(ahead, 0, sizeof(*ahead));
}

static struct readahead_line *
slot_at(const struct readahead *ahead, size_t i)
{
	return &ahead->slot[(ahead->head + i) % READAHEAD_LINES];
}

static void
keep_error(struct readahead_line *slot, const struct err *err)
{
	slot->why = mem_alloc(sizeof(*slot->why));
	*slot->why = *err;
}

/* Reads the next line of the walk. Keeps a failure until readahead_next reaches it. */
static void
read_next_line(struct readahead *ahead)
{
	struct readahead_line *slot = slot_at(ahead, ahead->n++);
	struct err err;

	free(slot->why);
	slot->why = NULL;
	slot->result = walk_next(ahead->walk, &slot->line, &err);
	for (slot->damaged = ahead->damaged; walk_damaged(ahead->walk, slot->damaged) != NULL;)
		slot->damaged++;
	if (slot->result != 1) {
		ahead->at_end = true;
		if (slot->result == -1)
			keep_error(slot, &err);
		return;
	}
	bytes_fit(&slot->raw, slot->line.text.n);
	bytes_add(&slot->raw, slot->line.text.p, slot->line.text.n);
	slot->line.text.p = slot->raw.p;
	ahead->bytes += slot->raw.len;
	bytes_fit(&slot->text, slot->raw.len + 1); /* as much as line_parse_checked needs */
	slot->bad =
	    line_parse_checked(slot->raw.p, slot->raw.len, &slot->parsed, &slot->text, &err) == -1;
	if (slot->bad)
		keep_error(slot, &err);
}

static void
drop_head(struct readahead *ahead)
{
	struct readahead_line *slot = slot_at(ahead, 0);

	ahead->bytes -= slot->raw.len;
	if (slot->raw.cap > 2 * BATCH_LARGE)
		bytes_free(&slot->raw);
	if (slot->text.cap > 4 * BATCH_LARGE)
		bytes_free(&slot->text);
	ahead->head = (ahead->head + 1) % READAHEAD_LINES;
	ahead->n--;
	ahead->taken = false;
}

int
readahead_next(struct readahead *ahead, struct readahead_line **line, struct err *err)
{
	struct readahead_line *slot;

	if (ahead->taken)
		drop_head(ahead);
	if (ahead->n == 0 && !ahead->at_end)
		read_next_line(ahead);
	slot = *line = slot_at(ahead, 0);
	ahead->damaged = slot->damaged;
	if (slot->result == 1)
		ahead->taken = true;
	else if (slot->result == -1)
		*err = *slot->why;
	return slot->result;
}

void
readahead_push_back(struct readahead *ahead)
{
	ahead->taken = false;
}

const struct readahead_line *
readahead_peek(const struct readahead *ahead, size_t i)
{
	const struct readahead_line *slot =
	    i + ahead->taken < ahead->n ? slot_at(ahead, i + ahead->taken) : NULL;

	return slot != NULL && slot->result == 1 ? slot : NULL;
}

bool
readahead_fill(struct readahead *ahead, size_t n, size_t most)
{
	for (; n > 0; n--) {
		if (ahead->at_end || ahead->n == READAHEAD_LINES ||
		    ahead->n >= most + ahead->taken || ahead->bytes >= BATCH_BYTES)
			return false;
		read_next_line(ahead);
	}
	return true;
}

const struct segment *
readahead_damaged(const struct readahead *ahead, size_t i)
{
	return i < ahead->damaged ? walk_damaged(ahead->walk, i) : NULL;
}

#include "drain/readahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/segment.h"
#include "drain/run.h"

#define READAHEAD_LINES ((size_t)BATCH_LINES + 1) /* a batch, and the end of the walk */

void
readahead_open(struct readahead *ahead, struct walk *walk)
{
	if (ahead->line == NULL)
		ahead->line = mem_alloc(READAHEAD_LINES * sizeof(*ahead->line));
	ahead->walk = walk;
	ahead->head = ahead->n = ahead->bytes = ahead->damaged = 0;
	ahead->at_end = false;
}

void
readahead_close_walk(struct readahead *ahead)
{
	walk_close(ahead->walk);
	ahead->walk = NULL;
}

void
drain_line_free(struct drain_line *line)
{
	if (line == NULL)
		return;
	bytes_free(&line->raw);
	bytes_free(&line->text);
	free(line->why);
	free(line);
}

void
readahead_close(struct readahead *ahead)
{
	readahead_close_walk(ahead);
	for (size_t i = 0; ahead->line != NULL && i < READAHEAD_LINES; i++)
		drain_line_free(ahead->line[i]);
	free(ahead->line);
}

static struct drain_line **
line_at(const struct readahead *ahead, size_t i)
{
	return &ahead->line[(ahead->head + i) % READAHEAD_LINES];
}

static void
keep_error(struct drain_line *line, const struct err *err)
{
	line->why = mem_alloc(sizeof(*line->why));
	*line->why = *err;
}

/* Reads the next line of the walk. Keeps a failure until readahead_next reaches it. */
static void
read_next_line(struct readahead *ahead)
{
	struct drain_line **slot = line_at(ahead, ahead->n++), *line;
	struct err err;

	if (*slot == NULL)
		*slot = mem_alloc(sizeof(**slot));
	line = *slot;
	free(line->why);
	line->why = NULL;
	line->result = walk_next(ahead->walk, &line->at, &err);
	for (line->damaged = ahead->damaged; walk_damaged(ahead->walk, line->damaged) != NULL;)
		line->damaged++;
	if (line->result != 1) {
		ahead->at_end = true;
		if (line->result == -1)
			keep_error(line, &err);
		return;
	}
	bytes_fit(&line->raw, line->at.text.n);
	bytes_add(&line->raw, line->at.text.p, line->at.text.n);
	line->at.text.p = line->raw.p;
	ahead->bytes += line->raw.len;
	bytes_fit(&line->text, line->raw.len + 1); /* as much as line_parse_checked needs */
	line->bad =
	    line_parse_checked(line->raw.p, line->raw.len, &line->parsed, &line->text, &err) == -1;
	line->copied = !line->bad && line->parsed.has_crc &&
	    segment_plain_length(line->at.stem) < strlen(line->at.stem);
	if (line->copied) {
		line->parsed.in_doubt = true;
		snprintf(line->parsed.doubt.after, sizeof(line->parsed.doubt.after), "0-0");
	}
	if (line->bad)
		keep_error(line, &err);
}

int
readahead_next(struct readahead *ahead, struct drain_line **line, struct err *err)
{
	if (ahead->n == 0)
		read_next_line(ahead);
	*line = *line_at(ahead, 0);
	ahead->damaged = (*line)->damaged;
	if ((*line)->result == -1)
		*err = *(*line)->why;
	return (*line)->result;
}

void
readahead_take(struct readahead *ahead, struct drain_line **line)
{
	struct drain_line **slot = line_at(ahead, 0), *used = *line;

	*line = *slot;
	ahead->bytes -= (*slot)->raw.len;
	if (used != NULL && used->raw.cap > 2 * BATCH_LARGE)
		bytes_free(&used->raw);
	if (used != NULL && used->text.cap > 2 * BATCH_LARGE)
		bytes_free(&used->text);
	*slot = used;
	ahead->head = (ahead->head + 1) % READAHEAD_LINES;
	ahead->n--;
}

void
readahead_drop(struct readahead *ahead)
{
	struct drain_line *line = *line_at(ahead, 0);

	readahead_take(ahead, &line);
}

const struct drain_line *
readahead_peek(const struct readahead *ahead, size_t i)
{
	const struct drain_line *line = i < ahead->n ? *line_at(ahead, i) : NULL;

	return line != NULL && line->result == 1 ? line : NULL;
}

bool
readahead_fill(struct readahead *ahead, size_t n, size_t most)
{
	for (; n > 0; n--) {
		if (ahead->at_end || ahead->n >= most || ahead->bytes >= BATCH_BYTES)
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

#include "base/lines.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define CHUNK (1024UL * 1024)

struct lines {
	int fd;
	char end;
	size_t max;
	struct bytes b;
	size_t from;   /* where the next record begins */
	size_t seen;   /* no record ends between from and here */
	bool skipping; /* inside a record that is too long */
	bool eof;
	unsigned long long number;
};

struct lines *
lines_new(int fd, char end, size_t max)
{
	struct lines *l = mem_alloc(sizeof(*l));

	l->fd = fd;
	l->end = end;
	l->max = max;
	return l;
}

void
lines_free(struct lines *l)
{
	if (l == NULL)
		return;
	bytes_free(&l->b);
	free(l);
}

int
lines_fill(struct lines *l)
{
	ssize_t got;

	if (l->eof)
		return 0;
	bytes_drop(&l->b, l->from);
	l->seen -= l->from;
	l->from = 0;
	bytes_reserve(&l->b, CHUNK);
	got = read(l->fd, l->b.p + l->b.len, CHUNK);
	if (got == -1)
		return -1;
	l->b.len += (size_t)got;
	l->eof = got == 0;
	return got > 0;
}

/* Returns the complete record from l->from to `to`. The next one begins at `next`. */
static enum lines_got
finish_record(struct lines *l, size_t to, size_t next, struct slice *out)
{
	bool lost = l->skipping || to - l->from > l->max;

	*out = (struct slice){l->b.p + l->from, to - l->from};
	l->from = l->seen = next;
	l->skipping = false;
	l->number++;
	return lost ? LINES_LONG : LINES_ONE;
}

enum lines_got
lines_next(struct lines *l, struct slice *out)
{
	size_t len = l->b.len;
	const char *end = NULL;

	if (l->seen < len)
		end = memchr(l->b.p + l->seen, l->end, len - l->seen);
	if (end != NULL) {
		size_t to = (size_t)(end - l->b.p);

		return finish_record(l, to, to + 1, out);
	}
	if (l->eof && (l->from < len || l->skipping))
		return finish_record(l, len, len, out);
	l->seen = len;
	if (l->skipping || len - l->from > l->max) {
		l->skipping = true;
		l->from = len;
	}
	return LINES_NONE;
}

bool
lines_ended(const struct lines *l)
{
	return l->eof && l->from == l->b.len && !l->skipping;
}

unsigned long long
lines_number(const struct lines *l)
{
	return l->number;
}

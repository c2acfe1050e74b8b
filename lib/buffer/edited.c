#include "buffer/edited.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "base/io.h"
#include "buffer/manifest.h"
#include "buffer/segment.h"

#define MARK_BYTES 256 /* at the end of a line that has no crc */

uint64_t
edited_mark(struct slice line)
{
	static const char front[] = ",\"crc\":\"";
	const char *end = line.p + line.n;
	uint64_t digits;

	if (line.n == 0)
		return 0;
	if (line.n >= 18 && memcmp(end - 18, front, sizeof(front) - 1) == 0) {
		memcpy(&digits, end - 10, sizeof(digits));
		return digits;
	}
	return crc32_z(0, (const Bytef *)end - (line.n < MARK_BYTES ? line.n : MARK_BYTES),
	    line.n < MARK_BYTES ? line.n : MARK_BYTES);
}

/* Returns whether the line before the position is the one that stood there. */
static bool
is_position_right(int fd, const struct position *at)
{
	char text[MARK_BYTES + 1], *line;
	size_t n = at->pos < sizeof(text) ? (size_t)at->pos : sizeof(text);
	ssize_t got;

	if (at->limit) /* counts lines of a sorted file, which had this size */
		return pread(fd, text, 1, (off_t)at->limit - 1) != 0;
	got = pread(fd, text, n, (off_t)(at->pos - n));
	if (got != (ssize_t)n || at->mark == 0)
		return got == -1 || got == (ssize_t)n; /* a walk reports what cannot be read */
	n -= text[n - 1] == '\n';
	line = memrchr(text, '\n', n);
	line = line != NULL ? line + 1 : text;
	return edited_mark((struct slice){line, (size_t)(text + n - line)}) == at->mark;
}

/* The segment that was looked into last. */
struct opened {
	struct buffer *buf;
	const char *stem;
	int fd;
};

/* -1: it was removed, or is compressed. */
static int
open_stem(struct opened *o, const char *stem)
{
	char name[SEGMENT_NAME + 32];

	if (o->stem != NULL && strcmp(o->stem, stem) == 0)
		return o->fd;
	io_close(o->fd);
	o->stem = stem;
	snprintf(name, sizeof(name), "%s.jsonl", stem);
	o->fd = io_open_own(o->buf->fd, name, O_RDONLY);
	if (o->fd == -1 && errno == ENOENT) {
		snprintf(name, sizeof(name), "%s.suspect.jsonl", stem);
		o->fd = io_open_own(o->buf->fd, name, O_RDONLY);
	}
	return o->fd;
}

/* Notes in `edited`, as pos and limit, how long the segment was at least, and how long it is. */
static void
check_position(struct opened *o, struct positions *edited, const struct position *at)
{
	struct position *found;
	struct stat st;
	uint64_t size = at->limit ? at->limit : at->pos;

	if (at->stem == NULL || size == 0 || size == UINT64_MAX || open_stem(o, at->stem) == -1 ||
	    is_position_right(o->fd, at) || fstat(o->fd, &st) == -1)
		return;
	found = positions_find_or_add(edited, at->stem);
	found->pos = size > found->pos ? size : found->pos;
	found->limit = (uint64_t)st.st_size;
}

static void
check_positions(struct opened *o, struct positions *edited, const struct positions *ps)
{
	check_position(o, edited, &ps->chain);
	for (size_t i = 0; i < ps->nfiles; i++)
		check_position(o, edited, &ps->files[i]);
}

static void
return_to_start(struct positions *ps, const char *stem)
{
	if (ps->chain.stem != NULL && strcmp(ps->chain.stem, stem) == 0)
		position_set(&ps->chain, stem, 0, 0);
	positions_drop(ps, stem);
}

void
edited_check(struct buffer *buf, struct checkpoint *cp)
{
	struct opened o = {.buf = buf, .fd = -1};
	struct positions edited = {0};

	check_positions(&o, &edited, &cp->positions);
	for (size_t i = 0; i < cp->nlagging; i++)
		check_positions(&o, &edited, &cp->lagging[i]->positions);
	check_positions(&o, &edited, &cp->delivered);
	check_positions(&o, &edited, &cp->intent.upto);
	io_close(o.fd);
	for (size_t i = 0; i < edited.nfiles; i++) {
		const struct position *e = &edited.files[i];

		positions_set(&cp->edited, false, e->stem, e->pos, e->limit);
		return_to_start(&cp->positions, e->stem);
		for (size_t j = 0; j < cp->nlagging; j++)
			return_to_start(&cp->lagging[j]->positions, e->stem);
		positions_drop(&cp->delivered, e->stem);
		positions_drop(&cp->aside, e->stem);
	}
	positions_clear(&edited);
}

bool
edited_needs_lookup(const struct checkpoint *cp, const char *stem)
{
	return cp->lost || manifest_is_returned(stem) || positions_find(&cp->edited, stem) != NULL;
}

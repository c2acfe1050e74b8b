/*
 * segment: fuzzes counting and walking a segment: plain, compressed, a plain writer's, or unsorted.
 * The first byte selects the kind, and whether the rest is compressed first.
 */
#include <sys/stat.h>

#include <unistd.h>

#include <zlib.h>

#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "buffer/line.h"
#include "buffer/walk.h"
#include "event/event.h"
#include "fuzz.h"

static const char *const names[] = {
    "buffer_2025-12-04_10-30-00_000001.jsonl",
    "buffer_2025-12-04_10-30-00_000001.jsonl.gz",
    "buffer_2025-12-04_10-30-00_000001.suspect.jsonl",
    "buffer_2025-12-04_10-30-00_000001.own-1.jsonl",
    "buffer_plain.claimed-000001.jsonl",
    "buffer_plain.jsonl",
};
#define NAMES (sizeof(names) / sizeof(*names))

static void
put(uint8_t how, const uint8_t *data, size_t n)
{
	const char *name = names[how % 8 % NAMES];
	uLong bound = compressBound(n) + 32;
	z_stream z = {0};
	Bytef *out;

	if (how % 8 % NAMES != 1 || !(how & 8)) {
		scratch_put(name, data, n);
		return;
	}
	out = malloc(bound);
	deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)bound;
	deflate(&z, Z_FINISH);
	/* cut off, when the first byte selects that */
	scratch_put(name, out, how & 16 && z.total_out > 4 ? z.total_out - 4 : z.total_out);
	deflateEnd(&z);
	free(out);
}

/* Checks that the walk returns no byte twice and each line once. */
static void
all_lines(struct buffer *buf)
{
	struct checkpoint p = {0};
	struct walk_line l;
	struct line el;
	struct bytes text = {0};
	struct err err, why;
	uint64_t end = 0;
	struct walk *w = walk_open(buf, &p, WALK_LAGGING, &err);

	while (w != NULL && walk_next(w, &l, &err) == 1) {
		PROMISE(l.end > l.pos && l.pos >= end);
		PROMISE(memchr(l.text.n ? l.text.p : "", '\n', l.text.n) == NULL);
		end = l.end;
		line_parse(l.text.p, l.text.n, &el, &text, &why);
	}
	walk_close(w);
	bytes_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct backlog b;
	struct bytes out = {0};
	struct buffer *buf;
	struct err err;
	char path[5000];

	if (n == 0)
		return 0;
	for (size_t i = 0; i < NAMES; i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch(), names[i]);
		unlink(path);
	}
	put(data[0], data + 1, n - 1);
	if ((buf = buffer_open(scratch(), true, &err)) == NULL)
		abort();
	if (backlog_read(buf, &b, &err) == 0)
		backlog_json(&out, &b);
	backlog_free(&b);
	all_lines(buf);
	bytes_free(&out);
	buffer_close(buf);
	return 0;
}

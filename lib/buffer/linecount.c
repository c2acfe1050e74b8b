#include "buffer/linecount.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/process.h"
#include "base/token.h"
#include "buffer/reader.h"

#define MOST (64u << 20)

struct linecount_entry {
	char *stem;
	uint64_t inode;
	int64_t changed; /* 0 of one that is not closed */
	struct linecount part;
	bool used;
};

struct memory {
	char *path; /* NULL: nothing is remembered */
	struct linecount_entry *entry;
	/* next: behind the last that was found: segments are asked for in order */
	size_t n, cap, next;
	bool changed;
};

/* Whether a directory is ours. With sudo, HOME may be somebody else's: nothing of root is left
 * there. */
static bool
ours(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && st.st_uid == geteuid();
}

static bool
made(const char *dir)
{
	mkdir(dir, 0700);
	return ours(dir);
}

/* NULL when there is no place. */
static char *
place(const struct buffer *buf)
{
	const char *cache = process_env("XDG_CACHE_HOME"), *home = process_env("HOME");
	struct bytes b = {0};
	struct stat st;

	if (fstat(buffer_fd(buf), &st) == -1 || (cache == NULL && (home == NULL || !ours(home))))
		return NULL;
	bytes_adds(&b, cache != NULL ? cache : home);
	if (cache == NULL)
		bytes_adds(&b, "/.cache");
	if (made(bytes_str(&b))) {
		bytes_adds(&b, "/eventbus");
		if (made(bytes_str(&b))) {
			bytes_addf(&b, "/counted-%" PRIx64 "-%" PRIx64, (uint64_t)st.st_dev,
			    (uint64_t)st.st_ino);
			bytes_str(&b);
			return b.p;
		}
	}
	bytes_free(&b);
	return NULL;
}

static void
add(struct memory *c, const struct linecount_entry *e)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->entry = mem_realloc(c->entry, c->cap * sizeof(*c->entry));
	}
	c->entry[c->n++] = *e;
}

/* One that cannot be read whole is nobody's. */
static void
take_line(struct memory *c, char *line)
{
	const char *stem = token_next(&line);
	struct linecount_entry e = {0};
	uint64_t changed, first;

	if (num_parse_u64(token_next(&line), &e.inode) == 0 &&
	    num_parse_u64(token_next(&line), &e.part.end) == 0 &&
	    num_parse_u64(token_next(&line), &changed) == 0 &&
	    num_parse_u64(token_next(&line), &e.part.lines) == 0 &&
	    num_parse_u64(token_next(&line), &first) == 0 && strcmp(token_next(&line), ".") == 0) {
		e.stem = mem_strdup(stem);
		e.changed = (int64_t)changed;
		e.part.first = (int64_t)first;
		add(c, &e);
	}
}

static struct memory *
recall(const struct buffer *buf)
{
	struct memory *c = mem_alloc(sizeof(*c));
	char *text, *line, *end;

	if ((c->path = place(buf)) == NULL ||
	    (text = io_read_file(AT_FDCWD, c->path, MOST, NULL)) == NULL)
		return c;
	for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		take_line(c, line);
	}
	free(text);
	return c;
}

/* Zeroed when nothing is remembered. */
static struct linecount
find(struct memory *c, const struct segment *s, bool closed)
{
	for (size_t i = 0; i < c->n; i++) {
		struct linecount_entry *e = &c->entry[(c->next + i) % c->n];

		if (strcmp(e->stem, s->stem) != 0)
			continue;
		if (e->inode != s->inode ||
		    (closed ? e->part.end != s->size || e->changed != s->mtime_ns
		            : e->part.end > s->size))
			break;
		c->next = (c->next + i + 1) % c->n;
		e->used = true;
		return e->part;
	}
	return (struct linecount){0};
}

/* What was known of it before is forgotten. */
static void
note(struct memory *c, const struct segment *s, bool closed, const struct linecount *part)
{
	if (c->path == NULL || s->mtime_ns < 0 || part->first < 0)
		return;
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->entry[i].stem, s->stem) == 0)
			c->entry[i].used = false;
	add(c,
	    &(struct linecount_entry){
	        mem_strdup(s->stem), s->inode, closed ? s->mtime_ns : 0, *part, true});
	c->changed = true;
}

static void
store(const struct memory *c)
{
	struct bytes b = {0}, tmp = {0};
	int fd, r;

	for (size_t i = 0; i < c->n; i++) {
		const struct linecount_entry *e = &c->entry[i];

		if (!e->used)
			continue;
		token_add(&b, e->stem);
		bytes_addf(&b, " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRId64 " .\n",
		    e->inode, e->part.end, e->changed, e->part.lines, e->part.first);
	}
	/* Of two at once one may take away the other's: then that one is not remembered. */
	bytes_addf(&tmp, "%s.new", c->path);
	unlink(bytes_str(&tmp));
	fd = open(bytes_str(&tmp), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd != -1) {
		r = io_write_all(fd, b.p, b.len);
		if (close(fd) == -1 || r == -1 || rename(tmp.p, c->path) == -1)
			unlink(tmp.p);
	}
	bytes_free(&b);
	bytes_free(&tmp);
}

/* What was not asked for is forgotten. */
static void
forget(struct memory *c)
{
	if (c->changed)
		store(c);
	for (size_t i = 0; i < c->n; i++)
		free(c->entry[i].stem);
	free(c->entry);
	free(c->path);
	free(c);
}

/* --- counting --------------------------------------------------------------------- */

/* Counts on to `end`; live: a piece without newline there is not yet a line. */
static int
count_on(struct buffer *buf, walk_stamp_fn *stamp, const struct segment *s, uint64_t end, bool live,
    struct linecount *part, struct err *err)
{
	struct reader *r =
	    reader_open(buffer_fd(buf), s, part->end, end, live ? READER_LIVE : 0, err);
	struct reader_line l;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &l, err)) == 1)
		if (l.text.n > 0 && part->lines++ == 0 && stamp(l.text, &part->first) == -1)
			part->first = 0;
	reader_close(r);
	part->end = end;
	return got;
}

static int
count_closed(struct buffer *buf, walk_stamp_fn *stamp, struct memory *known,
    const struct segment *s, struct linecount *part, struct err *err)
{
	*part = find(known, s, true);
	if (part->end > 0)
		return 0;
	if (count_on(buf, stamp, s, s->gz ? UINT64_MAX : s->size, false, part, err) == -1)
		return -1;
	part->end = s->size;
	note(known, s, true, part);
	return 0;
}

/* The last of the chain: what its writers have noted stays as it is. */
static int
count_last(struct buffer *buf, walk_stamp_fn *stamp, struct memory *known, const struct segment *s,
    struct linecount *part, struct err *err)
{
	struct buffer_hints nb;

	if (s->gz)
		return count_on(buf, stamp, s, UINT64_MAX, true, part, err);
	buffer_read_hints(buf, &nb);
	*part = find(known, s, false);
	if (strcmp(nb.stem, s->stem) == 0 && nb.inode == s->inode && nb.size <= s->size &&
	    nb.size > part->end) {
		if (count_on(buf, stamp, s, nb.size, true, part, err) == -1)
			return -1;
		note(known, s, false, part);
	}
	return count_on(buf, stamp, s, s->size, true, part, err);
}

bool
linecount_chain(struct buffer *buf, const struct checkpoint *p, const struct segment *list,
    size_t n, walk_stamp_fn *stamp, struct linecount *sum)
{
	const struct position *m = &p->positions.chain;
	struct memory *known;
	struct err err;
	size_t i;
	int r = 0;

	*sum = (struct linecount){0};
	for (i = 0; i < n; i++)
		if (list[i].ignored ||
		    (list[i].kind != SEGMENT_CHAIN && list[i].kind != SEGMENT_FOREIGN))
			return false;
	if (p->nlagging)
		return false;
	known = recall(buf);
	for (i = 0; r == 0 && i < n && list[i].kind == SEGMENT_CHAIN; i++) {
		bool last = i + 1 == n || list[i + 1].kind != SEGMENT_CHAIN;
		int cmp = m->stem != NULL ? strcmp(list[i].stem, m->stem) : 1;
		struct linecount part = {.end = m->pos};

		if (cmp < 0)
			continue;
		if (cmp == 0 && m->pos > 0)
			r = count_on(buf, stamp, &list[i], list[i].gz ? UINT64_MAX : list[i].size,
			    last, &part, &err);
		else
			r = (last ? count_last : count_closed)(
			    buf, stamp, known, &list[i], &part, &err);
		if (sum->lines == 0)
			sum->first = part.first;
		sum->lines += part.lines;
	}
	forget(known);
	return r == 0;
}

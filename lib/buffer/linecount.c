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

#define CACHE_MAX (64u << 20)

struct linecount_entry {
	char *stem;
	uint64_t inode;
	int64_t mtime_ns; /* 0: not closed */
	struct linecount part;
	bool used;
};

struct count_cache {
	char *path; /* NULL: no cache */
	struct linecount_entry *entry;
	/* next: where the next search begins; segments are searched in file order */
	size_t n, cap, next;
	bool changed;
};

/* Returns whether this user owns the directory. Under sudo HOME may be another user's, where root
 * must leave nothing. */
static bool
is_own_dir(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && st.st_uid == geteuid();
}

/* Creates the directory where it is missing. */
static bool
make_own_dir(const char *dir)
{
	mkdir(dir, 0700);
	return is_own_dir(dir);
}

/* NULL: no usable cache directory. */
static char *
make_cache_path(const struct buffer *buf)
{
	const char *cache = process_env("XDG_CACHE_HOME"), *home = process_env("HOME");
	struct bytes b = {0};
	struct stat st;

	if (fstat(buf->fd, &st) == -1 || (cache == NULL && (home == NULL || !is_own_dir(home))))
		return NULL;
	bytes_adds(&b, cache != NULL ? cache : home);
	if (cache == NULL)
		bytes_adds(&b, "/.cache");
	if (make_own_dir(bytes_str(&b))) {
		bytes_adds(&b, "/eventbus");
		if (make_own_dir(bytes_str(&b))) {
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
append_cached(struct count_cache *c, const struct linecount_entry *e)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->entry = mem_realloc(c->entry, c->cap * sizeof(*c->entry));
	}
	c->entry[c->n++] = *e;
}

/* Ignores a malformed line. */
static void
parse_cache_line(struct count_cache *c, char *line)
{
	const char *stem = token_next(&line);
	struct linecount_entry e = {0};
	uint64_t mtime_ns, first;

	if (num_parse_u64(token_next(&line), &e.inode) == 0 &&
	    num_parse_u64(token_next(&line), &e.part.end) == 0 &&
	    num_parse_u64(token_next(&line), &mtime_ns) == 0 &&
	    num_parse_u64(token_next(&line), &e.part.lines) == 0 &&
	    num_parse_u64(token_next(&line), &first) == 0 && strcmp(token_next(&line), ".") == 0) {
		e.stem = mem_strdup(stem);
		e.mtime_ns = (int64_t)mtime_ns;
		e.part.first = (int64_t)first;
		append_cached(c, &e);
	}
}

static struct count_cache *
load_cache(const struct buffer *buf)
{
	struct count_cache *c = mem_alloc(sizeof(*c));
	char *text, *line, *end;

	if ((c->path = make_cache_path(buf)) == NULL ||
	    (text = io_read_file(AT_FDCWD, c->path, CACHE_MAX, NULL)) == NULL)
		return c;
	for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		parse_cache_line(c, line);
	}
	free(text);
	return c;
}

/* Returns zeros when the cache has no valid count of the segment. */
static struct linecount
find_cached_count(struct count_cache *c, const struct segment *s, bool closed)
{
	for (size_t i = 0; i < c->n; i++) {
		struct linecount_entry *e = &c->entry[(c->next + i) % c->n];

		if (strcmp(e->stem, s->stem) != 0)
			continue;
		if (e->inode != s->inode ||
		    (closed ? e->part.end != s->size || e->mtime_ns != s->mtime_ns
		            : e->part.end > s->size))
			break;
		c->next = (c->next + i + 1) % c->n;
		e->used = true;
		return e->part;
	}
	return (struct linecount){0};
}

/* Replaces the segment's older count. */
static void
cache_count(
    struct count_cache *c, const struct segment *s, bool closed, const struct linecount *part)
{
	if (c->path == NULL || s->mtime_ns < 0 || part->first < 0)
		return;
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->entry[i].stem, s->stem) == 0)
			c->entry[i].used = false;
	append_cached(c,
	    &(struct linecount_entry){
	        mem_strdup(s->stem), s->inode, closed ? s->mtime_ns : 0, *part, true});
	c->changed = true;
}

static void
store_cache(const struct count_cache *c)
{
	struct bytes b = {0}, tmp = {0};
	int fd, r;

	for (size_t i = 0; i < c->n; i++) {
		const struct linecount_entry *e = &c->entry[i];

		if (!e->used)
			continue;
		token_add(&b, e->stem);
		bytes_addf(&b, " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRId64 " .\n",
		    e->inode, e->part.end, e->mtime_ns, e->part.lines, e->part.first);
	}
	/* Two processes at once may remove each other's file: then that count is lost. */
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

/* Stores the counts used in this run, if one changed; drops the others. */
static void
close_cache(struct count_cache *c)
{
	if (c->changed)
		store_cache(c);
	for (size_t i = 0; i < c->n; i++)
		free(c->entry[i].stem);
	free(c->entry);
	free(c->path);
	free(c);
}

/* --- counting --------------------------------------------------------------------- */

/* Adds the lines from part->end to end. live: a piece at the end without newline is not a line yet.
 */
static int
count_up_to(struct buffer *buf, walk_stamp_fn *stamp, const struct segment *s, uint64_t end,
    bool live, struct linecount *part, struct err *err)
{
	struct reader *r = reader_open(buf->fd, s, part->end, end, live ? READER_LIVE : 0, err);
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
count_closed(struct buffer *buf, walk_stamp_fn *stamp, struct count_cache *cache,
    const struct segment *s, struct linecount *part, struct err *err)
{
	*part = find_cached_count(cache, s, true);
	if (part->end > 0)
		return 0;
	if (count_up_to(buf, stamp, s, s->gz ? UINT64_MAX : s->size, false, part, err) == -1)
		return -1;
	part->end = s->size;
	cache_count(cache, s, true, part);
	return 0;
}

/* Counts the last segment of the chain; caches the count up to the size its writers have noted. */
static int
count_last(struct buffer *buf, walk_stamp_fn *stamp, struct count_cache *cache,
    const struct segment *s, struct linecount *part, struct err *err)
{
	struct buffer_hints hints;

	if (s->gz)
		return count_up_to(buf, stamp, s, UINT64_MAX, true, part, err);
	buffer_read_hints(buf, &hints);
	*part = find_cached_count(cache, s, false);
	if (strcmp(hints.stem, s->stem) == 0 && hints.inode == s->inode && hints.size <= s->size &&
	    hints.size > part->end) {
		if (count_up_to(buf, stamp, s, hints.size, true, part, err) == -1)
			return -1;
		cache_count(cache, s, false, part);
	}
	return count_up_to(buf, stamp, s, s->size, true, part, err);
}

bool
linecount_chain(struct buffer *buf, const struct checkpoint *p, const struct segment *list,
    size_t n, walk_stamp_fn *stamp, struct linecount *sum)
{
	const struct position *at = &p->positions.chain;
	struct count_cache *cache;
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
	cache = load_cache(buf);
	for (i = 0; r == 0 && i < n && list[i].kind == SEGMENT_CHAIN; i++) {
		bool last = i + 1 == n || list[i + 1].kind != SEGMENT_CHAIN;
		int cmp = at->stem != NULL ? strcmp(list[i].stem, at->stem) : 1;
		struct linecount part = {.end = at->pos};

		if (cmp < 0)
			continue;
		if (cmp == 0 && at->pos > 0)
			r = count_up_to(buf, stamp, &list[i],
			    list[i].gz ? UINT64_MAX : list[i].size, last, &part, &err);
		else
			r = (last ? count_last : count_closed)(
			    buf, stamp, cache, &list[i], &part, &err);
		if (sum->lines == 0)
			sum->first = part.first;
		sum->lines += part.lines;
	}
	close_cache(cache);
	return r == 0;
}

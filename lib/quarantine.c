#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "json.h"
#include "quarantine.h"
#include "status.h"
#include "util.h"
#include "when.h"

#define SCAN (64u << 10)

/* One file is open at a time: lines come segment by segment. */
struct quarantine {
	struct spool *sp;
	int dir;		/* -1 until the first line */
	int fd;			/* of the file for `stem`; -1 none */
	char *stem;
	uint64_t highest;	/* offset recorded in it; above it nothing has to be looked for */
	bool any;		/* it has lines */
};

struct quarantine *
quarantine_open(struct spool *sp)
{
	struct quarantine *q = util_alloc(sizeof *q);

	q->sp = sp;
	q->dir = q->fd = -1;
	return q;
}

void
quarantine_close(struct quarantine *q)
{
	if (!q)
		return;
	if (q->fd != -1)
		close(q->fd);
	if (q->dir != -1)
		close(q->dir);
	free(q->stem);
	free(q);
}

static int
need_dir(struct quarantine *q, struct fail *f)
{
	if (q->dir != -1)
		return 0;
	if (mkdirat(spool_fd(q->sp), "quarantine", 0700) == 0 && spool_sync(q->sp, f) == -1)
		return -1;
	q->dir = openat(spool_fd(q->sp), "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (q->dir == -1)
		return fail_errno(f, STATUS_UNSAFE, "open '%s/quarantine'", spool_dir(q->sp));
	return 0;
}

static void
place_of(struct buf *b, const char *stem)
{
	buf_adds(b, "\"segment\":");
	json_quote(b, stem, strlen(stem));
	buf_adds(b, ",\"offset\":");
}

/*
 * Reads the file through: the highest offset recorded in it, and whether `pos` is among them. The needle stands outside of the
 * quoted line only, for quotes within that are escaped.
 */
static int
look_through(struct quarantine *q, const char *needle, uint64_t pos)
{
	size_t keep = strlen(needle) + 24, have = 0;
	char *b = util_realloc(NULL, SCAN + 1), *p;
	off_t at = 0;
	ssize_t n;
	uint64_t offset;
	int found = 0;

	q->any = false;
	while ((n = pread(q->fd, b + have, SCAN - have, at)) > 0) {
		at += n;
		have += (size_t)n;
		b[have] = '\0';
		for (p = b; (p = memmem(p, have - (size_t)(p - b), needle, strlen(needle))); p++) {
			offset = strtoull(p + strlen(needle), NULL, 10);
			found |= offset == pos;
			if (offset > q->highest || !q->any)
				q->highest = offset;
			q->any = true;
		}
		if (have > keep) {
			memmove(b, b + have - keep, keep);
			have = keep;
		}
	}
	free(b);
	return found;
}

/* Cuts a torn last line, left by a process that died, so that the next one is whole. */
static off_t
whole_size(int fd)
{
	struct stat st;
	char c;
	off_t at;

	if (fstat(fd, &st) == -1)
		return -1;
	for (at = st.st_size; at > 0; at--)
		if (pread(fd, &c, 1, at - 1) != 1 || c == '\n')
			break;
	if (at < st.st_size && ftruncate(fd, at) == -1)
		return -1;
	return at;
}

static void
format(struct buf *b, const char *place, const char *reason, struct slice line)
{
	char now[WHEN_SIZE];

	when_format(when_now(), now);
	buf_addf(b, "{\"quarantined_at\":\"%s\",\"reason\":", now);
	json_quote(b, reason, strlen(reason));
	buf_addc(b, ',');
	buf_adds(b, place);
	if (json_utf8(line.p, line.n)) {
		buf_adds(b, "\"line\":");
		json_quote(b, line.p, line.n);
	} else {
		buf_adds(b, "\"line_base64\":\"");
		base64_add(b, line.p, line.n);
		buf_addc(b, '"');
	}
	buf_adds(b, "}\n");
}

static int
write_line(int fd, const struct buf *b)
{
	off_t at = whole_size(fd);

	if (at == -1)
		return -1;
	if (lseek(fd, at, SEEK_SET) != -1 && util_write(fd, b->p, b->len) == 0)
		return 0;
	if (ftruncate(fd, at) == -1) {
		/* whole_size cuts it next time */
	}
	return -1;
}

static int
sync_file(struct quarantine *q, struct fail *f)
{
	if (q->fd != -1 && fdatasync(q->fd) == -1)
		return fail_errno(f, STATUS_UNSAFE, "write '%s/quarantine/%s.jsonl'", spool_dir(q->sp), q->stem);
	return 0;
}

/* 1 when this line is recorded already. */
static int
open_file(struct quarantine *q, const char *stem, const char *needle, uint64_t pos, struct fail *f)
{
	char name[SEGMENT_NAME + 16];

	if (q->fd != -1 && strcmp(q->stem, stem) == 0)
		return q->any && pos <= q->highest ? look_through(q, needle, pos) : 0;
	if (sync_file(q, f) == -1)
		return -1;
	if (q->fd != -1)
		close(q->fd);
	free(q->stem);
	q->stem = util_strdup(stem);
	q->highest = 0;
	snprintf(name, sizeof name, "%s.jsonl", stem);
	q->fd = openat(q->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (q->fd == -1)
		return fail_errno(f, STATUS_UNSAFE, "open '%s/quarantine/%s'", spool_dir(q->sp), name);
	return look_through(q, needle, pos);
}

int
quarantine_add(struct quarantine *q, const char *stem, uint64_t pos, const char *reason, struct slice line, struct fail *f)
{
	struct buf place = { 0 }, b = { 0 };
	int r = need_dir(q, f);

	place_of(&place, stem);
	if (r == 0)
		r = open_file(q, stem, buf_str(&place), pos, f);
	if (r == 0) {
		buf_addf(&place, "%" PRIu64 ",", pos);
		format(&b, buf_str(&place), reason, line);
		if ((r = write_line(q->fd, &b)) == -1)
			fail_errno(f, STATUS_UNSAFE, "write '%s/quarantine/%s.jsonl'", spool_dir(q->sp), stem);
		else if (pos > q->highest || !q->any) {
			q->highest = pos;
			q->any = true;
		}
	}
	buf_free(&place);
	buf_free(&b);
	return r == -1 ? -1 : 0;
}

int
quarantine_sync(struct quarantine *q, struct fail *f)
{
	if (sync_file(q, f) == -1)
		return -1;
	if (q->dir != -1 && fsync(q->dir) == -1)
		return fail_errno(f, STATUS_UNSAFE, "fsync '%s/quarantine'", spool_dir(q->sp));
	return 0;
}

int
quarantine_whole(struct quarantine *q, const struct segment *s, uint64_t bad, struct fail *f)
{
	char name[SEGMENT_NAME + 64];

	if (need_dir(q, f) == -1)
		return -1;
	snprintf(name, sizeof name, "%s.bad-%" PRIu64 ".jsonl%s", s->stem, bad, s->gz ? ".gz" : "");
	if (renameat(spool_fd(q->sp), s->name, q->dir, name) == -1 || fsync(q->dir) == -1)
		return fail_errno(f, STATUS_UNSAFE, "move '%s/%s' into quarantine", spool_dir(q->sp), s->name);
	return 0;
}

/* --- counting ------------------------------------------------------------------- */

static uint64_t
count_lines(int dir, const char *name)
{
	char *b;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t lines = 0;
	ssize_t n;

	if (fd == -1)
		return 0;
	b = util_realloc(NULL, SCAN);
	while ((n = read(fd, b, SCAN)) > 0) {
		char *p = b, *end = b + n;

		while ((p = memchr(p, '\n', (size_t)(end - p)))) {
			lines++;
			p++;
		}
	}
	free(b);
	close(fd);
	return lines;
}

static uint64_t
count_file(int dir, const char *name)
{
	const char *bad = strstr(name, ".bad-");

	if (bad && strstr(bad, ".jsonl"))
		return strtoull(bad + 5, NULL, 10);
	return strstr(name, ".jsonl") ? count_lines(dir, name) : 0;
}

uint64_t
quarantine_count(struct spool *sp)
{
	int fd = openat(spool_fd(sp), "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t n = 0;

	if (!d) {
		if (fd != -1)
			close(fd);
		return 0;
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			n += count_file(dirfd(d), e->d_name);
	closedir(d);
	return n;
}

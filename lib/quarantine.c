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

static int
open_dir(struct spool *sp, bool create, struct fail *f)
{
	int fd;

	if (create && mkdirat(spool_fd(sp), "quarantine", 0700) == 0 && spool_sync(sp, f) == -1)
		return -1;
	fd = openat(spool_fd(sp), "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		fail_errno(f, STATUS_UNSAFE, "open '%s/quarantine'", spool_dir(sp));
	return fd;
}

/* 1 when the file holds a whole line with these bytes in it. The needle is without newline and below SCAN. */
static int
has_line_with(int fd, const char *needle)
{
	size_t keep = strlen(needle), have = 0;
	char *b = util_realloc(NULL, SCAN + 1);
	off_t at = 0;
	ssize_t n;
	int found = 0;

	while (!found && (n = pread(fd, b + have, SCAN - have, at)) > 0) {
		at += n;
		have += (size_t)n;
		found = memmem(b, have, needle, keep) != NULL;
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
	if (lseek(fd, at, SEEK_SET) != -1 && util_write(fd, b->p, b->len) == 0 && fdatasync(fd) == 0)
		return 0;
	if (ftruncate(fd, at) == -1) {
		/* whole_size cuts it next time */
	}
	return -1;
}

int
quarantine_add(struct spool *sp, const char *stem, uint64_t pos, const char *reason, struct slice line, struct fail *f)
{
	char name[SEGMENT_NAME + 16];
	struct buf place = { 0 }, b = { 0 };
	int dir = open_dir(sp, true, f), fd = -1, r = -1;

	if (dir == -1)
		return -1;
	snprintf(name, sizeof name, "%s.jsonl", stem);
	buf_adds(&place, "\"segment\":");
	json_quote(&place, stem, strlen(stem));
	buf_addf(&place, ",\"offset\":%" PRIu64 ",", pos);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd != -1 && has_line_with(fd, buf_str(&place)))
		r = 0;
	else if (fd != -1) {
		format(&b, buf_str(&place), reason, line);
		r = write_line(fd, &b);
	}
	if (r == -1)
		fail_errno(f, STATUS_UNSAFE, "write '%s/quarantine/%s'", spool_dir(sp), name);
	if (fd != -1)
		close(fd);
	close(dir);
	buf_free(&place);
	buf_free(&b);
	return r;
}

int
quarantine_sync(struct spool *sp, struct fail *f)
{
	int dir = open_dir(sp, false, f), r;

	if (dir == -1)
		return -1;
	r = fsync(dir);
	if (r == -1)
		fail_errno(f, STATUS_UNSAFE, "fsync '%s/quarantine'", spool_dir(sp));
	close(dir);
	return r;
}

int
quarantine_whole(struct spool *sp, const struct segment *s, uint64_t bad, struct fail *f)
{
	char name[SEGMENT_NAME + 64];
	int dir = open_dir(sp, true, f), r;

	if (dir == -1)
		return -1;
	snprintf(name, sizeof name, "%s.bad-%" PRIu64 ".jsonl%s", s->stem, bad, s->gz ? ".gz" : "");
	r = renameat(spool_fd(sp), s->name, dir, name);
	if (r == 0)
		r = fsync(dir);
	if (r == -1)
		fail_errno(f, STATUS_UNSAFE, "move '%s/%s' into quarantine", spool_dir(sp), s->name);
	close(dir);
	return r;
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

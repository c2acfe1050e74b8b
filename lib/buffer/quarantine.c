#include "buffer/quarantine.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"

#define SCAN_BYTES (64u << 10)

#define LOCK_MS 2000
#define OPEN_FILES 16 /* at a time: bad lines come from few segments at once */

struct quarantine_file {
	int fd;
	char *stem;       /* NULL: not in use */
	uint64_t highest; /* recorded offset; a line above it needs no scan */
	bool any;         /* the file has records */
	bool fresh;       /* opened, and not scanned yet */
	bool dirty;
	uint64_t used;
};

struct quarantine {
	struct buffer *buf;
	int dir; /* -1 until the first line */
	struct quarantine_file file[OPEN_FILES];
	uint64_t uses;
};

static void
close_quarantine_file(struct quarantine_file *f)
{
	if (f->stem != NULL)
		close(f->fd);
	free(f->stem);
	memset(f, 0, sizeof(*f));
}

struct quarantine *
quarantine_open(struct buffer *buf)
{
	struct quarantine *q = mem_alloc(sizeof(*q));

	q->buf = buf;
	q->dir = -1;
	return q;
}

void
quarantine_close(struct quarantine *q)
{
	size_t i;

	for (i = 0; i < OPEN_FILES; i++)
		close_quarantine_file(&q->file[i]);
	if (q->dir != -1)
		close(q->dir);
	free(q);
}

static int
ensure_quarantine_dir(struct quarantine *q, struct err *err)
{
	if (q->dir != -1)
		return 0;
	if (mkdirat(q->buf->fd, "quarantine", 0700) == 0 && buffer_sync(q->buf, err) == -1)
		return -1;
	q->dir = openat(q->buf->fd, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (q->dir == -1)
		return err_sys(err, STATUS_UNSAFE, "open '%s/quarantine'", q->buf->dir);
	return 0;
}

static void
put_record_place(struct bytes *b, const char *stem)
{
	bytes_adds(b, "\"segment\":");
	json_quote(b, stem, strlen(stem));
	bytes_adds(b, ",\"offset\":");
}

/*
 * Reads the whole file: stores the highest recorded offset, and returns whether `pos` is recorded.
 * The needle cannot match inside a quoted line, because quotes are escaped there.
 */
static int
scan_for_record(struct quarantine_file *q, const char *needle, uint64_t pos)
{
	size_t keep = strlen(needle) + 24, have = 0;
	char *b = mem_realloc(NULL, SCAN_BYTES + 1), *p;
	off_t at = 0;
	ssize_t n;
	uint64_t offset;
	int found = 0;

	q->any = false;
	while ((n = pread(q->fd, b + have, SCAN_BYTES - have, at)) > 0) {
		at += n;
		have += (size_t)n;
		b[have] = '\0';
		for (p = b; (p = memmem(p, have - (size_t)(p - b), needle, strlen(needle))) != NULL;
		     p++) {
			if (p + keep > b + have && have == SCAN_BYTES)
				/* its digits may be cut: the next read has them whole */
				break;
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

/* Cuts a torn last record, left by a process that died. Returns the size. */
static off_t
cut_torn_record(int fd)
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
put_record(struct bytes *b, const char *place, const char *reason, struct slice line)
{
	char now[CLOCK_SIZE];

	clock_format(clock_now(), now);
	bytes_addf(b, "{\"quarantined_at\":\"%s\",\"reason\":", now);
	json_quote(b, reason, strlen(reason));
	bytes_addc(b, ',');
	bytes_adds(b, place);
	if (json_is_utf8(line.p, line.n)) {
		bytes_adds(b, "\"line\":");
		json_quote(b, line.p, line.n);
	} else {
		bytes_adds(b, "\"line_base64\":\"");
		base64_encode(b, line.p, line.n);
		bytes_addc(b, '"');
	}
	bytes_adds(b, "}\n");
}

static int
write_record(int fd, const struct bytes *b)
{
	off_t at = cut_torn_record(fd);

	if (at == -1)
		return -1;
	if (lseek(fd, at, SEEK_SET) != -1 && io_write_all(fd, b->p, b->len) == 0)
		return 0;
	if (ftruncate(fd, at) == -1) {
		/* the next cut_torn_record cuts it */
	}
	return -1;
}

static int
sync_quarantine_file(struct quarantine *q, struct quarantine_file *file, struct err *err)
{
	if (file->dirty && fdatasync(file->fd) == -1)
		return err_sys(
		    err, STATUS_UNSAFE, "write '%s/quarantine/%s.jsonl'", q->buf->dir, file->stem);
	file->dirty = false;
	return 0;
}

/* Returns the open file of a stem, or the least recently used one, closed. */
static struct quarantine_file *
choose_open_file(struct quarantine *q, const char *stem, struct err *err)
{
	struct quarantine_file *oldest = &q->file[0];
	size_t i;

	for (i = 0; i < OPEN_FILES; i++) {
		if (q->file[i].stem != NULL && strcmp(q->file[i].stem, stem) == 0)
			return &q->file[i];
		if (q->file[i].used < oldest->used)
			oldest = &q->file[i];
	}
	if (oldest->stem != NULL && sync_quarantine_file(q, oldest, err) == -1)
		return NULL;
	close_quarantine_file(oldest);
	return oldest;
}

/* Opens and locks; tries again when requeue.h renamed the file in between. */
static int
open_file_locked(int dir, const char *name)
{
	struct stat a, b;
	int fd, tries;

	for (tries = 0; tries < 8; tries++) {
		fd =
		    openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
		if (fd == -1)
			return -1;
		if (io_lock(fd, LOCK_MS) == -1 || fstat(fd, &a) == -1 || !S_ISREG(a.st_mode))
			break;
		if (fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
		    a.st_ino == b.st_ino)
			return fd;
		close(fd);
		fd = -1;
		errno = EWOULDBLOCK;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

static struct quarantine_file *
open_quarantine_file(struct quarantine *q, const char *stem, struct err *err)
{
	char name[SEGMENT_NAME + 16];
	struct quarantine_file *file = choose_open_file(q, stem, err);

	if (file == NULL)
		return NULL;
	file->used = ++q->uses;
	if (file->stem != NULL)
		return file;
	snprintf(name, sizeof(name), "%s.jsonl", stem);
	if ((file->fd = open_file_locked(q->dir, name)) == -1) {
		err_sys(err, STATUS_UNSAFE, "open '%s/quarantine/%s'", q->buf->dir, name);
		return NULL;
	}
	file->stem = mem_strdup(stem);
	file->fresh = true;
	return file;
}

static bool
has_record(struct quarantine_file *file, const char *needle, uint64_t pos)
{
	bool known = (file->fresh || (file->any && pos <= file->highest)) &&
	    scan_for_record(file, needle, pos);

	file->fresh = false;
	return known;
}

static int
append_record(struct quarantine *q, struct quarantine_file *file, struct bytes *place, uint64_t pos,
    const char *reason, struct slice line, struct err *err)
{
	struct bytes b = {0};
	int r;

	bytes_addf(place, "%" PRIu64 ",", pos);
	put_record(&b, bytes_str(place), reason, line);
	r = write_record(file->fd, &b);
	bytes_free(&b);
	if (r == -1)
		return err_sys(
		    err, STATUS_UNSAFE, "write '%s/quarantine/%s.jsonl'", q->buf->dir, file->stem);
	file->dirty = true;
	if (pos > file->highest || !file->any) {
		file->highest = pos;
		file->any = true;
	}
	return 0;
}

int
quarantine_add(struct quarantine *q, const char *stem, uint64_t pos, const char *reason,
    struct slice line, struct err *err)
{
	struct bytes place = {0};
	struct quarantine_file *file;
	int r = -1;

	if (ensure_quarantine_dir(q, err) == -1)
		return -1;
	put_record_place(&place, stem);
	if ((file = open_quarantine_file(q, stem, err)) != NULL)
		r = has_record(file, bytes_str(&place), pos)
		    ? 0
		    : append_record(q, file, &place, pos, reason, line, err);
	bytes_free(&place);
	return r;
}

int
quarantine_add_refused(struct quarantine *q, const char *reason, struct slice line, struct err *err)
{
	struct bytes place = {0};
	struct quarantine_file *file;
	struct stat st;
	int r = -1;

	if (ensure_quarantine_dir(q, err) == -1)
		return -1;
	put_record_place(&place, QUARANTINE_REFUSED);
	if ((file = open_quarantine_file(q, QUARANTINE_REFUSED, err)) != NULL &&
	    fstat(file->fd, &st) == 0)
		r = append_record(q, file, &place, (uint64_t)st.st_size, reason, line, err);
	bytes_free(&place);
	return r;
}

int
quarantine_sync(struct quarantine *q, struct err *err)
{
	size_t i;

	for (i = 0; i < OPEN_FILES; i++)
		if (sync_quarantine_file(q, &q->file[i], err) == -1)
			return -1;
	if (q->dir != -1 && fsync(q->dir) == -1)
		return err_sys(err, STATUS_UNSAFE, "fsync '%s/quarantine'", q->buf->dir);
	return 0;
}

int
quarantine_move_segment(
    struct quarantine *q, const struct segment *s, uint64_t bad, struct err *err)
{
	char name[SEGMENT_NAME + 64];

	if (ensure_quarantine_dir(q, err) == -1)
		return -1;
	snprintf(
	    name, sizeof(name), "%s.bad-%" PRIu64 ".jsonl%s", s->stem, bad, s->gz ? ".gz" : "");
	if (renameat(q->buf->fd, s->name, q->dir, name) == -1 || fsync(q->dir) == -1)
		return err_sys(
		    err, STATUS_UNSAFE, "move '%s/%s' into quarantine", q->buf->dir, s->name);
	return 0;
}

/* --- counting ------------------------------------------------------------------- */

static uint64_t
count_newlines(int dir, const char *name)
{
	char *b;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t lines = 0;
	ssize_t n;

	if (fd == -1)
		return 0;
	b = mem_realloc(NULL, SCAN_BYTES);
	while ((n = read(fd, b, SCAN_BYTES)) > 0) {
		char *p = b, *end = b + n;

		while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
			lines++;
			p++;
		}
	}
	free(b);
	close(fd);
	return lines;
}

static uint64_t
count_quarantined_lines(int dir, const char *name)
{
	const char *bad = strstr(name, ".bad-");

	if (bad != NULL && strstr(bad, ".jsonl") != NULL)
		return strtoull(bad + 5, NULL, 10);
	return strstr(name, ".jsonl") != NULL ? count_newlines(dir, name) : 0;
}

uint64_t
quarantine_count(struct buffer *buf)
{
	int fd = openat(buf->fd, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t n = 0;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return 0;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			n += count_quarantined_lines(fd, e->d_name);
	closedir(d);
	return n;
}

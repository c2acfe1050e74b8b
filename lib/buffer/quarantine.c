#include "buffer/quarantine.h"

#include <sys/mman.h>
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
	for (size_t i = 0; i < OPEN_FILES; i++)
		close_quarantine_file(&q->file[i]);
	io_close(q->dir);
	free(q);
}

static int
fail_quarantine(const struct quarantine *q, const char *what, const char *stem, struct err *err)
{
	return err_sys(err, STATUS_UNSAFE, "%s '%s/quarantine%s%s%s'", what, q->buf->dir,
	    stem != NULL ? "/" : "", stem != NULL ? stem : "", stem != NULL ? ".jsonl" : "");
}

/*
 * Looks through the whole file: stores the highest recorded offset, and returns whether `pos` is
 * recorded, or -1 with errno. The needle cannot match inside a quoted line, because quotes are
 * escaped there.
 */
static int
scan_for_record(struct quarantine_file *f, const char *needle, uint64_t pos)
{
	size_t n = strlen(needle);
	const char *p, *end;
	struct stat st;
	uint64_t offset;
	void *text;
	int found = 0;

	f->any = false;
	if (fstat(f->fd, &st) == -1)
		return -1;
	if (st.st_size == 0)
		return 0;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, f->fd, 0);
	if (text == MAP_FAILED)
		return -1;
	end = (const char *)text + st.st_size;
	for (p = text; (p = memmem(p, (size_t)(end - p), needle, n)) != NULL;) {
		offset = 0;
		for (p += n; p < end && *p >= '0' && *p <= '9'; p++)
			offset = offset * 10 + (uint64_t)(*p - '0');
		found |= offset == pos;
		if (offset > f->highest || !f->any)
			f->highest = offset;
		f->any = true;
	}
	munmap(text, (size_t)st.st_size);
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
		return fail_quarantine(q, "write", file->stem, err);
	file->dirty = false;
	return 0;
}

/* Opens and locks; tries again when requeue.h renamed the file in between. */
static int
open_file_locked(int dir, const char *name)
{
	for (int tries = 0; tries < 8; tries++) {
		int fd = io_open_own(dir, name, O_RDWR | O_CREAT);

		if (fd == -1)
			return -1;
		if (io_lock(fd, LOCK_MS) == -1) {
			io_close(fd);
			return -1;
		}
		if (io_is_open_as(dir, name, fd))
			return fd;
		close(fd);
	}
	errno = EWOULDBLOCK;
	return -1;
}

static int
ensure_quarantine_dir(struct quarantine *q, struct err *err)
{
	if (q->dir != -1)
		return 0;
	if (mkdirat(q->buf->fd, "quarantine", 0700) == 0 && buffer_sync(q->buf, err) == -1)
		return -1;
	q->dir = openat(q->buf->fd, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return q->dir != -1 ? 0 : fail_quarantine(q, "open", NULL, err);
}

/* Returns the open file of a stem, or opens it in place of the least recently used one. */
static struct quarantine_file *
open_quarantine_file(struct quarantine *q, const char *stem, struct err *err)
{
	char name[SEGMENT_NAME + 16];
	struct quarantine_file *file = q->file, *f;

	if (ensure_quarantine_dir(q, err) == -1)
		return NULL;
	for (f = q->file; f < q->file + OPEN_FILES; f++) {
		if (f->stem != NULL && strcmp(f->stem, stem) == 0) {
			f->used = ++q->uses;
			return f;
		}
		if (f->used < file->used)
			file = f;
	}
	if (file->stem != NULL && sync_quarantine_file(q, file, err) == -1)
		return NULL;
	close_quarantine_file(file);
	file->used = ++q->uses;
	snprintf(name, sizeof(name), "%s.jsonl", stem);
	if ((file->fd = open_file_locked(q->dir, name)) == -1) {
		fail_quarantine(q, "open", stem, err);
		return NULL;
	}
	file->stem = mem_strdup(stem);
	file->fresh = true;
	return file;
}

static int
append_record(struct quarantine_file *file, const char *place, uint64_t pos, const char *reason,
    struct slice line)
{
	struct bytes b = {0};
	char now[CLOCK_SIZE];
	bool text = json_is_utf8(line.p, line.n);
	int r;

	clock_format(clock_now(), now);
	bytes_addf(&b, "{\"quarantined_at\":\"%s\",\"reason\":", now);
	json_quote(&b, reason, strlen(reason));
	bytes_addf(&b, ",%s%" PRIu64 ",%s:", place, pos, text ? "\"line\"" : "\"line_base64\"");
	if (text) {
		json_quote(&b, line.p, line.n);
	} else {
		bytes_addc(&b, '"');
		base64_encode(&b, line.p, line.n);
		bytes_addc(&b, '"');
	}
	bytes_adds(&b, "}\n");
	r = write_record(file->fd, &b);
	bytes_free(&b);
	if (r == 0) {
		file->dirty = true;
		if (pos > file->highest || !file->any)
			file->highest = pos;
		file->any = true;
	}
	return r;
}

int
quarantine_add(struct quarantine *q, const char *stem, uint64_t pos, const char *reason,
    struct slice line, struct err *err)
{
	struct bytes place = {0};
	struct quarantine_file *file = open_quarantine_file(q, stem, err);
	int r = 0;

	if (file == NULL)
		return -1;
	bytes_adds(&place, "\"segment\":");
	json_quote(&place, stem, strlen(stem));
	bytes_adds(&place, ",\"offset\":");
	bytes_str(&place);
	/* Lines of a segment come in order: most are above all recorded ones, and need no scan. */
	if (file->fresh || (file->any && pos <= file->highest))
		r = scan_for_record(file, place.p, pos);
	file->fresh = false;
	if (r == 0)
		r = append_record(file, place.p, pos, reason, line);
	bytes_free(&place);
	return r == -1 ? fail_quarantine(q, "write", stem, err) : 0;
}

int
quarantine_add_refused(struct quarantine *q, const char *reason, struct slice line, struct err *err)
{
	struct quarantine_file *file = open_quarantine_file(q, QUARANTINE_REFUSED, err);
	struct stat st;

	if (file == NULL)
		return -1;
	if (fstat(file->fd, &st) == -1 ||
	    append_record(file, "\"segment\":\"" QUARANTINE_REFUSED "\",\"offset\":",
	        (uint64_t)st.st_size, reason, line) == -1)
		return fail_quarantine(q, "write", QUARANTINE_REFUSED, err);
	return 0;
}

int
quarantine_sync(struct quarantine *q, struct err *err)
{
	for (size_t i = 0; i < OPEN_FILES; i++)
		if (sync_quarantine_file(q, &q->file[i], err) == -1)
			return -1;
	return q->dir != -1 && io_sync_dir(q->dir) == -1 ? fail_quarantine(q, "fsync", NULL, err)
	                                                 : 0;
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
	if (renameat(q->buf->fd, s->name, q->dir, name) == -1 || io_sync_dir(q->dir) == -1)
		return err_sys(
		    err, STATUS_UNSAFE, "move '%s/%s' into quarantine", q->buf->dir, s->name);
	return 0;
}

/* --- counting ------------------------------------------------------------------- */

static uint64_t
count_newlines(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *b = mem_realloc(NULL, SCAN_BYTES);
	uint64_t lines = 0;
	ssize_t n;

	while (fd != -1 && (n = read(fd, b, SCAN_BYTES)) > 0)
		for (char *p = b; (p = memchr(p, '\n', (size_t)(b + n - p))) != NULL; p++)
			lines++;
	free(b);
	io_close(fd);
	return lines;
}

/* Shortens the name by its tail, if it ends with that, and is longer. */
static bool
strip_tail(const char *name, size_t *n, const char *tail)
{
	size_t t = strlen(tail);

	if (*n <= t || memcmp(name + *n - t, tail, t) != 0)
		return false;
	*n -= t;
	return true;
}

static bool
strip_digits(const char *name, size_t *n)
{
	size_t before = *n;

	while (*n > 0 && name[*n - 1] >= '0' && name[*n - 1] <= '9')
		--*n;
	return *n < before;
}

bool
quarantine_is_whole(const char *name, size_t *stem, uint64_t *bad)
{
	size_t n = strlen(name);

	if (strip_tail(name, &n, ".retrying") &&
	    !(strip_digits(name, &n) && strip_tail(name, &n, ".")))
		return false;
	strip_tail(name, &n, ".gz");
	if (!strip_tail(name, &n, ".jsonl") || !strip_digits(name, &n))
		return false;
	*bad = strtoull(name + n, NULL, 10);
	if (!strip_tail(name, &n, ".bad-"))
		return false;
	*stem = n;
	return true;
}

uint64_t
quarantine_count(struct buffer *buf)
{
	DIR *d = io_open_dir(buf->fd, "quarantine");
	struct dirent *e;
	uint64_t n = 0, bad;
	size_t stem;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || strstr(e->d_name, ".jsonl") == NULL)
			continue;
		if (quarantine_is_whole(e->d_name, &stem, &bad))
			n += bad;
		else
			n += count_newlines(dirfd(d), e->d_name);
	}
	if (d != NULL)
		closedir(d);
	return n;
}

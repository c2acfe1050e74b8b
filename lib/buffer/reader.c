#include "buffer/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"

#define CHAIN_CHUNK (256u << 10)
#define FILE_CHUNK (4u << 10) /* thousands may be open at once */

struct reader {
	const struct segment *seg;
	int dirfd;
	int fd;    /* -1 while it is closed */
	gzFile gz; /* owns fd when set */
	struct bytes data;
	size_t consumed, searched; /* returned; searched for a newline */
	uint64_t at;               /* offset in the file of data.p[0] */
	uint64_t limit;
	bool live, eof;
};

/* Closes the descriptor until the next read. */
static void
close_idle_file(struct reader *r)
{
	if (r->gz != NULL || r->seg->kind == SEGMENT_CHAIN)
		return;
	close(r->fd);
	r->fd = -1;
}

static int
reopen_idle_file(struct reader *r)
{
	if (r->fd == -1)
		r->fd = io_open_own(r->dirfd, r->seg->name, O_RDONLY);
	return r->fd == -1 ? -1 : 0;
}

struct reader *
reader_open(
    int dirfd, const struct segment *s, uint64_t from, uint64_t limit, int flags, struct err *err)
{
	struct reader *r;
	int fd = io_open_own(dirfd, s->name, O_RDONLY);

	if (fd == -1 || ((flags & READER_SYNC) && fdatasync(fd) == -1)) {
		err_sys(err, STATUS_UNSAFE, "read '%s'", s->name);
		io_close(fd);
		return NULL;
	}
	r = mem_alloc(sizeof(*r));
	r->seg = s;
	r->dirfd = dirfd;
	r->fd = fd;
	r->at = from;
	r->limit = limit;
	r->live = flags & READER_LIVE;
	if (s->gz && (r->gz = gzdopen(fd, "rb")) == NULL) {
		err_sys(err, STATUS_UNSAFE, "read '%s'", s->name);
		reader_close(r);
		return NULL;
	}
	close_idle_file(r);
	return r;
}

void
reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	if (r->gz != NULL)
		gzclose(r->gz);
	else
		io_close(r->fd);
	bytes_free(&r->data);
	free(r);
}

/* zlib reads a file that is not gzip as plain text, and a truncated one as a short one. */
static ssize_t
read_gzip_chunk(struct reader *r, char *to, size_t n, uint64_t pos)
{
	int got = -1, err = Z_OK;

	if (gztell(r->gz) == (z_off_t)pos || gzseek(r->gz, (z_off_t)pos, SEEK_SET) != -1)
		got = gzread(r->gz, to, (unsigned)n);
	if (got > 0 && !gzdirect(r->gz))
		return got;
	gzerror(r->gz, &err);
	if (got == 0 && err == Z_OK && !gzdirect(r->gz))
		return 0;
	if (err == Z_MEM_ERROR)
		errno = ENOMEM;
	else if (err != Z_ERRNO)
		errno = EBADMSG;
	return -1;
}

static ssize_t
read_file_chunk(struct reader *r, char *to, size_t n)
{
	uint64_t pos = r->at + r->data.len, left = r->limit > pos ? r->limit - pos : 0;
	ssize_t got;

	if (n > left)
		n = (size_t)left;
	if (n == 0)
		return 0;
	if (r->gz != NULL)
		return read_gzip_chunk(r, to, n, pos);
	if (reopen_idle_file(r) == -1)
		return -1;
	do
		got = pread(r->fd, to, n, (off_t)pos);
	while (got == -1 && errno == EINTR);
	close_idle_file(r);
	return got;
}

static int
fill_reader(struct reader *r, struct err *err)
{
	size_t chunk = r->seg->kind == SEGMENT_CHAIN ? CHAIN_CHUNK : FILE_CHUNK;
	ssize_t got;

	if (r->data.len - r->consumed > READER_LINE_MAX) {
		errno = EBADMSG;
		return err_sys(err, STATUS_UNSAFE, "a line in '%s' exceeds %" PRIu64 " bytes",
		    r->seg->name, READER_LINE_MAX);
	}

	if (r->consumed) {
		bytes_drop(&r->data, r->consumed);
		r->at += r->consumed;
		r->searched -= r->consumed;
		r->consumed = 0;
	}
	bytes_reserve(&r->data, r->data.len < chunk ? chunk - r->data.len : r->data.len);
	got = read_file_chunk(r, r->data.p + r->data.len, r->data.cap - r->data.len);
	if (got == -1)
		return err_sys(err, STATUS_UNSAFE, "read '%s'", r->seg->name);
	r->eof = got == 0;
	r->data.len += (size_t)got;
	return 0;
}

int
reader_next(struct reader *r, struct reader_line *l, struct err *err)
{
	char *nl;
	size_t n;

	while ((nl = r->data.len > r->searched
	               ? memchr(r->data.p + r->searched, '\n', r->data.len - r->searched)
	               : NULL) == NULL) {
		r->searched = r->data.len;
		if (r->eof)
			break;
		if (fill_reader(r, err) == -1)
			return -1;
	}
	if (nl == NULL && (r->live || r->data.len == r->consumed))
		return 0;
	n = nl != NULL ? (size_t)(nl - r->data.p) - r->consumed : r->data.len - r->consumed;
	l->text = (struct slice){r->data.p + r->consumed, n};
	l->pos = r->at + r->consumed;
	l->end = l->pos + n + (nl != NULL);
	l->torn = nl == NULL;
	r->consumed += n + (nl != NULL);
	r->searched = r->consumed;
	return 1;
}

int
reader_read_at(struct reader *r, uint64_t pos, char *to, size_t n, struct err *err)
{
	if (reopen_idle_file(r) == 0 && pread(r->fd, to, n, (off_t)pos) == (ssize_t)n) {
		close_idle_file(r);
		return 0;
	}
	return err_sys(err, STATUS_UNSAFE, "read '%s'", r->seg->name);
}

void
reader_park(struct reader *r)
{
	r->at += r->consumed;
	r->consumed = r->searched = 0;
	r->eof = false;
	bytes_free(&r->data);
}

uint64_t
reader_bytes_read(const struct reader *r)
{
	return r->at + r->data.len;
}

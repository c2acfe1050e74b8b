#include "buffer/gzip.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <zlib.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/segment.h"

#define CHUNK_BYTES (128u << 10)
#define TEMPORARY ".compressing"

static int
copy_to_gz(int from, gzFile to)
{
	char *b = mem_realloc(NULL, CHUNK_BYTES);
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(from, b, CHUNK_BYTES)) != 0)
		if (n < 0 || gzwrite(to, b, (unsigned)n) != n)
			r = -1;
	free(b);
	return r;
}

/* Compresses `from` into TEMPORARY, durably. */
static int
write_gz(struct buffer *buf, int from, struct err *err)
{
	int fd, spare, r;
	gzFile gz;

	unlinkat(buf->fd, TEMPORARY, 0);
	fd = io_open_own(buf->fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL);
	/* gzclose closes its descriptor, and the fsync comes after it */
	spare = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	gz = spare == -1 ? NULL : gzdopen(spare, "wb");
	if (gz == NULL) {
		err_sys(err, STATUS_UNSAFE, "create '%s/" TEMPORARY "'", buf->dir);
		io_close(spare);
		io_close(fd);
		return -1;
	}
	r = copy_to_gz(from, gz);
	if (gzclose(gz) != Z_OK || fsync(fd) == -1)
		r = -1;
	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "write '%s/" TEMPORARY "'", buf->dir);
	close(fd);
	return r;
}

static int
compress_segment(struct buffer *buf, const struct segment *s, struct err *err)
{
	char name[SEGMENT_NAME + 16];
	int from = io_open_own(buf->fd, s->name, O_RDONLY), r;

	if (from == -1)
		return err_sys(err, STATUS_UNSAFE, "open '%s/%s'", buf->dir, s->name);
	r = write_gz(buf, from, err);
	close(from);
	snprintf(name, sizeof(name), "%s.jsonl.gz", s->stem);
	if (r == 0 && renameat(buf->fd, TEMPORARY, buf->fd, name) == -1)
		r = err_sys(err, STATUS_UNSAFE, "rename to '%s/%s'", buf->dir, name);
	if (r == 0 && (r = buffer_sync(buf, err)) == 0 && unlinkat(buf->fd, s->name, 0) == -1)
		r = err_sys(err, STATUS_UNSAFE, "remove '%s/%s'", buf->dir, s->name);
	if (r == -1)
		unlinkat(buf->fd, TEMPORARY, 0);
	return r;
}

int
gzip_segments(struct buffer *buf, size_t *done, struct err *err)
{
	struct segment *list;
	size_t i, n;
	int r = 0;

	*done = 0;
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (i = 0; r == 0 && i + 1 < n && list[i + 1].kind == SEGMENT_CHAIN; i++)
		if (!list[i].gz && !list[i].ignored && !list[i].suspect) {
			r = compress_segment(buf, &list[i], err);
			*done += r == 0;
		}
	free(list);
	return r == 0 && *done ? buffer_sync(buf, err) : r;
}

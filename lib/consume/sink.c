#include "consume/sink.h"

#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/io.h"
#include "base/status.h"
#include "event/event.h"

#define WRITE_SIZE (256UL * 1024)
#define READER_GRACE 1000 /* ms that the reader of a pipe has after a stop */

/* Waits until fd is writable or a stop is requested; after a stop for at most READER_GRACE. Returns
 * false when that time ran out. */
static bool
wait_for_reader(const struct sink *sink, bool stopping)
{
	struct pollfd p[2] = {{.fd = sink->fd, .events = POLLOUT},
	    {.fd = stopping ? -1 : sink->stop, .events = POLLIN}};

	return poll(p, 2, stopping ? READER_GRACE : -1) != 0;
}

/* Writes n bytes and returns how many were written. After a stop it writes at most PIPE_BUF at
 * once, which does not block when poll(2) reports room. */
static size_t
write_to_sink(struct sink *sink, const char *bytes, size_t n)
{
	struct pollfd stop = {.fd = sink->stop, .events = POLLIN};
	size_t at = 0;
	ssize_t went;

	while (at < n) {
		bool stopping = !sink->regular && poll(&stop, 1, 0) == 1;
		size_t many = stopping && n - at > PIPE_BUF ? PIPE_BUF : n - at;

		if (stopping && !wait_for_reader(sink, true)) {
			sink->broken = EINTR;
			break;
		}
		went = write(sink->fd, bytes + at, many);
		if (went > 0)
			at += (size_t)went;
		else if (went == -1 && errno == EAGAIN)
			wait_for_reader(sink, stopping);
		else if (went == 0 || errno != EINTR) {
			sink->broken = went == 0 ? EIO : errno;
			break;
		}
	}
	return at;
}

/* Learns whether fd is a regular file. Ends a torn record there. */
static void
prepare_regular_file(struct sink *sink)
{
	struct stat st;

	if (sink->inspected)
		return;
	sink->inspected = true;
	sink->regular = fstat(sink->fd, &st) == 0 && S_ISREG(st.st_mode);
	if (sink->regular && io_end_torn(sink->fd, sink->end) == -1)
		sink->broken = errno;
}

/* Cuts n bytes off the end of a file, unless another process has appended since. */
static void
cut_file_back(int fd, size_t n)
{
	off_t here = lseek(fd, 0, SEEK_CUR);
	struct stat st;

	if (here < (off_t)n || fstat(fd, &st) == -1 || st.st_size != here)
		return;
	if (ftruncate(fd, here - (off_t)n) == 0)
		lseek(fd, here - (off_t)n, SEEK_SET);
}

/* Writes the rendered records. When the reader of a pipe is gone none of them count as written;
 * when it only stopped reading, those in the pipe do. */
static void
write_rendered(struct sink *sink)
{
	const size_t *ends = (const void *)sink->ends.p;
	size_t went, whole = 0, end = 0;

	if (sink->out.len == 0 || sink->broken != 0)
		return;
	prepare_regular_file(sink);
	if (sink->broken != 0)
		return;
	went = write_to_sink(sink, sink->out.p, sink->out.len);
	while (whole < sink->ends.len / sizeof(*ends) && ends[whole] <= went)
		end = ends[whole++];
	if (sink->regular && went > end)
		cut_file_back(sink->fd, went - end);
	if (sink->regular && sink->sync && fdatasync(sink->fd) == -1) {
		/* here EINTR means stopped */
		sink->broken = errno == EINTR ? EIO : errno;
		whole = 0;
	}
	if (sink->broken == 0 || sink->broken == EINTR || sink->regular)
		sink->written += whole;
	sink->out.len = sink->ends.len = 0;
	if (sink->out.cap > 4 * WRITE_SIZE)
		bytes_free(&sink->out);
}

void
sink_add(void *arg, const struct event_entry *r)
{
	struct sink *sink = arg;

	if (sink->broken != 0)
		return;
	if (sink->style == SINK_PAYLOAD)
		event_add_payload(&sink->out, r->kv, r->nkv);
	else if (sink->style == SINK_FORMAT)
		format_add(&sink->out, sink->format, r);
	else
		event_add_json(&sink->out, r);
	bytes_addc(&sink->out, sink->end);
	bytes_add(&sink->ends, &sink->out.len, sizeof(sink->out.len));
	if (sink->out.len >= WRITE_SIZE)
		write_rendered(sink);
}

int
sink_flush(struct sink *sink, struct err *err)
{
	write_rendered(sink);
	if (sink->broken == 0) {
		sink->written = 0;
		return 0;
	}
	if (sink->broken == EINTR)
		return err_set(
		    err, STATUS_UNSAFE, "stopped before the reader of stdout took the whole batch");
	errno = sink->broken;
	return err_sys(err, STATUS_UNSAFE, "write to stdout");
}

void
sink_free(struct sink *sink)
{
	bytes_free(&sink->out);
	bytes_free(&sink->ends);
}

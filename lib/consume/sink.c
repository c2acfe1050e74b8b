#include "consume/sink.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/status.h"
#include "event/event.h"

#define WRITE_SIZE (256UL * 1024)
#define STOP_GRACE 1000 /* ms */

void
sink_begin(struct sink *sink)
{
	sink->written = 0;
}

static bool
is_stopping(const struct sink *sink)
{
	struct pollfd p = {.fd = sink->stop, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Waits for room, or until it is time to stop; when it is time, no longer than GRACE. false: there
 * is none. */
static bool
wait_for_reader(const struct sink *sink, bool stopping)
{
	struct pollfd p[2] = {{.fd = sink->fd, .events = POLLOUT},
	    {.fd = stopping ? -1 : sink->stop, .events = POLLIN}};

	return poll(p, 2, stopping ? STOP_GRACE : -1) != 0;
}

/* Whole writes of n bytes; returns how many went. A write into a pipe that has room for it does not
 * block: when it is time, only such. */
static size_t
write_to_sink(struct sink *sink, const char *p, size_t n)
{
	size_t at = 0;
	ssize_t w;

	while (at < n) {
		bool stopping = !sink->regular && is_stopping(sink);
		size_t many = stopping && n - at > PIPE_BUF ? PIPE_BUF : n - at;

		if (stopping && !wait_for_reader(sink, true)) {
			sink->broken = EINTR;
			break;
		}
		w = write(sink->fd, p + at, many);
		if (w > 0)
			at += (size_t)w;
		else if (w == -1 && errno == EAGAIN)
			wait_for_reader(sink, stopping);
		else if (w == 0 || errno != EINTR) {
			sink->broken = w == 0 ? EIO : errno;
			break;
		}
	}
	return at;
}

/* Whether the file that fd appends to ends in the midst of a record: whoever wrote it was killed.
 */
static bool
ends_torn(int fd, off_t size, char end)
{
	char name[32], last = end;
	int in;

	if (size == 0 || (fcntl(fd, F_GETFL) & O_APPEND) == 0)
		return false;
	/* fd itself need not be readable */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if ((in = open(name, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	if (pread(in, &last, 1, size - 1) != 1)
		last = end;
	close(in);
	return last != end;
}

/* JSON records are lines: a torn one must stay one of its own. With other styles anything may stand
 * before. */
static void
inspect_sink(struct sink *sink)
{
	struct stat st;

	if (sink->inspected)
		return;
	sink->inspected = true;
	sink->regular = fstat(sink->fd, &st) == 0 && S_ISREG(st.st_mode);
	if (sink->regular && sink->style == SINK_JSON &&
	    ends_torn(sink->fd, st.st_size, sink->end) && write(sink->fd, &sink->end, 1) != 1)
		sink->broken = errno;
}

/* Cuts n bytes off a file's end, provided that it is where we stand: nobody else has written behind
 * us. */
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

/* How many records end within the first n bytes of out; *end is where the last of them does. */
static size_t
count_whole(const struct sink *sink, size_t n, size_t *end)
{
	const size_t *ends = (const void *)sink->ends.p;
	size_t k = 0;

	*end = 0;
	while (k < sink->ends.len / sizeof(*ends) && ends[k] <= n)
		*end = ends[k++];
	return k;
}

/* A pipe's reader that went away has handled nothing of this write that we know of; one that only
 * does not read has it. */
static void
write_rendered(struct sink *sink)
{
	size_t went, whole, end;

	if (sink->out.len == 0 || sink->broken != 0)
		return;
	inspect_sink(sink);
	if (sink->broken != 0)
		return;
	went = write_to_sink(sink, sink->out.p, sink->out.len);
	whole = count_whole(sink, went, &end);
	if (sink->regular && went > end)
		cut_file_back(sink->fd, went - end);
	if (sink->regular && sink->sync && fdatasync(sink->fd) == -1) {
		/* EINTR has a meaning of its own */
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
sink_add(struct sink *sink, const struct record *r)
{
	if (sink->broken != 0)
		return;
	if (sink->style == SINK_PAYLOAD)
		event_add_payload(&sink->out, r->kv, r->nkv);
	else if (sink->style == SINK_FORMAT)
		format_add(&sink->out, sink->format, r);
	else
		event_add_json(&sink->out, r->id, r->stream, r->type, r->kv, r->nkv, r->deliveries);
	bytes_addc(&sink->out, sink->end);
	bytes_add(&sink->ends, &sink->out.len, sizeof(sink->out.len));
	if (sink->out.len >= WRITE_SIZE)
		write_rendered(sink);
}

int
sink_flush(struct sink *sink, struct err *err)
{
	write_rendered(sink);
	if (sink->broken == 0)
		return 0;
	if (sink->broken == EINTR)
		return err_set(err, STATUS_UNSAFE,
		    "stopped, and nobody reads what was being written to stdout");
	errno = sink->broken;
	return err_sys(err, STATUS_UNSAFE, "write to stdout");
}

void
sink_free(struct sink *sink)
{
	bytes_free(&sink->out);
	bytes_free(&sink->ends);
}

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

#define LARGE (256UL * 1024)
#define GRACE 1000 /* ms */

void
sink_begin(struct sink *s)
{
	s->whole = 0;
}

static bool
is_time(const struct sink *s)
{
	struct pollfd p = {.fd = s->stop, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Waits for room, or until it is time to stop; when it is time, no longer than GRACE. false: there
 * is none. */
static bool
wait_room(const struct sink *s, bool stopping)
{
	struct pollfd p[2] = {
	    {.fd = s->fd, .events = POLLOUT}, {.fd = stopping ? -1 : s->stop, .events = POLLIN}};

	return poll(p, 2, stopping ? GRACE : -1) != 0;
}

/* Whole writes of n bytes; returns how many went. A write into a pipe that has room for it does not
 * block: when it is time, only such. */
static size_t
write_some(struct sink *s, const char *p, size_t n)
{
	size_t at = 0;
	ssize_t w;

	while (at < n) {
		bool stopping = !s->regular && is_time(s);
		size_t many = stopping && n - at > PIPE_BUF ? PIPE_BUF : n - at;

		if (stopping && !wait_room(s, true)) {
			s->broken = EINTR;
			break;
		}
		w = write(s->fd, p + at, many);
		if (w > 0)
			at += (size_t)w;
		else if (w == -1 && errno == EAGAIN)
			wait_room(s, stopping);
		else if (w == 0 || errno != EINTR) {
			s->broken = w == 0 ? EIO : errno;
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
look(struct sink *s)
{
	struct stat st;

	if (s->looked)
		return;
	s->looked = true;
	s->regular = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
	if (s->regular && s->style == SINK_JSON && ends_torn(s->fd, st.st_size, s->end) &&
	    write(s->fd, &s->end, 1) != 1)
		s->broken = errno;
}

/* Cuts n bytes off a file's end, provided that it is where we stand: nobody else has written behind
 * us. */
static void
cut_back(int fd, size_t n)
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
whole_in(const struct sink *s, size_t n, size_t *end)
{
	const size_t *ends = (const void *)s->ends.p;
	size_t k = 0;

	*end = 0;
	while (k < s->ends.len / sizeof(*ends) && ends[k] <= n)
		*end = ends[k++];
	return k;
}

/* A pipe's reader that went away has handled nothing of this write that we know of; one that only
 * does not read has it. */
static void
push(struct sink *s)
{
	size_t went, whole, end;

	if (s->out.len == 0 || s->broken != 0)
		return;
	look(s);
	if (s->broken != 0)
		return;
	went = write_some(s, s->out.p, s->out.len);
	whole = whole_in(s, went, &end);
	if (s->regular && went > end)
		cut_back(s->fd, went - end);
	if (s->regular && s->sync && fdatasync(s->fd) == -1) {
		/* EINTR has a meaning of its own */
		s->broken = errno == EINTR ? EIO : errno;
		whole = 0;
	}
	if (s->broken == 0 || s->broken == EINTR || s->regular)
		s->whole += whole;
	s->out.len = s->ends.len = 0;
	if (s->out.cap > 4 * LARGE)
		bytes_free(&s->out);
}

void
sink_add(struct sink *s, const struct record *r)
{
	if (s->broken != 0)
		return;
	if (s->style == SINK_PAYLOAD)
		event_add_payload(&s->out, r->kv, r->nkv);
	else if (s->style == SINK_FORMAT)
		format_add(&s->out, s->format, r);
	else
		event_add_json(&s->out, r->id, r->stream, r->type, r->kv, r->nkv, r->deliveries);
	bytes_addc(&s->out, s->end);
	bytes_add(&s->ends, &s->out.len, sizeof(s->out.len));
	if (s->out.len >= LARGE)
		push(s);
}

int
sink_flush(struct sink *s, struct err *err)
{
	push(s);
	if (s->broken == 0)
		return 0;
	if (s->broken == EINTR)
		return err_set(err, STATUS_UNSAFE,
		    "stopped, and nobody reads what was being written to stdout");
	errno = s->broken;
	return err_sys(err, STATUS_UNSAFE, "write to stdout");
}

void
sink_free(struct sink *s)
{
	bytes_free(&s->out);
	bytes_free(&s->ends);
}

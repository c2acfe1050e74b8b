#include <sys/stat.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "event.h"
#include "sink.h"
#include "status.h"

#define LARGE (256 * 1024)

void
sink_begin(struct sink *s)
{
	s->whole = 0;
}

/* Whole writes of n bytes; returns how many went. */
static size_t
write_some(int fd, const char *p, size_t n, int *broken)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	size_t at = 0;
	ssize_t w;

	while (at < n) {
		w = write(fd, p + at, n - at);
		if (w > 0)
			at += (size_t)w;
		else if (w == -1 && errno == EAGAIN)
			poll(&pfd, 1, -1);
		else if (w == 0 || errno != EINTR) {
			*broken = w == 0 ? EIO : errno;
			break;
		}
	}
	return at;
}

static void
look(struct sink *s)
{
	struct stat st;

	if (!s->looked)
		s->regular = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
	s->looked = true;
}

/* Cuts n bytes off a file's end, provided that it is where we stand: nobody else has written behind us. */
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

/* A pipe's reader that went away has handled nothing of this write that we know of. */
static void
push(struct sink *s)
{
	size_t went, whole, end;

	if (s->out.len == 0 || s->broken != 0)
		return;
	look(s);
	went = write_some(s->fd, s->out.p, s->out.len, &s->broken);
	whole = whole_in(s, went, &end);
	if (s->regular && went > end)
		cut_back(s->fd, went - end);
	if (s->regular && s->sync && fdatasync(s->fd) == -1) {
		s->broken = errno;
		whole = 0;
	}
	if (s->broken == 0 || s->regular)
		s->whole += whole;
	s->out.len = s->ends.len = 0;
	if (s->out.cap > 4 * LARGE)
		buf_free(&s->out);
}

void
sink_add(struct sink *s, const struct record *r)
{
	if (s->broken != 0)
		return;
	if (s->style == SINK_PAYLOAD)
		event_payload(&s->out, r->kv, r->nkv);
	else if (s->style == SINK_FORMAT)
		format_add(&s->out, s->format, r);
	else
		event_json(&s->out, r->id, r->stream, r->type, r->kv, r->nkv, r->deliveries);
	buf_addc(&s->out, s->end);
	buf_add(&s->ends, &s->out.len, sizeof(s->out.len));
	if (s->out.len >= LARGE)
		push(s);
}

int
sink_flush(struct sink *s, struct fail *f)
{
	push(s);
	if (s->broken == 0)
		return 0;
	errno = s->broken;
	return fail_errno(f, STATUS_UNSAFE, "write to stdout");
}

void
sink_free(struct sink *s)
{
	buf_free(&s->out);
	buf_free(&s->ends);
}

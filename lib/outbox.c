#include <sys/socket.h>

#include <errno.h>
#include <string.h>

#include "outbox.h"
#include "util.h"

#define KEEP (1 << 20)		/* a buffer grown larger is given back once empty */
#define STALE (64UL * 1024)	/* bytes already sent that are worth moving the rest for */

void
outbox_free(struct outbox *o)
{
	buf_free(&o->out);
	*o = (struct outbox){0};
}

#define HEADER (UTIL_DIGITS + 3)	/* at most, of one element: kind, length, end of line */

static char *
put_header(char *o, char kind, size_t n)
{
	*o++ = kind;
	o = util_digits(o, n);
	*o++ = '\r';
	*o++ = '\n';
	return o;
}

size_t
outbox_put(struct outbox *o, size_t argc, const struct slice *argv)
{
	size_t need = HEADER, size;
	char *from, *to;

	for (size_t i = 0; i < argc; i++)
		need += HEADER + argv[i].n + 2;
	buf_reserve(&o->out, need);
	from = o->out.p + o->out.len;
	to = put_header(from, '*', argc);
	for (size_t i = 0; i < argc; i++) {
		to = put_header(to, '$', argv[i].n);
		if (argv[i].n > 0)
			memcpy(to, argv[i].p, argv[i].n);
		to += argv[i].n;
		*to++ = '\r';
		*to++ = '\n';
	}
	size = (size_t)(to - from);
	o->out.len += size;
	o->queued += size;
	return size;
}

size_t
outbox_unsent(const struct outbox *o)
{
	return o->out.len - o->at;
}

static void
tidy(struct outbox *o)
{
	if (o->at == o->out.len) {
		o->out.len = o->at = 0;
		if (o->out.cap > KEEP)
			buf_free(&o->out);
	} else if (o->at > STALE && o->at > o->out.len / 2) {
		buf_drop(&o->out, o->at);
		o->at = 0;
	}
}

int
outbox_send(struct outbox *o, int fd)
{
	int broken = 0;
	ssize_t n;

	while (o->at < o->out.len && broken == 0) {
		n = send(fd, o->out.p + o->at, o->out.len - o->at, MSG_NOSIGNAL);
		if (n >= 0) {
			o->at += (size_t)n;
			o->written += (uint64_t)n;
		} else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			broken = errno;
	}
	tidy(o);
	return broken;
}

#include <sys/socket.h>

#include <errno.h>

#include "outbox.h"

#define KEEP (1 << 20)		/* a buffer grown larger is given back once empty */
#define STALE (64UL * 1024)	/* bytes already sent that are worth moving the rest for */

void
outbox_free(struct outbox *o)
{
	buf_free(&o->out);
	*o = (struct outbox){0};
}

static void
add_header(struct buf *out, char kind, size_t n)
{
	buf_addc(out, kind);
	buf_addu(out, n);
	buf_add(out, "\r\n", 2);
}

size_t
outbox_put(struct outbox *o, size_t argc, const struct slice *argv)
{
	size_t before = o->out.len, need = 24, size;

	for (size_t i = 0; i < argc; i++)
		need += argv[i].n + 24;
	buf_reserve(&o->out, need);
	add_header(&o->out, '*', argc);
	for (size_t i = 0; i < argc; i++) {
		add_header(&o->out, '$', argv[i].n);
		if (argv[i].n > 0)
			buf_add(&o->out, argv[i].p, argv[i].n);
		buf_add(&o->out, "\r\n", 2);
	}
	size = o->out.len - before;
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

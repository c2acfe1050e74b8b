#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/read.h>

#include "redis/conn_exchange.h"
#include "redis/reply.h"
#include "base/mem.h"
#include "base/clock.h"

#define MIB (1 << 20)
#define CHUNK (64 * 1024)		/* read at once */
#define BURST 16			/* chunks in one conn_io */
#define REPLY_MAX ((uint64_t)1 << 30)	/* more than any server gives */
#define ELEMENTS_MAX (1 << 24)		/* of one array: an entry may have millions of fields */

/* --- death ------------------------------------------------------------------ */

static int
die(struct conn *b, enum conn_why why, int sys, const char *what)
{
	if (b->why != CONN_FINE)
		return -1;
	b->why = why;
	if (sys != 0)
		err_set(&b->dead, conn_status(why), "'%s': %s: %s", b->place, what, strerror(sys));
	else
		err_set(&b->dead, conn_status(why), "'%s' %s", b->place, what);
	b->dead.sys = sys;
	return -1;
}

static int
die_garbage(struct conn *b)
{
	while (b->arrived > b->taken)
		reply_free(slot(b, b->arrived--)->reply);
	return die(b, CONN_GARBAGE, 0, b->greet_by != 0 ? "is not Redis" : "answered what nobody asked for or no Redis says");
}

static int
die_late(struct conn *b)
{
	char text[64];

	snprintf(text, sizeof(text), "gave no answer within %g s", (double)b->timeout / 1000);
	return die(b, CONN_TIMEOUT, 0, text);
}

static int
why_dead(const struct conn *b, struct err *f)
{
	if (b->why == CONN_FINE)
		return 0;
	*f = b->dead;
	return -1;
}

/* --- moving bytes ------------------------------------------------------------ */

static int
send_some(struct conn *b)
{
	int broken = resp_send(&b->out, b->fd);

	while (b->sent < b->put && slot(b, b->sent + 1)->end <= b->out.written)
		b->sent++;
	return broken;
}

/* An error reply may come before its request is sent whole (too big); anything else then is no answer to it. */
static int
accept_reply(struct conn *b, struct reply *r)
{
	if (b->arrived == b->put || (b->arrived >= b->sent && !reply_is_error(r))) {
		reply_free(r);
		return die_garbage(b);
	}
	b->arrived++;
	slot(b, b->arrived)->reply = r;
	b->heard = 0;
	return 0;
}

/* The answer that is coming is larger than may be. */
static int
check_most(struct conn *b)
{
	uint64_t most = b->arrived < b->put ? slot(b, b->arrived + 1)->most : 0;
	char text[64];

	if (most == 0 || b->heard <= most)
		return 0;
	snprintf(text, sizeof(text), "has more than %d MiB to answer at once", (int)(most / MIB));
	return die(b, CONN_CUT, 0, text);
}

static int
parse(struct conn *b, const char *p, size_t n)
{
	uint64_t before;
	void *r;

	b->heard += n;
	b->received += n;
	before = b->arrived;
	if (redisReaderFeed(b->reader, p, n) != REDIS_OK || b->heard > REPLY_MAX)
		return die_garbage(b);
	for (;;) {
		r = NULL;
		if (redisReaderGetReply(b->reader, &r) != REDIS_OK)
			return die_garbage(b);
		if (r == NULL)
			break;
		if (accept_reply(b, r) == -1)
			return -1;
	}
	if (b->arrived > before)
		b->arrived_at = clock_mono();
	return check_most(b);
}

static int
die_cut(struct conn *b, int sys)
{
	return die(b, CONN_CUT, sys, sys != 0 ? "connection lost" : "closed the connection");
}

/* 1: all that had come was read; 0: there may be more. A short read is taken for all, unless it is to the end. */
static int
recv_some(struct conn *b, bool to_end)
{
	char chunk[CHUNK];
	ssize_t n;

	for (int i = 0; i < BURST; i++) {
		n = recv(b->fd, chunk, sizeof(chunk), 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return 1;
		if (n <= 0)
			return die_cut(b, n == 0 ? 0 : errno);
		if (parse(b, chunk, (size_t)n) == -1)
			return -1;
		if ((size_t)n < sizeof(chunk) && !to_end)
			return 1;
	}
	return 0;
}

int64_t
conn_deadline(const struct conn *b)
{
	const struct slot *s;
	int64_t start;

	if (b->greet_by != 0)
		return b->greet_by;
	if (b->arrived == b->put)
		return -1;
	s = slot(b, b->arrived + 1);
	start = s->since > b->arrived_at ? s->since : b->arrived_at;
	return start + b->timeout + s->extra + 1000 * (int64_t)((s->size + b->heard) / MIB);
}

/* A server that refuses a request may close while we still write: its last words are read before the break counts. */
int
conn_io(struct conn *b, struct err *f)
{
	int broken, all;
	int64_t by;

	if (why_dead(b, f) == -1)
		return -1;
	broken = send_some(b);
	do
		all = recv_some(b, broken != 0);
	while (broken != 0 && all == 0);
	if (all != -1 && broken != 0)
		die_cut(b, broken);
	if (all == 1 && (by = conn_deadline(b)) != -1 && clock_mono() >= by)
		die_late(b);
	return why_dead(b, f);
}

void
conn_push(struct conn *b)
{
	if (b->why == CONN_FINE)
		send_some(b);		/* what is broken shows in conn_io */
}

void
conn_resume(struct conn *b)
{
	b->arrived_at = clock_mono();
}

short
conn_events(const struct conn *b)
{
	return (short)(resp_unsent(&b->out) > 0 ? POLLIN | POLLOUT : POLLIN);
}

/* How long poll(2) may sleep: until the deadline, but no longer than ms (-1: no limit). */
static int
sleep_ms(const struct conn *b, int64_t ms)
{
	int64_t by = conn_deadline(b), left = by == -1 ? -1 : by - clock_mono();

	if (by != -1 && left < 0)
		left = 0;
	if (ms >= 0 && (left == -1 || ms < left))
		left = ms;
	return left > 3600000 ? 3600000 : (int)left;
}

int
conn_pause(struct conn *b, int other, int64_t ms, struct err *f)
{
	struct pollfd p[2] = {{.fd = b->fd, .events = conn_events(b)}, {.fd = other, .events = POLLIN}};

	if (why_dead(b, f) == -1)
		return -1;
	if (poll(p, 2, sleep_ms(b, ms)) == -1)
		p[1].revents = 0;
	if (conn_io(b, f) == -1)
		return -1;
	return p[1].revents != 0;
}

struct reply *
conn_take(struct conn *b)
{
	if (b->arrived == b->taken)
		return NULL;
	b->taken++;
	return slot(b, b->taken)->reply;
}

struct reply *
conn_wait(struct conn *b, int64_t extra_ms, struct err *f)
{
	struct reply *r;

	if (b->put > b->taken && slot(b, b->taken + 1)->extra < extra_ms)
		slot(b, b->taken + 1)->extra = extra_ms;
	while ((r = conn_take(b)) == NULL) {
		if (b->put == b->taken && b->why == CONN_FINE)
			die(b, CONN_GARBAGE, 0, "was asked nothing, so it answers nothing");
		if (conn_io(b, f) == -1 && b->arrived == b->taken)
			return NULL;
		if (b->arrived == b->taken && conn_pause(b, -1, -1, f) == -1 && b->arrived == b->taken)
			return NULL;
	}
	return r;
}

void
conn_exchange_start(struct conn *b)
{
	b->cap = 16;
	b->slots = mem_alloc(b->cap * sizeof(*b->slots));
	if ((b->reader = reply_reader(&b->making)) == NULL)
		die(b, CONN_CUT, ENOMEM, "read");
	else
		b->reader->maxbuf = MIB;
}

void
conn_exchange_end(struct conn *b)
{
	while (b->arrived > b->taken)
		reply_free(slot(b, b->arrived--)->reply);
	if (b->reader != NULL)
		redisReaderFree(b->reader);
	free(b->slots);
}

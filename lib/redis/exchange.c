#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/read.h>

#include "redis/exchange.h"
#include "redis/reply.h"
#include "base/util.h"
#include "base/when.h"

#define MIB (1 << 20)
#define CHUNK (64 * 1024)		/* read at once */
#define BURST 16			/* chunks in one bus_io */
#define REPLY_MAX ((uint64_t)1 << 30)	/* more than any server gives */
#define ELEMENTS_MAX (1 << 24)		/* of one array: an entry may have millions of fields */

/* --- death ------------------------------------------------------------------ */

static int
die(struct bus *b, enum bus_why why, int sys, const char *what)
{
	if (b->why != BUS_FINE)
		return -1;
	b->why = why;
	if (sys != 0)
		fail_set(&b->dead, bus_status(why), "'%s': %s: %s", b->place, what, strerror(sys));
	else
		fail_set(&b->dead, bus_status(why), "'%s' %s", b->place, what);
	b->dead.sys = sys;
	return -1;
}

static int
die_garbage(struct bus *b)
{
	while (b->arrived > b->taken)
		reply_free(slot(b, b->arrived--)->reply);
	return die(b, BUS_GARBAGE, 0, b->greet_by != 0 ? "is not Redis" : "answered what nobody asked for or no Redis says");
}

static int
die_late(struct bus *b)
{
	char text[64];

	snprintf(text, sizeof(text), "gave no answer within %g s", (double)b->timeout / 1000);
	return die(b, BUS_TIMEOUT, 0, text);
}

static int
why_dead(const struct bus *b, struct fail *f)
{
	if (b->why == BUS_FINE)
		return 0;
	*f = b->dead;
	return -1;
}

/* --- moving bytes ------------------------------------------------------------ */

static int
send_some(struct bus *b)
{
	int broken = outbox_send(&b->out, b->fd);

	while (b->sent < b->put && slot(b, b->sent + 1)->end <= b->out.written)
		b->sent++;
	return broken;
}

/* An error reply may come before its request is sent whole (too big); anything else then is no answer to it. */
static int
accept_reply(struct bus *b, struct reply *r)
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
check_most(struct bus *b)
{
	uint64_t most = b->arrived < b->put ? slot(b, b->arrived + 1)->most : 0;
	char text[64];

	if (most == 0 || b->heard <= most)
		return 0;
	snprintf(text, sizeof(text), "has more than %d MiB to answer at once", (int)(most / MIB));
	return die(b, BUS_CUT, 0, text);
}

static int
parse(struct bus *b, const char *p, size_t n)
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
		b->arrived_at = when_mono();
	return check_most(b);
}

static int
die_cut(struct bus *b, int sys)
{
	return die(b, BUS_CUT, sys, sys != 0 ? "connection lost" : "closed the connection");
}

/* 1: all that had come was read; 0: there may be more. A short read is taken for all, unless it is to the end. */
static int
recv_some(struct bus *b, bool to_end)
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
bus_deadline(const struct bus *b)
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
bus_io(struct bus *b, struct fail *f)
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
	if (all == 1 && (by = bus_deadline(b)) != -1 && when_mono() >= by)
		die_late(b);
	return why_dead(b, f);
}

void
bus_push(struct bus *b)
{
	if (b->why == BUS_FINE)
		send_some(b);		/* what is broken shows in bus_io */
}

void
bus_resume(struct bus *b)
{
	b->arrived_at = when_mono();
}

short
bus_events(const struct bus *b)
{
	return (short)(outbox_unsent(&b->out) > 0 ? POLLIN | POLLOUT : POLLIN);
}

/* How long poll(2) may sleep: until the deadline, but no longer than ms (-1: no limit). */
static int
sleep_ms(const struct bus *b, int64_t ms)
{
	int64_t by = bus_deadline(b), left = by == -1 ? -1 : by - when_mono();

	if (by != -1 && left < 0)
		left = 0;
	if (ms >= 0 && (left == -1 || ms < left))
		left = ms;
	return left > 3600000 ? 3600000 : (int)left;
}

int
bus_pause(struct bus *b, int other, int64_t ms, struct fail *f)
{
	struct pollfd p[2] = {{.fd = b->fd, .events = bus_events(b)}, {.fd = other, .events = POLLIN}};

	if (why_dead(b, f) == -1)
		return -1;
	if (poll(p, 2, sleep_ms(b, ms)) == -1)
		p[1].revents = 0;
	if (bus_io(b, f) == -1)
		return -1;
	return p[1].revents != 0;
}

struct reply *
bus_take(struct bus *b)
{
	if (b->arrived == b->taken)
		return NULL;
	b->taken++;
	return slot(b, b->taken)->reply;
}

struct reply *
bus_wait(struct bus *b, int64_t extra_ms, struct fail *f)
{
	struct reply *r;

	if (b->put > b->taken && slot(b, b->taken + 1)->extra < extra_ms)
		slot(b, b->taken + 1)->extra = extra_ms;
	while ((r = bus_take(b)) == NULL) {
		if (b->put == b->taken && b->why == BUS_FINE)
			die(b, BUS_GARBAGE, 0, "was asked nothing, so it answers nothing");
		if (bus_io(b, f) == -1 && b->arrived == b->taken)
			return NULL;
		if (b->arrived == b->taken && bus_pause(b, -1, -1, f) == -1 && b->arrived == b->taken)
			return NULL;
	}
	return r;
}

void
exchange_start(struct bus *b)
{
	b->cap = 16;
	b->slots = util_alloc(b->cap * sizeof(*b->slots));
	if ((b->reader = reply_reader(&b->making)) == NULL)
		die(b, BUS_CUT, ENOMEM, "read");
	else
		b->reader->maxbuf = MIB;
}

void
exchange_end(struct bus *b)
{
	while (b->arrived > b->taken)
		reply_free(slot(b, b->arrived--)->reply);
	if (b->reader != NULL)
		redisReaderFree(b->reader);
	free(b->slots);
}

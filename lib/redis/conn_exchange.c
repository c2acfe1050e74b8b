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
die(struct conn *conn, enum conn_why why, int sys, const char *what)
{
	if (conn->why != CONN_FINE)
		return -1;
	conn->why = why;
	if (sys != 0)
		err_set(&conn->dead, conn_status(why), "'%s': %s: %s", conn->place, what, strerror(sys));
	else
		err_set(&conn->dead, conn_status(why), "'%s' %s", conn->place, what);
	conn->dead.sys = sys;
	return -1;
}

static int
die_garbage(struct conn *conn)
{
	while (conn->arrived > conn->taken)
		reply_free(request_at(conn, conn->arrived--)->reply);
	return die(conn, CONN_GARBAGE, 0, conn->greet_by != 0 ? "is not Redis" : "answered what nobody asked for or no Redis says");
}

static int
die_late(struct conn *conn)
{
	char text[64];

	snprintf(text, sizeof(text), "gave no answer within %g s", (double)conn->timeout / 1000);
	return die(conn, CONN_TIMEOUT, 0, text);
}

static int
why_dead(const struct conn *conn, struct err *err)
{
	if (conn->why == CONN_FINE)
		return 0;
	*err = conn->dead;
	return -1;
}

/* --- moving bytes ------------------------------------------------------------ */

static int
send_some(struct conn *conn)
{
	int broken = resp_send(&conn->out, conn->fd);

	while (conn->sent < conn->put && request_at(conn, conn->sent + 1)->end <= conn->out.written)
		conn->sent++;
	return broken;
}

/* An error reply may come before its request is sent whole (too big); anything else then is no answer to it. */
static int
accept_reply(struct conn *conn, struct reply *r)
{
	if (conn->arrived == conn->put || (conn->arrived >= conn->sent && !reply_is_error(r))) {
		reply_free(r);
		return die_garbage(conn);
	}
	conn->arrived++;
	request_at(conn, conn->arrived)->reply = r;
	conn->heard = 0;
	return 0;
}

/* The answer that is coming is larger than may be. */
static int
check_most(struct conn *conn)
{
	uint64_t most = conn->arrived < conn->put ? request_at(conn, conn->arrived + 1)->most : 0;
	char text[64];

	if (most == 0 || conn->heard <= most)
		return 0;
	snprintf(text, sizeof(text), "has more than %d MiB to answer at once", (int)(most / MIB));
	return die(conn, CONN_CUT, 0, text);
}

static int
parse(struct conn *conn, const char *p, size_t n)
{
	uint64_t before;
	void *r;

	conn->heard += n;
	conn->received += n;
	before = conn->arrived;
	if (redisReaderFeed(conn->reader, p, n) != REDIS_OK || conn->heard > REPLY_MAX)
		return die_garbage(conn);
	for (;;) {
		r = NULL;
		if (redisReaderGetReply(conn->reader, &r) != REDIS_OK)
			return die_garbage(conn);
		if (r == NULL)
			break;
		if (accept_reply(conn, r) == -1)
			return -1;
	}
	if (conn->arrived > before)
		conn->arrived_at = clock_mono();
	return check_most(conn);
}

static int
die_cut(struct conn *conn, int sys)
{
	return die(conn, CONN_CUT, sys, sys != 0 ? "connection lost" : "closed the connection");
}

/* 1: all that had come was read; 0: there may be more. A short read is taken for all, unless it is to the end. */
static int
recv_some(struct conn *conn, bool to_end)
{
	char chunk[CHUNK];
	ssize_t n;

	for (int i = 0; i < BURST; i++) {
		n = recv(conn->fd, chunk, sizeof(chunk), 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return 1;
		if (n <= 0)
			return die_cut(conn, n == 0 ? 0 : errno);
		if (parse(conn, chunk, (size_t)n) == -1)
			return -1;
		if ((size_t)n < sizeof(chunk) && !to_end)
			return 1;
	}
	return 0;
}

int64_t
conn_deadline(const struct conn *conn)
{
	const struct request *s;
	int64_t start;

	if (conn->greet_by != 0)
		return conn->greet_by;
	if (conn->arrived == conn->put)
		return -1;
	s = request_at(conn, conn->arrived + 1);
	start = s->since > conn->arrived_at ? s->since : conn->arrived_at;
	return start + conn->timeout + s->extra + 1000 * (int64_t)((s->size + conn->heard) / MIB);
}

/* A server that refuses a request may close while we still write: its last words are read before the break counts. */
int
conn_io(struct conn *conn, struct err *err)
{
	int broken, all;
	int64_t by;

	if (why_dead(conn, err) == -1)
		return -1;
	broken = send_some(conn);
	do
		all = recv_some(conn, broken != 0);
	while (broken != 0 && all == 0);
	if (all != -1 && broken != 0)
		die_cut(conn, broken);
	if (all == 1 && (by = conn_deadline(conn)) != -1 && clock_mono() >= by)
		die_late(conn);
	return why_dead(conn, err);
}

void
conn_push(struct conn *conn)
{
	if (conn->why == CONN_FINE)
		send_some(conn);		/* what is broken shows in conn_io */
}

void
conn_resume(struct conn *conn)
{
	conn->arrived_at = clock_mono();
}

short
conn_events(const struct conn *conn)
{
	return (short)(resp_unsent(&conn->out) > 0 ? POLLIN | POLLOUT : POLLIN);
}

/* How long poll(2) may sleep: until the deadline, but no longer than ms (-1: no limit). */
static int
sleep_ms(const struct conn *conn, int64_t ms)
{
	int64_t by = conn_deadline(conn), left = by == -1 ? -1 : by - clock_mono();

	if (by != -1 && left < 0)
		left = 0;
	if (ms >= 0 && (left == -1 || ms < left))
		left = ms;
	return left > 3600000 ? 3600000 : (int)left;
}

int
conn_pause(struct conn *conn, int other, int64_t ms, struct err *err)
{
	struct pollfd p[2] = {{.fd = conn->fd, .events = conn_events(conn)}, {.fd = other, .events = POLLIN}};

	if (why_dead(conn, err) == -1)
		return -1;
	if (poll(p, 2, sleep_ms(conn, ms)) == -1)
		p[1].revents = 0;
	if (conn_io(conn, err) == -1)
		return -1;
	return p[1].revents != 0;
}

struct reply *
conn_take(struct conn *conn)
{
	if (conn->arrived == conn->taken)
		return NULL;
	conn->taken++;
	return request_at(conn, conn->taken)->reply;
}

struct reply *
conn_wait(struct conn *conn, int64_t extra_ms, struct err *err)
{
	struct reply *r;

	if (conn->put > conn->taken && request_at(conn, conn->taken + 1)->extra < extra_ms)
		request_at(conn, conn->taken + 1)->extra = extra_ms;
	while ((r = conn_take(conn)) == NULL) {
		if (conn->put == conn->taken && conn->why == CONN_FINE)
			die(conn, CONN_GARBAGE, 0, "was asked nothing, so it answers nothing");
		if (conn_io(conn, err) == -1 && conn->arrived == conn->taken)
			return NULL;
		if (conn->arrived == conn->taken && conn_pause(conn, -1, -1, err) == -1 && conn->arrived == conn->taken)
			return NULL;
	}
	return r;
}

void
conn_exchange_start(struct conn *conn)
{
	conn->cap = 16;
	conn->requests = mem_alloc(conn->cap * sizeof(*conn->requests));
	if ((conn->reader = reply_reader(&conn->making)) == NULL)
		die(conn, CONN_CUT, ENOMEM, "read");
	else
		conn->reader->maxbuf = MIB;
}

void
conn_exchange_end(struct conn *conn)
{
	while (conn->arrived > conn->taken)
		reply_free(request_at(conn, conn->arrived--)->reply);
	if (conn->reader != NULL)
		redisReaderFree(conn->reader);
	free(conn->requests);
}

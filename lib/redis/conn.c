#include "redis/conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/read.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/process.h"
#include "base/status.h"
#include "redis/handshake.h"
#include "redis/reply.h"
#include "redis/transport.h"

/* A command that is unsent, unanswered, or whose reply has not been taken. */
struct request {
	uint64_t end; /* offset of its last byte + 1 in all that the connection sends */
	size_t size;
	int64_t since, extra_ms; /* for conn_deadline */
	uint64_t reply_max;      /* bytes */
	struct reply *reply;     /* once it has arrived */
};

struct conn {
	struct transport *transport;
	bool reset;   /* close it with a reset */
	char *target; /* for messages */
	int64_t timeout;
	int64_t handshake_by; /* the deadline of the handshake; 0 after it */
	sig_atomic_t signals; /* process_stop_signals when it began */
	struct handshake handshake;
	struct err failure; /* why the connection is dead; its `why` is CONN_OK while it lives */

	struct resp out;
	struct request *requests; /* ring: command n is at n & (cap - 1) */
	size_t cap;
	/* Numbers of the last command that was queued, was sent whole, has a reply, and has a reply
	 * that was taken. */
	uint64_t put, sent, arrived, taken;
	int64_t arrived_at; /* when the last reply was complete */
	uint64_t partial;   /* bytes received since then */
	uint64_t received;  /* bytes received in all */
	struct redisReader *reader;
	void *unfinished; /* the reply that the reader is building (reply_reader_new) */
};

static inline struct request *
request_at(const struct conn *conn, uint64_t n)
{
	return &conn->requests[n & (conn->cap - 1)];
}

#define MIB (1 << 20)
#define CHUNK (64 * 1024)         /* bytes of one recv(2) */
#define BURST 16                  /* chunks in one conn_io */
#define LINE_MAX_BYTES (64 << 10) /* of a status, an error, a number */

/* --- failures --- */

static int __attribute__((format(printf, 4, 5)))
mark_dead(struct conn *conn, enum conn_why why, int sys, const char *fmt, ...)
{
	char what[80];
	va_list ap;

	if (conn->failure.why != CONN_OK)
		return -1;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (sys != 0)
		conn_fail(&conn->failure, why, "'%s': %s: %s", conn->target, what, strerror(sys));
	else
		conn_fail(&conn->failure, why, "'%s' %s", conn->target, what);
	conn->failure.sys = sys;
	return -1;
}

static int
fail_garbage(struct conn *conn)
{
	while (conn->arrived > conn->taken)
		reply_free(request_at(conn, conn->arrived--)->reply);
	return mark_dead(conn, CONN_GARBAGE, 0,
	    conn->handshake_by != 0 ? "is not Redis"
	                            : "sent an unexpected reply: protocol out of step");
}

static int
check_alive(const struct conn *conn, struct err *err)
{
	if (conn->failure.why == CONN_OK)
		return 0;
	*err = conn->failure;
	return -1;
}

/* --- sending and receiving --- */

static int
send_queued(struct conn *conn)
{
	int broken = resp_send(&conn->out, conn->transport);

	while (conn->sent < conn->put && request_at(conn, conn->sent + 1)->end <= conn->out.written)
		conn->sent++;
	return broken;
}

/* Returns whether what is not parsed yet is a line without an end. The reader would search the
 * whole line after each chunk. */
static bool
is_line_endless(const struct redisReader *r)
{
	return r->len - r->pos > LINE_MAX_BYTES &&
	    memmem(r->buf + r->pos, LINE_MAX_BYTES, "\r\n", 2) == NULL;
}

static int
parse_replies(struct conn *conn, const char *p, size_t n)
{
	uint64_t before = conn->arrived, max;
	char text[NUM_SIZE_TEXT];
	void *r;

	conn->partial += n;
	conn->received += n;
	if (redisReaderFeed(conn->reader, p, n) != REDIS_OK || is_line_endless(conn->reader))
		return fail_garbage(conn);
	for (;;) {
		r = NULL;
		if (redisReaderGetReply(conn->reader, &r) != REDIS_OK)
			return fail_garbage(conn);
		if (r == NULL)
			break;
		/* An error reply may arrive before its command is sent whole (too big). Any other
		 * reply that early belongs to no command. */
		if (conn->arrived == conn->put ||
		    (conn->arrived >= conn->sent && !reply_is_error(r))) {
			reply_free(r);
			return fail_garbage(conn);
		}
		conn->arrived++;
		request_at(conn, conn->arrived)->reply = r;
		conn->partial = 0;
	}
	if (conn->arrived > before)
		conn->arrived_at = clock_mono();
	max = conn->arrived < conn->put ? request_at(conn, conn->arrived + 1)->reply_max
	                                : CONN_REPLY_MAX;
	if (conn->partial <= max)
		return 0;
	num_format_size(max, text);
	return mark_dead(conn, CONN_CUT, 0, "is sending a reply of more than %s", text);
}

/* Returns 1 when the transport is drained, 0 when it may hold more, -1 when the connection is dead.
 * A short read counts as drained, except with to_end, which reads up to the end. */
static int
recv_replies(struct conn *conn, bool to_end)
{
	struct transport *t = conn->transport;
	char chunk[CHUNK];
	ssize_t n;

	for (int i = 0; i < BURST; i++) {
		n = t->ops->recv(t, chunk, sizeof(chunk));
		if (n == -1 && errno == EAGAIN)
			return 1;
		if (n == 0)
			return mark_dead(conn, CONN_CUT, 0, "closed the connection");
		if (n == -1)
			return mark_dead(conn, CONN_CUT, errno, "connection lost");
		if (parse_replies(conn, chunk, (size_t)n) == -1)
			return -1;
		if ((size_t)n < sizeof(chunk) && !to_end && !t->pending)
			return 1;
	}
	return 0;
}

/* Returns when the oldest unanswered command times out; -1 when all commands are answered. */
static int64_t
command_deadline(const struct conn *conn)
{
	const struct request *oldest;
	int64_t start;

	if (conn->handshake_by != 0)
		return conn->handshake_by;
	if (conn->arrived == conn->put)
		return -1;
	oldest = request_at(conn, conn->arrived + 1);
	start = oldest->since > conn->arrived_at ? oldest->since : conn->arrived_at;
	return start + conn->timeout + oldest->extra_ms +
	    1000 * (int64_t)((oldest->size + conn->partial) / MIB);
}

/* A server that refuses a command may close while it is still being sent: when sending fails, the
 * replies that have arrived are read before the connection counts as dead. */
int
conn_io(struct conn *conn, struct err *err)
{
	int broken, drained;
	int64_t by;

	if (check_alive(conn, err) == -1)
		return -1;
	broken = send_queued(conn);
	do
		drained = recv_replies(conn, broken != 0);
	while (broken != 0 && drained == 0);
	if (drained != -1 && broken != 0)
		mark_dead(conn, CONN_CUT, broken, "connection lost");
	if (drained == 1 && conn->handshake_by != 0 && process_stop_signals != conn->signals)
		mark_dead(conn, CONN_REFUSED, 0, "gave no answer before a signal came");
	if (drained == 1 && (by = command_deadline(conn)) != -1 && clock_mono() >= by)
		mark_dead(conn, CONN_TIMEOUT, 0, "gave no answer within %g s",
		    (double)conn->timeout / 1000);
	return check_alive(conn, err);
}

void
conn_flush(struct conn *conn)
{
	if (conn->failure.why == CONN_OK)
		send_queued(conn); /* conn_io reports a failure */
}

void
conn_restart_deadline(struct conn *conn)
{
	conn->arrived_at = clock_mono();
}

struct pollfd
conn_pollfd(const struct conn *conn)
{
	const struct transport *t = conn->transport;
	bool sends = resp_unsent(&conn->out) > 0;

	return (struct pollfd){
	    .fd = t->fd, .events = (short)(t->recv_events | (sends ? t->send_events : 0))};
}

int64_t
conn_due(const struct conn *conn)
{
	return conn->transport->pending ? 0 : command_deadline(conn);
}

/* Returns poll(2)'s timeout: until conn_io is due, but at most ms (-1: no limit). */
static int
poll_timeout(const struct conn *conn, int64_t ms)
{
	int64_t by = conn_due(conn), left = by == -1 ? -1 : by - clock_mono();

	if (by != -1 && left < 0)
		left = 0;
	if (conn->handshake_by != 0 && (ms < 0 || ms > PROCESS_STOP_MS))
		ms = PROCESS_STOP_MS;
	if (ms >= 0 && (left == -1 || ms < left))
		left = ms;
	return left > 3600000 ? 3600000 : (int)left;
}

int
conn_poll(struct conn *conn, int other, int64_t ms, struct err *err)
{
	struct pollfd p[2] = {conn_pollfd(conn), {.fd = other, .events = POLLIN}};

	if (check_alive(conn, err) == -1)
		return -1;
	if (poll(p, 2, poll_timeout(conn, ms)) == -1)
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
conn_wait(struct conn *conn, struct err *err)
{
	struct reply *r;

	while ((r = conn_take(conn)) == NULL) {
		if (conn->put == conn->taken && conn->failure.why == CONN_OK)
			mark_dead(conn, CONN_GARBAGE, 0, "has no command to reply to");
		if (conn_io(conn, err) == -1 && conn->arrived == conn->taken)
			return NULL;
		if (conn->arrived == conn->taken && conn_poll(conn, -1, -1, err) == -1 &&
		    conn->arrived == conn->taken)
			return NULL;
	}
	return r;
}

/* --- queueing --- */

static uint64_t
record_request(struct conn *conn, size_t size)
{
	/* After another command the time starts with that one's reply, which is later than now. */
	int64_t since = conn->arrived == conn->put ? clock_mono() : 0;
	uint64_t first = conn->taken < conn->sent ? conn->taken : conn->sent;
	size_t cap = conn->cap * 2;

	if (conn->put - first >= conn->cap) { /* the ring is full */
		struct request *requests = mem_alloc(cap * sizeof(*requests));

		for (uint64_t n = first + 1; n <= conn->put; n++)
			requests[n & (cap - 1)] = *request_at(conn, n);
		free(conn->requests);
		conn->requests = requests;
		conn->cap = cap;
	}
	conn->put++;
	*request_at(conn, conn->put) = (struct request){.end = conn->out.queued,
	    .size = size,
	    .since = since,
	    .reply_max = conn->handshake_by != 0 ? CONN_SHORT_REPLY : CONN_REPLY_MAX};
	return conn->put;
}

uint64_t
conn_put(struct conn *conn, size_t argc, const struct slice *argv)
{
	return record_request(conn, resp_put(&conn->out, argc, argv));
}

uint64_t
conn_put_template(struct conn *conn, const struct resp_template *template, const struct slice *argv)
{
	return record_request(conn, resp_put_template(&conn->out, template, argv));
}

const char conn_skip[] = "";

static uint64_t
put_va_list(struct conn *conn, va_list ap)
{
	struct slice argv[64];
	size_t argc = 0;
	const char *s;

	while (argc < sizeof(argv) / sizeof(argv[0]) && (s = va_arg(ap, const char *)) != NULL)
		if (s != CONN_SKIP)
			argv[argc++] = slice_of(s);
	return conn_put(conn, argc, argv);
}

uint64_t
conn_putl(struct conn *conn, ...)
{
	va_list ap;
	uint64_t n;

	va_start(ap, conn);
	n = put_va_list(conn, ap);
	va_end(ap);
	return n;
}

void
conn_extend_deadline(struct conn *conn, int64_t ms)
{
	if (conn->put > conn->taken && ms > 0)
		request_at(conn, conn->put)->extra_ms = ms;
}

void
conn_limit_reply(struct conn *conn, uint64_t bytes)
{
	if (conn->put > conn->taken)
		request_at(conn, conn->put)->reply_max = bytes;
}

uint64_t
conn_received(const struct conn *conn)
{
	return conn->received;
}

uint64_t
conn_sent(const struct conn *conn)
{
	return conn->sent;
}

struct reply *
conn_call(struct conn *conn, struct err *err, ...)
{
	va_list ap;

	va_start(ap, err);
	put_va_list(conn, ap);
	va_end(ap);
	return conn_wait(conn, err);
}

/* --- opening and closing --- */

struct transport *(*transport_connect[URL_SCHEMES])(
    const struct url *u, int64_t deadline, struct err *err) = {
    [URL_TCP] = net_connect,
    [URL_UNIX] = net_connect,
};

struct conn *
conn_connect(const struct url *u, int64_t timeout_ms, struct err *err)
{
	int64_t by = clock_mono() + timeout_ms;
	sig_atomic_t signals = process_stop_signals;
	struct transport *t = transport_connect[u->scheme](u, by, err);
	struct conn *conn;

	if (t == NULL) {
		if (err->why == CONN_OK)
			err->why = err->sys == ETIMEDOUT ? CONN_TIMEOUT : CONN_REFUSED;
		return NULL;
	}
	conn = mem_alloc(sizeof(*conn));
	conn->transport = t;
	conn->target = url_target(u);
	conn->timeout = timeout_ms;
	conn->handshake_by = by;
	conn->signals = signals;
	conn->cap = 16;
	conn->requests = mem_alloc(conn->cap * sizeof(*conn->requests));
	if ((conn->reader = reply_reader_new(&conn->unfinished)) == NULL)
		mark_dead(conn, CONN_CUT, ENOMEM, "read");
	else
		conn->reader->maxbuf = MIB;
	handshake_put(conn, u, &conn->handshake);
	return conn;
}

int
conn_handshake(struct conn *conn, struct err *err)
{
	if (handshake_finish(conn, conn->target, &conn->handshake, err) == -1) {
		/* the error reply says more than that the server then closed the connection */
		conn->failure = *err;
		return -1;
	}
	conn->handshake_by = 0;
	conn->arrived_at = clock_mono();
	return 0;
}

struct conn *
conn_open(const struct url *u, int64_t timeout_ms, struct err *err)
{
	struct conn *conn = conn_connect(u, timeout_ms, err);

	if (conn == NULL || conn_handshake(conn, err) == 0)
		return conn;
	conn_close(conn);
	return NULL;
}

void
conn_close(struct conn *conn)
{
	if (conn == NULL)
		return;
	while (conn->arrived > conn->taken)
		reply_free(request_at(conn, conn->arrived--)->reply);
	if (conn->reader != NULL)
		redisReaderFree(conn->reader);
	free(conn->requests);
	conn->transport->ops->close(conn->transport, conn->reset);
	resp_free(&conn->out);
	free(conn->target);
	free(conn);
}

void
conn_abort(struct conn *conn)
{
	if (conn != NULL)
		conn->reset = true;
	conn_close(conn);
}

const struct conn_facts *
conn_facts(const struct conn *conn)
{
	return &conn->handshake.facts;
}

enum conn_why
conn_why(const struct conn *conn)
{
	return (enum conn_why)conn->failure.why;
}

int
conn_fail(struct err *err, enum conn_why why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_setv(err, conn_exit_status(why), fmt, ap);
	va_end(ap);
	err->why = why;
	return -1;
}

bool
conn_is_server_wide(enum conn_why why)
{
	return why == CONN_LATER || why == CONN_READONLY || why == CONN_DENIED || why == CONN_MOVED;
}

int
conn_exit_status(enum conn_why why)
{
	switch (why) {
	case CONN_OK: return STATUS_OK;
	case CONN_DENIED:
	case CONN_NOPERM: return STATUS_DENIED;
	case CONN_MOVED: return STATUS_CONFIG;
	case CONN_REFUSED:
	case CONN_TIMEOUT:
	case CONN_CUT:
	case CONN_GARBAGE: return STATUS_UNREACHABLE;
	case CONN_LATER:
	case CONN_READONLY: return STATUS_AGAIN;
	default: return STATUS_SOME;
	}
}

#include "redis/conn.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/read.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/status.h"
#include "redis/handshake.h"
#include "redis/net.h"
#include "redis/reply.h"
#include "redis/resp.h"

/* One command that was put: from the first that is unsent or not taken on. */
struct request {
	/* of its bytes, counted over the life of the connection */
	uint64_t end;
	size_t size;
	int64_t since, extra;
	uint64_t most; /* bytes of its answer; 0 for no limit but REPLY_MAX */
	struct reply *reply;
};

struct conn {
	int fd;
	char *place;
	int64_t timeout;
	int64_t greet_by; /* one deadline for all of the greeting; 0 after it */
	struct handshake facts;
	enum conn_why why;
	struct err dead;

	struct resp out;
	struct request *requests; /* ring: command n is at n & (cap - 1) */
	size_t cap;
	uint64_t put, sent, arrived, taken;
	int64_t arrived_at; /* when the last answer was whole */
	uint64_t heard;     /* bytes since then */
	uint64_t received;  /* bytes since ever */
	struct redisReader *reader;
	void *making; /* reply_reader_new */
};

static inline struct request *
request_at(const struct conn *conn, uint64_t n)
{
	return &conn->requests[n & (conn->cap - 1)];
}

#define MIB (1 << 20)
#define CHUNK (64 * 1024)             /* read at once */
#define BURST 16                      /* chunks in one conn_io */
#define REPLY_MAX ((uint64_t)1 << 30) /* more than any server gives */
#define ELEMENTS_MAX (1 << 24)        /* of one array: an entry may have millions of fields */

/* --- death ------------------------------------------------------------------ */

static int
die(struct conn *conn, enum conn_why why, int sys, const char *what)
{
	if (conn->why != CONN_OK)
		return -1;
	conn->why = why;
	if (sys != 0)
		err_set(&conn->dead, conn_exit_status(why), "'%s': %s: %s", conn->place, what,
		    strerror(sys));
	else
		err_set(&conn->dead, conn_exit_status(why), "'%s' %s", conn->place, what);
	conn->dead.sys = sys;
	return -1;
}

static int
die_garbage(struct conn *conn)
{
	while (conn->arrived > conn->taken)
		reply_free(request_at(conn, conn->arrived--)->reply);
	return die(conn, CONN_GARBAGE, 0,
	    conn->greet_by != 0 ? "is not Redis"
	                        : "answered what nobody asked for or no Redis says");
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
	if (conn->why == CONN_OK)
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

/* An error reply may come before its request is sent whole (too big); anything else then is no
 * answer to it. */
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

/* 1: all that had come was read; 0: there may be more. A short read is taken for all, unless it is
 * to the end. */
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

/* A server that refuses a request may close while we still write: its last words are read before
 * the break counts. */
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
conn_flush(struct conn *conn)
{
	if (conn->why == CONN_OK)
		send_some(conn); /* what is broken shows in conn_io */
}

void
conn_restart_deadline(struct conn *conn)
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
conn_poll(struct conn *conn, int other, int64_t ms, struct err *err)
{
	struct pollfd p[2] = {
	    {.fd = conn->fd, .events = conn_events(conn)}, {.fd = other, .events = POLLIN}};

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
		if (conn->put == conn->taken && conn->why == CONN_OK)
			die(conn, CONN_GARBAGE, 0, "was asked nothing, so it answers nothing");
		if (conn_io(conn, err) == -1 && conn->arrived == conn->taken)
			return NULL;
		if (conn->arrived == conn->taken && conn_poll(conn, -1, -1, err) == -1 &&
		    conn->arrived == conn->taken)
			return NULL;
	}
	return r;
}

/* Room for requests, and the reader; where there is no memory for that the connection is dead. */
static void
conn_exchange_start(struct conn *conn)
{
	conn->cap = 16;
	conn->requests = mem_alloc(conn->cap * sizeof(*conn->requests));
	if ((conn->reader = reply_reader_new(&conn->making)) == NULL)
		die(conn, CONN_CUT, ENOMEM, "read");
	else
		conn->reader->maxbuf = MIB;
}

/* Frees what was there for it, replies that nobody took included. */
static void
conn_exchange_end(struct conn *conn)
{
	while (conn->arrived > conn->taken)
		reply_free(request_at(conn, conn->arrived--)->reply);
	if (conn->reader != NULL)
		redisReaderFree(conn->reader);
	free(conn->requests);
}

/* --- queueing ---------------------------------------------------------------- */

static void
grow(struct conn *conn)
{
	uint64_t first = conn->taken < conn->sent ? conn->taken : conn->sent;
	size_t cap = conn->cap * 2;
	struct request *requests;

	if (conn->put - first < conn->cap)
		return;
	requests = mem_alloc(cap * sizeof(*requests));
	for (uint64_t n = first + 1; n <= conn->put; n++)
		requests[n & (cap - 1)] = *request_at(conn, n);
	free(conn->requests);
	conn->requests = requests;
	conn->cap = cap;
}

static uint64_t
queued(struct conn *conn, size_t size)
{
	/* Behind another the clock begins with that one's answer, which is later than now. */
	int64_t since = conn->arrived == conn->put ? clock_mono() : 0;

	grow(conn);
	conn->put++;
	*request_at(conn, conn->put) =
	    (struct request){.end = conn->out.queued, .size = size, .since = since};
	return conn->put;
}

uint64_t
conn_put(struct conn *conn, size_t argc, const struct slice *argv)
{
	return queued(conn, resp_put(&conn->out, argc, argv));
}

uint64_t
conn_put_template(struct conn *conn, const struct conn_template *form, const struct slice *argv)
{
	return queued(conn,
	    resp_fill(&conn->out, (struct slice){form->text.p, form->text.len}, form->gap,
	        form->gaps, argv));
}

void
conn_template_init(struct conn_template *form, size_t argc, const struct slice *argv)
{
	form->text.len = form->gaps = 0;
	resp_begin(&form->text, argc);
	for (size_t i = 0; i < argc; i++) {
		if (argv[i].p != NULL)
			resp_argument(&form->text, argv[i]);
		else if (form->gaps < CONN_GAPS)
			form->gap[form->gaps++] = form->text.len;
	}
}

void
conn_template_free(struct conn_template *form)
{
	bytes_free(&form->text);
}

static uint64_t
put_list(struct conn *conn, va_list ap)
{
	struct slice argv[64];
	size_t argc = 0;
	const char *s;

	while (argc < sizeof(argv) / sizeof(argv[0]) && (s = va_arg(ap, const char *)) != NULL)
		argv[argc++] = slice_of(s);
	return conn_put(conn, argc, argv);
}

uint64_t
conn_putl(struct conn *conn, ...)
{
	va_list ap;
	uint64_t n;

	va_start(ap, conn);
	n = put_list(conn, ap);
	va_end(ap);
	return n;
}

void
conn_extend_deadline(struct conn *conn, int64_t ms)
{
	if (conn->put > conn->taken && ms > 0)
		request_at(conn, conn->put)->extra = ms;
}

void
conn_limit_reply(struct conn *conn, uint64_t bytes)
{
	if (conn->put > conn->taken)
		request_at(conn, conn->put)->most = bytes;
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

uint64_t
conn_answered(const struct conn *conn)
{
	return conn->taken;
}

size_t
conn_unsent(const struct conn *conn)
{
	return resp_unsent(&conn->out);
}

struct reply *
conn_call(struct conn *conn, struct err *err, ...)
{
	va_list ap;

	va_start(ap, err);
	put_list(conn, ap);
	va_end(ap);
	return conn_wait(conn, 0, err);
}

/* --- opening and closing ------------------------------------------------------- */

struct conn *
conn_connect(const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *err)
{
	int64_t by = clock_mono() + timeout_ms;
	int fd = net_connect(u, by, err);
	struct conn *conn;

	if (fd == -1) {
		*why = err->sys == ETIMEDOUT ? CONN_TIMEOUT : CONN_REFUSED;
		return NULL;
	}
	conn = mem_alloc(sizeof(*conn));
	conn->fd = fd;
	conn->place = url_target(u);
	conn->timeout = timeout_ms;
	conn->greet_by = by;
	conn_exchange_start(conn);
	handshake_put(conn, u, &conn->facts);
	*why = CONN_OK;
	return conn;
}

int
conn_handshake(struct conn *conn, struct err *err)
{
	enum conn_why why;

	if (handshake_finish(conn, conn->place, &conn->facts, &why, err) == -1) {
		/* the server's last word says more than that it closed */
		conn->why = why;
		conn->dead = *err;
		return -1;
	}
	conn->greet_by = 0;
	conn->arrived_at = clock_mono();
	return 0;
}

struct conn *
conn_open(const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *err)
{
	struct conn *conn = conn_connect(u, timeout_ms, why, err);

	if (conn == NULL || conn_handshake(conn, err) == 0)
		return conn;
	*why = conn->why;
	conn_close(conn);
	return NULL;
}

void
conn_close(struct conn *conn)
{
	if (conn == NULL)
		return;
	conn_exchange_end(conn);
	close(conn->fd);
	resp_free(&conn->out);
	free(conn->place);
	free(conn);
}

void
conn_abort(struct conn *conn)
{
	struct linger now = {.l_onoff = 1};

	if (conn != NULL)
		setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	conn_close(conn);
}

const char *
conn_run_id(const struct conn *conn)
{
	return conn->facts.run_id;
}

const char *
conn_server_version(const struct conn *conn)
{
	return conn->facts.version;
}

const char *
conn_server_name(const struct conn *conn)
{
	return conn->facts.server;
}

const char *
conn_client_addr(const struct conn *conn)
{
	return conn->facts.addr;
}

int64_t
conn_client_id(const struct conn *conn)
{
	return conn->facts.client;
}

int64_t
conn_rtt_us(const struct conn *conn)
{
	return conn->facts.rtt_us;
}

int
conn_fd(const struct conn *conn)
{
	return conn->fd;
}

enum conn_why
conn_why(const struct conn *conn)
{
	return conn->why;
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

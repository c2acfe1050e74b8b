#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "redis/conn_exchange.h"
#include "redis/net.h"
#include "base/status.h"
#include "base/mem.h"
#include "base/clock.h"

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
	*request_at(conn, conn->put) = (struct request){.end = conn->out.queued, .size = size, .since = since};
	return conn->put;
}

uint64_t
conn_put(struct conn *conn, size_t argc, const struct slice *argv)
{
	return queued(conn, resp_put(&conn->out, argc, argv));
}

uint64_t
conn_put_form(struct conn *conn, const struct conn_form *form, const struct slice *argv)
{
	return queued(conn, resp_fill(&conn->out, (struct slice){form->text.p, form->text.len}, form->gap, form->gaps, argv));
}

void
conn_form(struct conn_form *form, size_t argc, const struct slice *argv)
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
conn_form_free(struct conn_form *form)
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
conn_allow(struct conn *conn, int64_t ms)
{
	if (conn->put > conn->taken && ms > 0)
		request_at(conn, conn->put)->extra = ms;
}

void
conn_most(struct conn *conn, uint64_t bytes)
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
conn_dial(const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *err)
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
	conn->place = url_place(u);
	conn->timeout = timeout_ms;
	conn->greet_by = by;
	conn_exchange_start(conn);
	handshake_put(conn, u, &conn->facts);
	*why = CONN_FINE;
	return conn;
}

int
conn_greet(struct conn *conn, struct err *err)
{
	enum conn_why why;

	if (handshake_take(conn, conn->place, &conn->facts, &why, err) == -1) {
		conn->why = why;		/* the server's last word says more than that it closed */
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
	struct conn *conn = conn_dial(u, timeout_ms, why, err);

	if (conn == NULL || conn_greet(conn, err) == 0)
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
conn_version(const struct conn *conn)
{
	return conn->facts.version;
}

const char *
conn_server(const struct conn *conn)
{
	return conn->facts.server;
}

const char *
conn_addr(const struct conn *conn)
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
conn_status(enum conn_why why)
{
	switch (why) {
	case CONN_FINE:
		return STATUS_OK;
	case CONN_DENIED:
	case CONN_NOPERM:
		return STATUS_DENIED;
	case CONN_MOVED:
		return STATUS_CONFIG;
	case CONN_REFUSED:
	case CONN_TIMEOUT:
	case CONN_CUT:
	case CONN_GARBAGE:
		return STATUS_UNREACHABLE;
	case CONN_LATER:
	case CONN_READONLY:
		return STATUS_AGAIN;
	default:
		return STATUS_SOME;
	}
}

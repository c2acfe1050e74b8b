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
grow(struct conn *b)
{
	uint64_t first = b->taken < b->sent ? b->taken : b->sent;
	size_t cap = b->cap * 2;
	struct slot *slots;

	if (b->put - first < b->cap)
		return;
	slots = mem_alloc(cap * sizeof(*slots));
	for (uint64_t n = first + 1; n <= b->put; n++)
		slots[n & (cap - 1)] = *slot(b, n);
	free(b->slots);
	b->slots = slots;
	b->cap = cap;
}

static uint64_t
queued(struct conn *b, size_t size)
{
	/* Behind another the clock begins with that one's answer, which is later than now. */
	int64_t since = b->arrived == b->put ? clock_mono() : 0;

	grow(b);
	b->put++;
	*slot(b, b->put) = (struct slot){.end = b->out.queued, .size = size, .since = since};
	return b->put;
}

uint64_t
conn_put(struct conn *b, size_t argc, const struct slice *argv)
{
	return queued(b, resp_put(&b->out, argc, argv));
}

uint64_t
conn_put_form(struct conn *b, const struct conn_form *form, const struct slice *argv)
{
	return queued(b, resp_fill(&b->out, (struct slice){form->text.p, form->text.len}, form->gap, form->gaps, argv));
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
put_list(struct conn *b, va_list ap)
{
	struct slice argv[64];
	size_t argc = 0;
	const char *s;

	while (argc < sizeof(argv) / sizeof(argv[0]) && (s = va_arg(ap, const char *)) != NULL)
		argv[argc++] = slice_of(s);
	return conn_put(b, argc, argv);
}

uint64_t
conn_putl(struct conn *b, ...)
{
	va_list ap;
	uint64_t n;

	va_start(ap, b);
	n = put_list(b, ap);
	va_end(ap);
	return n;
}

void
conn_allow(struct conn *b, int64_t ms)
{
	if (b->put > b->taken && ms > 0)
		slot(b, b->put)->extra = ms;
}

void
conn_most(struct conn *b, uint64_t bytes)
{
	if (b->put > b->taken)
		slot(b, b->put)->most = bytes;
}

uint64_t
conn_received(const struct conn *b)
{
	return b->received;
}

uint64_t
conn_sent(const struct conn *b)
{
	return b->sent;
}

uint64_t
conn_answered(const struct conn *b)
{
	return b->taken;
}

size_t
conn_unsent(const struct conn *b)
{
	return resp_unsent(&b->out);
}

struct reply *
conn_call(struct conn *b, struct err *f, ...)
{
	va_list ap;

	va_start(ap, f);
	put_list(b, ap);
	va_end(ap);
	return conn_wait(b, 0, f);
}

/* --- opening and closing ------------------------------------------------------- */

struct conn *
conn_dial(const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *f)
{
	int64_t by = clock_mono() + timeout_ms;
	int fd = net_connect(u, by, f);
	struct conn *b;

	if (fd == -1) {
		*why = f->sys == ETIMEDOUT ? CONN_TIMEOUT : CONN_REFUSED;
		return NULL;
	}
	b = mem_alloc(sizeof(*b));
	b->fd = fd;
	b->place = url_place(u);
	b->timeout = timeout_ms;
	b->greet_by = by;
	conn_exchange_start(b);
	handshake_put(b, u, &b->facts);
	*why = CONN_FINE;
	return b;
}

int
conn_greet(struct conn *b, struct err *f)
{
	enum conn_why why;

	if (handshake_take(b, b->place, &b->facts, &why, f) == -1) {
		b->why = why;		/* the server's last word says more than that it closed */
		b->dead = *f;
		return -1;
	}
	b->greet_by = 0;
	b->arrived_at = clock_mono();
	return 0;
}

struct conn *
conn_open(const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *f)
{
	struct conn *b = conn_dial(u, timeout_ms, why, f);

	if (b == NULL || conn_greet(b, f) == 0)
		return b;
	*why = b->why;
	conn_close(b);
	return NULL;
}

void
conn_close(struct conn *b)
{
	if (b == NULL)
		return;
	conn_exchange_end(b);
	close(b->fd);
	resp_free(&b->out);
	free(b->place);
	free(b);
}

void
conn_abort(struct conn *b)
{
	struct linger now = {.l_onoff = 1};

	if (b != NULL)
		setsockopt(b->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	conn_close(b);
}

const char *
conn_run_id(const struct conn *b)
{
	return b->facts.run_id;
}

const char *
conn_version(const struct conn *b)
{
	return b->facts.version;
}

const char *
conn_server(const struct conn *b)
{
	return b->facts.server;
}

const char *
conn_addr(const struct conn *b)
{
	return b->facts.addr;
}

int64_t
conn_client_id(const struct conn *b)
{
	return b->facts.client;
}

int64_t
conn_rtt_us(const struct conn *b)
{
	return b->facts.rtt_us;
}

int
conn_fd(const struct conn *b)
{
	return b->fd;
}

enum conn_why
conn_why(const struct conn *b)
{
	return b->why;
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

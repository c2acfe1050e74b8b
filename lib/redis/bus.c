#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "redis/exchange.h"
#include "redis/net.h"
#include "base/status.h"
#include "base/util.h"
#include "base/when.h"

/* --- queueing ---------------------------------------------------------------- */

static void
grow(struct bus *b)
{
	uint64_t first = b->taken < b->sent ? b->taken : b->sent;
	size_t cap = b->cap * 2;
	struct slot *slots;

	if (b->put - first < b->cap)
		return;
	slots = util_alloc(cap * sizeof(*slots));
	for (uint64_t n = first + 1; n <= b->put; n++)
		slots[n & (cap - 1)] = *slot(b, n);
	free(b->slots);
	b->slots = slots;
	b->cap = cap;
}

static uint64_t
queued(struct bus *b, size_t size)
{
	/* Behind another the clock begins with that one's answer, which is later than now. */
	int64_t since = b->arrived == b->put ? when_mono() : 0;

	grow(b);
	b->put++;
	*slot(b, b->put) = (struct slot){.end = b->out.queued, .size = size, .since = since};
	return b->put;
}

uint64_t
bus_put(struct bus *b, size_t argc, const struct slice *argv)
{
	return queued(b, outbox_put(&b->out, argc, argv));
}

uint64_t
bus_put_form(struct bus *b, const struct bus_form *form, const struct slice *argv)
{
	return queued(b, outbox_fill(&b->out, (struct slice){form->text.p, form->text.len}, form->gap, form->gaps, argv));
}

void
bus_form(struct bus_form *form, size_t argc, const struct slice *argv)
{
	form->text.len = form->gaps = 0;
	outbox_begin(&form->text, argc);
	for (size_t i = 0; i < argc; i++) {
		if (argv[i].p != NULL)
			outbox_argument(&form->text, argv[i]);
		else if (form->gaps < BUS_GAPS)
			form->gap[form->gaps++] = form->text.len;
	}
}

void
bus_form_free(struct bus_form *form)
{
	buf_free(&form->text);
}

static uint64_t
put_list(struct bus *b, va_list ap)
{
	struct slice argv[64];
	size_t argc = 0;
	const char *s;

	while (argc < sizeof(argv) / sizeof(argv[0]) && (s = va_arg(ap, const char *)) != NULL)
		argv[argc++] = slice_of(s);
	return bus_put(b, argc, argv);
}

uint64_t
bus_putl(struct bus *b, ...)
{
	va_list ap;
	uint64_t n;

	va_start(ap, b);
	n = put_list(b, ap);
	va_end(ap);
	return n;
}

void
bus_allow(struct bus *b, int64_t ms)
{
	if (b->put > b->taken && ms > 0)
		slot(b, b->put)->extra = ms;
}

void
bus_most(struct bus *b, uint64_t bytes)
{
	if (b->put > b->taken)
		slot(b, b->put)->most = bytes;
}

uint64_t
bus_received(const struct bus *b)
{
	return b->received;
}

uint64_t
bus_sent(const struct bus *b)
{
	return b->sent;
}

uint64_t
bus_answered(const struct bus *b)
{
	return b->taken;
}

size_t
bus_unsent(const struct bus *b)
{
	return outbox_unsent(&b->out);
}

struct reply *
bus_call(struct bus *b, struct fail *f, ...)
{
	va_list ap;

	va_start(ap, f);
	put_list(b, ap);
	va_end(ap);
	return bus_wait(b, 0, f);
}

/* --- opening and closing ------------------------------------------------------- */

struct bus *
bus_dial(const struct url *u, int64_t timeout_ms, enum bus_why *why, struct fail *f)
{
	int64_t by = when_mono() + timeout_ms;
	int fd = net_connect(u, by, f);
	struct bus *b;

	if (fd == -1) {
		*why = f->sys == ETIMEDOUT ? BUS_TIMEOUT : BUS_REFUSED;
		return NULL;
	}
	b = util_alloc(sizeof(*b));
	b->fd = fd;
	b->place = url_place(u);
	b->timeout = timeout_ms;
	b->greet_by = by;
	exchange_start(b);
	greet_put(b, u, &b->facts);
	*why = BUS_FINE;
	return b;
}

int
bus_greet(struct bus *b, struct fail *f)
{
	enum bus_why why;

	if (greet_take(b, b->place, &b->facts, &why, f) == -1) {
		b->why = why;		/* the server's last word says more than that it closed */
		b->dead = *f;
		return -1;
	}
	b->greet_by = 0;
	b->arrived_at = when_mono();
	return 0;
}

struct bus *
bus_open(const struct url *u, int64_t timeout_ms, enum bus_why *why, struct fail *f)
{
	struct bus *b = bus_dial(u, timeout_ms, why, f);

	if (b == NULL || bus_greet(b, f) == 0)
		return b;
	*why = b->why;
	bus_close(b);
	return NULL;
}

void
bus_close(struct bus *b)
{
	if (b == NULL)
		return;
	exchange_end(b);
	close(b->fd);
	outbox_free(&b->out);
	free(b->place);
	free(b);
}

void
bus_abort(struct bus *b)
{
	struct linger now = {.l_onoff = 1};

	if (b != NULL)
		setsockopt(b->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	bus_close(b);
}

const char *
bus_run_id(const struct bus *b)
{
	return b->facts.run_id;
}

const char *
bus_version(const struct bus *b)
{
	return b->facts.version;
}

const char *
bus_server(const struct bus *b)
{
	return b->facts.server;
}

const char *
bus_addr(const struct bus *b)
{
	return b->facts.addr;
}

int64_t
bus_client_id(const struct bus *b)
{
	return b->facts.client;
}

int64_t
bus_rtt_us(const struct bus *b)
{
	return b->facts.rtt_us;
}

int
bus_fd(const struct bus *b)
{
	return b->fd;
}

enum bus_why
bus_why(const struct bus *b)
{
	return b->why;
}

int
bus_status(enum bus_why why)
{
	switch (why) {
	case BUS_FINE:
		return STATUS_OK;
	case BUS_DENIED:
	case BUS_NOPERM:
		return STATUS_DENIED;
	case BUS_MOVED:
		return STATUS_CONFIG;
	case BUS_REFUSED:
	case BUS_TIMEOUT:
	case BUS_CUT:
	case BUS_GARBAGE:
		return STATUS_UNREACHABLE;
	case BUS_LATER:
	case BUS_READONLY:
		return STATUS_AGAIN;
	default:
		return STATUS_SOME;
	}
}

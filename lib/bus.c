#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "bus.h"
#include "greet.h"
#include "net.h"
#include "outbox.h"
#include "status.h"
#include "util.h"
#include "when.h"

#define MIB (1 << 20)
#define CHUNK (64 * 1024)		/* read at once */
#define BURST 16			/* chunks in one bus_io */
#define REPLY_MAX ((uint64_t)1 << 30)	/* more than any server gives */
#define ELEMENTS_MAX (1 << 24)		/* of one array: an entry may have millions of fields */

/* One command that was put: from the first that is unsent or not taken on. */
struct slot {
	uint64_t end;			/* of its bytes, counted over the life of the connection */
	size_t size;
	int64_t since, extra;
	uint64_t most;			/* bytes of its answer; 0 for no limit but REPLY_MAX */
	redisReply *reply;
};

struct bus {
	int fd;
	char *place;
	int64_t timeout;
	int64_t greet_by;		/* one deadline for all of the greeting; 0 after it */
	struct greeting facts;
	enum bus_why why;
	struct fail dead;

	struct outbox out;
	struct slot *slots;		/* ring: command n is at n & (cap - 1) */
	size_t cap;
	uint64_t put, sent, arrived, taken;
	int64_t arrived_at;		/* when the last answer was whole */
	uint64_t heard;			/* bytes since then */
	uint64_t received;		/* bytes since ever */
	redisReader *reader;
	redisReplyObjectFunctions make;
	const redisReplyObjectFunctions *defaults;
};

static struct slot *
slot(const struct bus *b, uint64_t n)
{
	return &b->slots[n & (b->cap - 1)];
}

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
		freeReplyObject(slot(b, b->arrived--)->reply);
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

uint64_t
bus_put(struct bus *b, size_t argc, const struct slice *argv)
{
	size_t size = outbox_put(&b->out, argc, argv);

	grow(b);
	b->put++;
	*slot(b, b->put) = (struct slot){.end = b->out.queued, .size = size, .since = when_mono()};
	return b->put;
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
accept_reply(struct bus *b, redisReply *r)
{
	if (b->arrived == b->put || (b->arrived >= b->sent && r->type != REDIS_REPLY_ERROR)) {
		freeReplyObject(r);
		return die_garbage(b);
	}
	b->arrived++;
	slot(b, b->arrived)->reply = r;
	b->arrived_at = when_mono();
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
	void *r;

	b->heard += n;
	b->received += n;
	if (redisReaderFeed(b->reader, p, n) != REDIS_OK || b->heard > REPLY_MAX)
		return die_garbage(b);
	for (;;) {
		r = NULL;
		if (redisReaderGetReply(b->reader, &r) != REDIS_OK)
			return die_garbage(b);
		if (r == NULL)
			return check_most(b);
		if (accept_reply(b, r) == -1)
			return -1;
	}
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

short
bus_events(const struct bus *b)
{
	return (short)(bus_unsent(b) > 0 ? POLLIN | POLLOUT : POLLIN);
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
	return (struct reply *)slot(b, b->taken)->reply;
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

/* An announced length must not be believed: memory for its elements would be taken, and walked to free it. */
#if HIREDIS_MAJOR >= 1
typedef size_t count;
#else
typedef int count;
#endif

static void *
make_array(const redisReadTask *task, count n)
{
	const struct bus *b = task->privdata;

	return n > ELEMENTS_MAX ? NULL : b->defaults->createArray(task, n);
}

static redisReader *
new_reader(struct bus *b)
{
	redisReader *r = redisReaderCreate();

	if (r == NULL)
		return NULL;
	b->defaults = r->fn;
	b->make = *r->fn;
	b->make.createArray = make_array;
	r->fn = &b->make;
	r->privdata = b;
	r->maxbuf = MIB;
	return r;
}

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
	b->cap = 16;
	b->slots = util_alloc(b->cap * sizeof(*b->slots));
	if ((b->reader = new_reader(b)) == NULL)
		die(b, BUS_CUT, ENOMEM, "read");
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
	while (b->arrived > b->taken)
		freeReplyObject(slot(b, b->arrived--)->reply);
	if (b->reader != NULL)
		redisReaderFree(b->reader);
	close(b->fd);
	outbox_free(&b->out);
	free(b->slots);
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

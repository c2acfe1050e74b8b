/*
 * bus: one connection to one Redis server, and the exchange over it.
 *
 * Of hiredis only the protocol reader is used (exchange.c), and what it makes (reply.c). Sockets are our own, non-blocking,
 * driven by poll(2) under one total deadline (CLOCK_MONOTONIC), because only then is it known how many bytes of
 * which request were handed to the kernel: before its last byte a request was not executed, after it
 * it is in doubt until answered.
 *
 * Commands are queued (bus_put), move with bus_io or bus_wait, and are answered in order. After any
 * failure of the connection the bus is dead: every call fails with the same reason, and all one can do is ask what was sent, take
 * the replies that had come whole before (none after BUS_GARBAGE) and close it. There is no reconnecting inside.
 *
 * Deadlines: the timeout of bus_dial for the oldest unanswered command, plus 1 s for each full MiB in flight, which is
 * its own bytes and those of its answer that have come (contract, G8).
 */
#ifndef BUS_H
#define BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "redis/url.h"

struct bus;
struct reply;	/* reply.h */

/* Why a connection, or an answer, is not what was hoped for (reliability, section 4). */
enum bus_why {
	BUS_FINE,
	BUS_REFUSED,	/* not reached, and that at once: refused, no route, no such socket, name not known */
	BUS_TIMEOUT,	/* a deadline ran out: connecting, looking up the name, greeting, or an answer */
	BUS_CUT,	/* end of file or reset */
	BUS_GARBAGE,	/* what came is not the protocol, or an answer nobody asked for */
	BUS_LATER,	/* error reply that passes: LOADING MASTERDOWN CLUSTERDOWN TRYAGAIN BUSY NOREPLICAS MISCONF OOM, max clients */
	BUS_READONLY,	/* a replica */
	BUS_DENIED,	/* NOAUTH WRONGPASS; NOPERM at the greeting's AUTH; status 77 */
	BUS_NOPERM,	/* NOPERM: this command or key */
	BUS_WRONGTYPE,
	BUS_FULL,	/* the stream's IDs are exhausted */
	BUS_TOOBIG,	/* larger than the server takes (Protocol error: invalid bulk length) */
	BUS_NOGROUP,
	BUS_MOVED,	/* MOVED, ASK, or a server in cluster mode: status 78 */
	BUS_UNBLOCKED,	/* UNBLOCKED: the stream went away under a blocked read */
	BUS_OTHER	/* an error reply not known here */
};

/*
 * Connects and queues the greeting: AUTH, SELECT, CLIENT INFO, INFO server. Further
 * commands may be queued (bus_put) before bus_greet, so that they travel in the same round trip;
 * they must be harmless to execute twice: no XADD before the greeting is answered.
 * Name look-up, connecting and greeting together have the deadline timeout_ms. Opening a unix socket never hangs.
 * NULL: f and *why (REFUSED, TIMEOUT).
 */
struct bus *bus_dial(const struct url *u, int64_t timeout_ms, enum bus_why *why, struct fail *f);
/* Waits for the greeting's answers. NOPERM to CLIENT INFO or INFO is no failure (the facts stay empty). -1: f and bus_why(b).
 * LOADING and the like to INFO also count as the failure BUS_LATER. A server with redis_mode:cluster is BUS_MOVED. */
int bus_greet(struct bus *b, struct fail *f);
/* Both. */
struct bus *bus_open(const struct url *u, int64_t timeout_ms, enum bus_why *why, struct fail *f);
void bus_close(struct bus *b);		/* NULL is fine */
void bus_abort(struct bus *b);		/* closes with a reset (SO_LINGER 0): nothing is sent late */

/* Facts of the greeting; "" or 0 where they were not permitted. */
const char *bus_run_id(const struct bus *b);
const char *bus_version(const struct bus *b);	/* redis_version, or valkey_version when there is one */
const char *bus_server(const struct bus *b);	/* "redis" or "valkey" */
const char *bus_addr(const struct bus *b);
int64_t bus_client_id(const struct bus *b);
int64_t bus_rtt_us(const struct bus *b);	/* greeting's round trip */

/* --- exchange ------------------------------------------------------------- */

/* Queues one command; returns its number (1, 2, ... over the life of the connection). Never touches the socket. */
uint64_t bus_put(struct bus *b, size_t argc, const struct slice *argv);
/* A command that is sent often with little changed in it: the rest is encoded once. Zeroed, it is empty and valid. */
#define BUS_GAPS 8
struct bus_form {
	struct buf text;
	size_t gap[BUS_GAPS], gaps;
};
/* Arguments whose p is NULL are gaps, BUS_GAPS at most: bus_put_form takes what belongs there. */
void bus_form(struct bus_form *form, size_t argc, const struct slice *argv);
void bus_form_free(struct bus_form *form);
uint64_t bus_put_form(struct bus *b, const struct bus_form *form, const struct slice *argv);
/* bus_put from C strings up to NULL. */
uint64_t bus_putl(struct bus *b, ...) __attribute__((sentinel));
/* Sends what the socket takes of what is queued, and looks at nothing else: for a caller who is busy before the next bus_io, */
void bus_push(struct bus *b);
/* and who says here that he is back: deadlines begin anew. */
void bus_resume(struct bus *b);
/* The command last put may take ms longer than others (BLOCK times). group_put_read does this itself. */
void bus_allow(struct bus *b, int64_t ms);
/* The answer to the command last put may have about so many bytes: the connection is BUS_CUT when more come, and nobody holds them. */
void bus_most(struct bus *b, uint64_t bytes);
/* Bytes received over the life of the connection. */
uint64_t bus_received(const struct bus *b);
/* Number of the last command of which every byte was handed to the kernel. A later one was not executed. */
uint64_t bus_sent(const struct bus *b);
uint64_t bus_answered(const struct bus *b);	/* number of the last command whose reply was taken */
size_t bus_unsent(const struct bus *b);		/* bytes queued and not yet handed over */

int bus_fd(const struct bus *b);
short bus_events(const struct bus *b);		/* what to poll(2) for */
/* When the oldest unanswered command runs out (CLOCK_MONOTONIC ms), or -1 when none is. For callers with a poll loop of their own;
 * the clock of a command starts when the one before it is answered or it is queued, whichever is later. */
int64_t bus_deadline(const struct bus *b);
/* Moves what can be moved without waiting, and notices a deadline that has passed. -1 when the connection is dead. */
int bus_io(struct bus *b, struct fail *f);
/* Like poll(2) on the socket plus one more descriptor (-1 for none) for at most ms (-1 for ever), then bus_io. Returns -1 when dead,
 * else 1 when `other` is readable, 0 when not. A signal ends it early with 0. */
int bus_pause(struct bus *b, int other, int64_t ms, struct fail *f);

/* A reply that is here already, or NULL. It belongs to the caller (reply_free). */
struct reply *bus_take(struct bus *b);
/* The next reply, waited for within its deadline, which extra_ms makes longer (bus_allow). NULL when the connection is dead. */
struct reply *bus_wait(struct bus *b, int64_t extra_ms, struct fail *f);
/* put, wait: nothing may be unanswered before. */
struct reply *bus_call(struct bus *b, struct fail *f, ...) __attribute__((sentinel));

/* Of a dead connection, or BUS_FINE. */
enum bus_why bus_why(const struct bus *b);

/* An exit status for a reason: 77 for DENIED and NOPERM, 78 for MOVED, 69 for the ways of not being reached, 75 for LATER and READONLY, else 1. */
int bus_status(enum bus_why why);

#endif

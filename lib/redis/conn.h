/*
 * conn: one connection to one Redis server, and the exchange over it.
 *
 * Of hiredis only the protocol reader is used (exchange.c), and what it makes (reply.c). Sockets
 * are our own, non-blocking, driven by poll(2) under one total deadline (CLOCK_MONOTONIC), because
 * only then is it known how many bytes of which request were handed to the kernel: before its last
 * byte a request was not executed, after it it is in doubt until answered.
 *
 * Commands are queued (conn_put), move with conn_io or conn_wait, and are answered in order. After
 * any failure of the connection the bus is dead: every call fails with the same reason, and all one
 * can do is ask what was sent, take the replies that had come whole before (none after
 * CONN_GARBAGE) and close it. There is no reconnecting inside.
 *
 * Deadlines: the timeout of conn_connect for the oldest unanswered command, plus 1 s for each full
 * MiB in flight, which is its own bytes and those of its answer that have come (contract, G8).
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "redis/url.h"

struct conn;
struct reply; /* reply.h */

/* Why a connection, or an answer, is not what was hoped for (reliability, section 4). */
enum conn_why {
	CONN_OK,
	/* not reached, and that at once: refused, no route, no such socket, name not known */
	CONN_REFUSED,
	/* a deadline ran out: connecting, looking up the name, greeting, or an answer */
	CONN_TIMEOUT,
	CONN_CUT,     /* end of file or reset */
	CONN_GARBAGE, /* what came is not the protocol, or an answer nobody asked for */
	/* error reply that passes: LOADING MASTERDOWN CLUSTERDOWN TRYAGAIN BUSY NOREPLICAS MISCONF
	   OOM, max clients */
	CONN_LATER,
	CONN_READONLY, /* a replica */
	CONN_DENIED,   /* NOAUTH WRONGPASS; NOPERM at the greeting's AUTH; status 77 */
	CONN_NOPERM,   /* NOPERM: this command or key */
	CONN_WRONGTYPE,
	CONN_FULL,   /* the stream's IDs are exhausted */
	CONN_TOOBIG, /* larger than the server takes (Protocol error: invalid bulk length) */
	CONN_NOGROUP,
	CONN_MOVED,     /* MOVED, ASK, or a server in cluster mode: status 78 */
	CONN_UNBLOCKED, /* UNBLOCKED: the stream went away under a blocked read */
	CONN_OTHER      /* an error reply not known here */
};

/*
 * Connects and queues the greeting: AUTH, SELECT, CLIENT INFO, INFO server. Further
 * commands may be queued (conn_put) before conn_handshake, so that they travel in the same round
 * trip; they must be harmless to execute twice: no XADD before the greeting is answered. Name
 * look-up, connecting and greeting together have the deadline timeout_ms. Opening a unix socket
 * never hangs. NULL: err and *why (REFUSED, TIMEOUT).
 */
struct conn *conn_connect(
    const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *err);
/* Waits for the greeting's answers. NOPERM to CLIENT INFO or INFO is no failure (the facts stay
 * empty). -1: err and conn_why(b). LOADING and the like to INFO also count as the failure
 * CONN_LATER. A server with redis_mode:cluster is CONN_MOVED. */
int conn_handshake(struct conn *conn, struct err *err);
/* Both. */
struct conn *conn_open(
    const struct url *u, int64_t timeout_ms, enum conn_why *why, struct err *err);
void conn_close(struct conn *conn); /* NULL is fine */
/* closes with a reset (SO_LINGER 0): nothing is sent late */
void conn_abort(struct conn *conn);

/* Facts of the greeting; "" or 0 where they were not permitted. */
const char *conn_run_id(const struct conn *conn);
/* redis_version, or valkey_version when there is one */
const char *conn_server_version(const struct conn *conn);
const char *conn_server_name(const struct conn *conn); /* "redis" or "valkey" */
const char *conn_client_addr(const struct conn *conn);
int64_t conn_client_id(const struct conn *conn);
int64_t conn_rtt_us(const struct conn *conn); /* greeting's round trip */

/* --- exchange ------------------------------------------------------------- */

/* Queues one command; returns its number (1, 2, ... over the life of the connection). Never touches
 * the socket. */
uint64_t conn_put(struct conn *conn, size_t argc, const struct slice *argv);
/* A command that is sent often with little changed in it: the rest is encoded once. Zeroed, it is
 * empty and valid. */
#define CONN_GAPS 8
struct conn_template {
	struct bytes text;
	size_t gap[CONN_GAPS], gaps;
};
/* Arguments whose p is NULL are gaps, CONN_GAPS at most: conn_put_template takes what belongs
 * there. */
void conn_template_init(struct conn_template *form, size_t argc, const struct slice *argv);
void conn_template_free(struct conn_template *form);
uint64_t conn_put_template(
    struct conn *conn, const struct conn_template *form, const struct slice *argv);
/* conn_put from C strings up to NULL. */
uint64_t conn_putl(struct conn *conn, ...) __attribute__((sentinel));
/* Sends what the socket takes of what is queued, and looks at nothing else: for a caller who is
 * busy before the next conn_io, */
void conn_flush(struct conn *conn);
/* and who says here that he is back: deadlines begin anew. */
void conn_restart_deadline(struct conn *conn);
/* The command last put may take ms longer than others (BLOCK times). group_put_read does this
 * itself. */
void conn_extend_deadline(struct conn *conn, int64_t ms);
/* The answer to the command last put may have about so many bytes: the connection is CONN_CUT when
 * more come, and nobody holds them. */
void conn_limit_reply(struct conn *conn, uint64_t bytes);
/* Bytes received over the life of the connection. */
uint64_t conn_received(const struct conn *conn);
/* Number of the last command of which every byte was handed to the kernel. A later one was not
 * executed. */
uint64_t conn_sent(const struct conn *conn);
/* number of the last command whose reply was taken */
uint64_t conn_answered(const struct conn *conn);
/* bytes queued and not yet handed over */
size_t conn_unsent(const struct conn *conn);

int conn_fd(const struct conn *conn);
short conn_events(const struct conn *conn); /* what to poll(2) for */
/* When the oldest unanswered command runs out (CLOCK_MONOTONIC ms), or -1 when none is. For callers
 * with a poll loop of their own; the clock of a command starts when the one before it is answered
 * or it is queued, whichever is later. */
int64_t conn_deadline(const struct conn *conn);
/* Moves what can be moved without waiting, and notices a deadline that has passed. -1 when the
 * connection is dead. */
int conn_io(struct conn *conn, struct err *err);
/* Like poll(2) on the socket plus one more descriptor (-1 for none) for at most ms (-1 for ever),
 * then conn_io. Returns -1 when dead, else 1 when `other` is readable, 0 when not. A signal ends it
 * early with 0. */
int conn_poll(struct conn *conn, int other, int64_t ms, struct err *err);

/* A reply that is here already, or NULL. It belongs to the caller (reply_free). */
struct reply *conn_take(struct conn *conn);
/* The next reply, waited for within its deadline, which extra_ms makes longer
 * (conn_extend_deadline). NULL when the connection is dead. */
struct reply *conn_wait(struct conn *conn, int64_t extra_ms, struct err *err);
/* put, wait: nothing may be unanswered before. */
struct reply *conn_call(struct conn *conn, struct err *err, ...) __attribute__((sentinel));

/* Of a dead connection, or CONN_OK. */
enum conn_why conn_why(const struct conn *conn);

/* An exit status for a reason: 77 for DENIED and NOPERM, 78 for MOVED, 69 for the ways of not being
 * reached, 75 for LATER and READONLY, else 1. */
int conn_exit_status(enum conn_why why);

#endif

/*
 * conn: a connection to one Redis server. Sends commands and receives their replies, in order.
 *
 * The life of a connection:
 *
 *     conn_open                  connects and authenticates (conn_connect, then conn_handshake);
 *                                commands ask a pool instead (pool.h)
 *     conn_put ...               queues commands; nothing is sent yet
 *     conn_wait, or in a poll loop conn_io and conn_take
 *                                sends what is queued, and returns the replies
 *     conn_close
 *
 * The socket is non-blocking and driven by poll(2). hiredis only parses replies (reply.c): its
 * blocking calls would hide how many bytes of which command the kernel took. The disk buffer
 * depends on that number. A command whose last byte was not sent has not been executed; after that
 * byte the command is in doubt until its reply arrives.
 *
 * A connection dies at its first failure and never reconnects. Every later call fails with the same
 * err, whose member `why` is an enum conn_why. A dead connection still answers conn_sent and the
 * like, and conn_take still returns the replies that were complete before the failure (none after
 * CONN_GARBAGE).
 *
 * Every command has a deadline: the timeout of conn_connect, counted from when the command was
 * queued or the reply before it arrived, whichever is later, plus 1 s for each full MiB of the
 * command and of the part of its reply that has arrived (G8, eventbus(7)).
 *
 * The files of this room, from the socket upwards:
 *
 *     url          where the server is
 *     transport    carries the bytes
 *     net          the transport over plain sockets
 *     resp         commands as bytes; sends them
 *     conn         this file; receives
 *     handshake    AUTH, SELECT, and what is learned about the server
 *     reply        replies and what error replies mean
 *     pool         the connections of a command, by key
 *     fence        makes sure that a dead connection executes nothing more
 *     stream, group, retire, scan    the commands on streams
 *
 * There is no TLS: transport.h says what it takes to add it.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "redis/resp.h"
#include "redis/url.h"

struct conn;  /* opaque: conn.c */
struct reply; /* opaque: reply.h reads it */

/* Why a connection failed, or what an error reply means (reply_why). */
enum conn_why {
	CONN_OK,
	CONN_REFUSED, /* not reached, at once: refused, no route, no such socket, unknown name */
	CONN_TIMEOUT, /* a deadline passed: name look-up, connecting, handshake or a reply */
	CONN_CUT,     /* end of file, reset, or a reply larger than allowed */
	CONN_GARBAGE, /* not the protocol, a reply to no command, or a reply of the wrong form */
	/* Error replies. The server is up and refuses for now: LOADING MASTERDOWN CLUSTERDOWN
	   TRYAGAIN BUSY NOREPLICAS MISCONF OOM, max clients. */
	CONN_LATER,
	CONN_READONLY, /* the server is a replica */
	CONN_DENIED,   /* NOAUTH WRONGPASS, and NOPERM to the handshake's AUTH or SELECT */
	CONN_NOPERM,   /* NOPERM: this command or key */
	CONN_WRONGTYPE,
	CONN_FULL,   /* the stream's IDs are exhausted */
	CONN_TOOBIG, /* larger than the server accepts (Protocol error: invalid bulk length) */
	CONN_NOGROUP,
	CONN_MOVED,     /* MOVED, ASK, or a server in cluster mode */
	CONN_UNBLOCKED, /* UNBLOCKED: the stream was deleted during a blocking read */
	CONN_OTHER      /* any other error reply */
};

/*
 * Returns the exit status for a reason: 77 for DENIED and NOPERM, 78 for MOVED, 69 for REFUSED,
 * TIMEOUT, CUT and GARBAGE, 75 for LATER and READONLY, 0 for OK, else 1.
 */
int conn_exit_status(enum conn_why why);
/* Fills err with the reason, its exit status, and the text. Returns -1. */
int conn_fail(struct err *err, enum conn_why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Returns whether the server would answer every command like this, whatever its key: LATER,
 * READONLY, DENIED or MOVED. */
bool conn_is_server_wide(enum conn_why why);

/* --- opening and closing --- */

/*
 * Connects and queues the handshake: AUTH, SELECT, CLIENT INFO, INFO server. Commands that are
 * queued before conn_handshake travel in the same round trip. They must be harmless when executed
 * twice: no XADD before the handshake is complete. timeout_ms is one deadline for name look-up,
 * connecting and handshake together. Returns NULL with err (why: REFUSED, TIMEOUT).
 */
struct conn *conn_connect(const struct url *u, int64_t timeout_ms, struct err *err);
/*
 * Waits for the handshake's replies. Returns -1 with err: the connection is dead. NOPERM to CLIENT
 * INFO or INFO is no failure: the facts below stay empty. LOADING and the like to any of the
 * commands is the failure CONN_LATER; a server with redis_mode:cluster is CONN_MOVED.
 */
int conn_handshake(struct conn *conn, struct err *err);
/* conn_connect and conn_handshake. Returns NULL with err. */
struct conn *conn_open(const struct url *u, int64_t timeout_ms, struct err *err);
/* Closes and frees. NULL is ignored. */
void conn_close(struct conn *conn);
/* Closes with a reset (SO_LINGER 0), so that the kernel sends nothing afterwards. */
void conn_abort(struct conn *conn);

/* Returns why the connection is dead, or CONN_OK. */
enum conn_why conn_why(const struct conn *conn);

/* From the handshake; "" or 0 where the server did not permit the question. */
struct conn_facts {
	char run_id[64];
	char server[16];  /* "redis" or "valkey" */
	char version[32]; /* valkey_version where there is one, else redis_version */
	char addr[128];   /* of this connection, as the server sees it */
	int64_t client;   /* its client ID */
	int64_t rtt_us;   /* the handshake's round trip */
};
const struct conn_facts *conn_facts(const struct conn *conn);

/* --- commands --- */

/* Queues a command without touching the socket. Returns its number: 1, 2, ... per connection. */
uint64_t conn_put(struct conn *conn, size_t argc, const struct slice *argv);
/* Queues a command from C strings up to NULL. An argument that is CONN_SKIP is left out. */
uint64_t conn_putl(struct conn *conn, ...) __attribute__((sentinel));
extern const char conn_skip[];
#define CONN_SKIP conn_skip

/* Queues a template (resp.h) with one argument for each gap. */
uint64_t conn_put_template(
    struct conn *conn, const struct resp_template *template, const struct slice *argv);

/* Gives the command put last ms more (the time of BLOCK). stream_put_read does so itself. */
void conn_extend_deadline(struct conn *conn, int64_t ms);
/* Limits the reply to the command put last: the connection dies (CONN_CUT) above so many bytes.
 * Without this the limit is CONN_REPLY_MAX, in the handshake CONN_SHORT_REPLY; commands whose
 * replies hold payloads raise it. */
void conn_limit_reply(struct conn *conn, uint64_t bytes);
#define CONN_SHORT_REPLY (64 << 10)       /* for an ID, a number, facts about the server */
#define CONN_REPLY_MAX (16 << 20)         /* for lists of groups, consumers, pending entries */
#define CONN_PAYLOADS ((uint64_t)1 << 30) /* for entries: Redis' own limit is 512 MiB a field */

/* Returns the number of the last command of which the kernel took every byte. Later ones have not
 * been executed. */
uint64_t conn_sent(const struct conn *conn);
/* Returns how many bytes were received over the life of the connection. */
uint64_t conn_received(const struct conn *conn);

/* --- replies; the caller owns each and calls reply_free --- */

/* Sends, and waits for the next reply. Returns NULL with err when the connection is dead. */
struct reply *conn_wait(struct conn *conn, struct err *err);
/* conn_putl and conn_wait. All earlier commands must have been answered. */
struct reply *conn_call(struct conn *conn, struct err *err, ...) __attribute__((sentinel));
/* Returns a reply that has arrived, or NULL. Never touches the socket. */
struct reply *conn_take(struct conn *conn);

/* --- poll loop --- */

/* Returns what to poll(2) for. */
struct pollfd conn_pollfd(const struct conn *conn);
/* Returns when conn_io is due although poll(2) reports nothing (CLOCK_MONOTONIC, ms): at once while
 * the transport holds bytes, else when the oldest unanswered command times out; -1: never. */
int64_t conn_due(const struct conn *conn);
/* Sends and receives what is possible without waiting, and checks the deadline. Returns -1
 * with err when the connection is dead. */
int conn_io(struct conn *conn, struct err *err);
/*
 * Waits for the socket or the descriptor `other` (-1 for none) for at most ms (-1: no limit) and at
 * most until the deadline, then calls conn_io. Returns -1: dead, 1: `other` is readable, 0
 * otherwise, also after a signal.
 */
int conn_poll(struct conn *conn, int other, int64_t ms, struct err *err);
/* Sends what the socket takes and reads nothing: for a caller that is busy before its conn_io. */
void conn_flush(struct conn *conn);
/* Restarts the deadline: for a caller that was busy since conn_flush and calls conn_io next. */
void conn_restart_deadline(struct conn *conn);

#endif

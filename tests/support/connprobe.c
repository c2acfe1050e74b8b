/*
 * connprobe URL MS COMMAND: uses a connection (lib/redis/conn.h) with the timeout MS, for
 * tests/lib/conn.bats.
 *
 *     open                         prints the facts of the handshake
 *     call WORD... [- WORD...]...  sends each command and prints its reply
 *     ping N                       pipelines N pings
 *     add KEY N BYTES              pipelines N entries, prints how many were sent and answered
 *     block MS EXTRA               reads blocking for MS, with EXTRA ms more until the deadline
 *     idle MS                      sends nothing and listens
 *
 * With RELAY in the environment the bytes go over a second transport (relay.h).
 *
 * A failure prints the reason, the status and the message, and is the exit status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "redis/conn.h"
#include "redis/reply.h"
#include "relay.h"

static const char *const why_names[] = {"OK", "REFUSED", "TIMEOUT", "CUT", "GARBAGE", "LATER",
    "READONLY", "DENIED", "NOPERM", "WRONGTYPE", "FULL", "TOOBIG", "NOGROUP", "MOVED", "UNBLOCKED",
    "OTHER"};

static int
parse_int(const char *s)
{
	return (int)strtol(s, NULL, 10);
}

static void
print_failure(const struct err *err)
{
	printf("%s %d %s\n", why_names[err->why], err->status, err->text);
}

static int
print_dead(const struct err *err)
{
	print_failure(err);
	return err->status;
}

static void
print_reply(const struct reply *r)
{
	struct slice t = reply_text(r);
	struct err err;

	if (reply_is_error(r)) {
		reply_fail(&err, r, "call");
		print_failure(&err);
	} else if (reply_is_null(r))
		puts("nil");
	else if (reply_is_array(r))
		printf("array of %zu\n", reply_count(r));
	else if (reply_is_text(r))
		printf("%.*s\n", (int)t.n, t.p);
	else
		printf("%lld\n", (long long)reply_int(r));
}

static int
print_next(struct conn *conn, int64_t extra)
{
	struct err err;
	struct reply *r;

	conn_extend_deadline(conn, extra);
	r = conn_wait(conn, &err);
	if (r == NULL)
		return print_dead(&err);
	print_reply(r);
	reply_free(r);
	return 0;
}

static int
send_commands(struct conn *conn, int argc, char **argv)
{
	struct slice words[64];
	int n = 0, status = 0;

	for (int i = 0; i <= argc && status == 0; i++) {
		if (i < argc && strcmp(argv[i], "-") != 0) {
			words[n++] = slice_of(argv[i]);
			continue;
		}
		conn_put(conn, (size_t)n, words);
		status = print_next(conn, 0);
		n = 0;
	}
	return status;
}

static int
send_pings(struct conn *conn, int n)
{
	struct err err;
	char text[16];

	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%d", i);
		conn_putl(conn, "PING", text, NULL);
	}
	for (int i = 0; i < n; i++) {
		struct reply *r = conn_wait(conn, &err);

		if (r == NULL)
			return print_dead(&err);
		if (reply_int(r) != i)
			return 1;
		reply_free(r);
	}
	printf("%d in order\n", n);
	return 0;
}

static int
add_entries(struct conn *conn, const char *key, int n, size_t bytes)
{
	struct slice words[] = {
	    slice_of("XADD"), slice_of(key), slice_of("*"), slice_of("payload"), {NULL, bytes}};
	char *payload = mem_alloc(bytes + 1);
	struct reply *r = NULL;
	struct err err;
	int answered = 0;

	memset(payload, 'x', bytes);
	words[4].p = payload;
	for (int i = 0; i < n; i++)
		conn_put(conn, 5, words);
	while (answered < n && (r = conn_wait(conn, &err)) != NULL) {
		if (reply_is_error(r))
			print_reply(r);
		reply_free(r);
		answered++;
	}
	printf("sent %d answered %d %s\n", (int)conn_sent(conn) - 2, answered,
	    why_names[conn_why(conn)]);
	free(payload);
	return 0;
}

static int
stay_idle(struct conn *conn, int64_t ms)
{
	int64_t end = clock_mono() + ms;
	struct err err;

	while (clock_mono() < end)
		if (conn_poll(conn, -1, end - clock_mono(), &err) == -1)
			return print_dead(&err);
	puts("quiet");
	return 0;
}

static int
run_command(struct conn *conn, int argc, char **argv)
{
	if (strcmp(argv[0], "call") == 0)
		return send_commands(conn, argc - 1, argv + 1);
	if (strcmp(argv[0], "ping") == 0)
		return send_pings(conn, parse_int(argv[1]));
	if (strcmp(argv[0], "add") == 0)
		return add_entries(conn, argv[1], parse_int(argv[2]), strtoul(argv[3], NULL, 10));
	if (strcmp(argv[0], "idle") == 0)
		return stay_idle(conn, parse_int(argv[1]));
	if (strcmp(argv[0], "block") == 0) {
		conn_putl(conn, "XREAD", "BLOCK", argv[1], "STREAMS", "no-such-stream", "$", NULL);
		return print_next(conn, parse_int(argv[2]));
	}
	printf("%s %s %s %lld %s\n", conn_facts(conn)->server, conn_facts(conn)->version,
	    conn_facts(conn)->run_id, (long long)conn_facts(conn)->client, conn_facts(conn)->addr);
	return conn_facts(conn)->rtt_us > 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct url u;
	struct err err;
	struct conn *conn;
	int status;

	process_init();
	relay_init();
	if (argc < 4 || url_parse(&u, argv[1], &err) == -1)
		return 64;
	if ((conn = conn_open(&u, parse_int(argv[2]), &err)) == NULL) {
		print_failure(&err);
		status = err.status;
	} else
		status = run_command(conn, argc - 3, argv + 3);
	conn_close(conn);
	url_free(&u);
	return status;
}

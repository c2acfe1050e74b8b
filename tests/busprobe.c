/*
 * busprobe URL MS COMMAND: what lib/bus does, for bus.bats.
 *
 *     open                facts of the greeting
 *     call WORD... [- WORD...]...  each command and its answer
 *     ping N              N pings in one go
 *     add KEY N BYTES     N entries in one go: how many were sent, how many answered
 *     block MS EXTRA      a read that blocks for MS
 *     idle MS             asks nothing and listens
 * A failure prints the reason, the status and the words, and ends with that status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/conn.h"
#include "redis/reply.h"
#include "base/mem.h"
#include "base/clock.h"

static const char *const names[] = {"FINE", "REFUSED", "TIMEOUT", "CUT", "GARBAGE", "LATER", "READONLY", "DENIED",
    "NOPERM", "WRONGTYPE", "FULL", "TOOBIG", "NOGROUP", "MOVED", "UNBLOCKED", "OTHER"};

static int
number(const char *s)
{
	return (int)strtol(s, NULL, 10);
}

static void
say(enum conn_why why, const struct err *f)
{
	printf("%s %d %s\n", names[why], f->status, f->text);
}

static int
dead(struct conn *b, const struct err *f)
{
	say(conn_why(b), f);
	return f->status;
}

static void
show(const struct reply *r)
{
	struct slice t = reply_text(r);
	struct err f;

	if (reply_is_error(r)) {
		reply_fail(&f, r, "call");
		say(reply_why(r), &f);
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
next(struct conn *b, int64_t extra)
{
	struct err f;
	struct reply *r = conn_wait(b, extra, &f);

	if (r == NULL)
		return dead(b, &f);
	show(r);
	reply_free(r);
	return 0;
}

static int
call(struct conn *b, int argc, char **argv)
{
	struct slice words[64];
	int n = 0, status = 0;

	for (int i = 0; i <= argc && status == 0; i++) {
		if (i < argc && strcmp(argv[i], "-") != 0) {
			words[n++] = slice_of(argv[i]);
			continue;
		}
		conn_put(b, (size_t)n, words);
		status = next(b, 0);
		n = 0;
	}
	return status;
}

static int
ping(struct conn *b, int n)
{
	struct err f;
	char text[16];

	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%d", i);
		conn_putl(b, "PING", text, NULL);
	}
	for (int i = 0; i < n; i++) {
		struct reply *r = conn_wait(b, 0, &f);

		if (r == NULL)
			return dead(b, &f);
		if (reply_int(r) != i)
			return 1;
		reply_free(r);
	}
	printf("%d in order\n", n);
	return 0;
}

static int
add(struct conn *b, const char *key, int n, size_t bytes)
{
	struct slice words[] = {slice_of("XADD"), slice_of(key), slice_of("*"), slice_of("payload"), {NULL, bytes}};
	char *payload = mem_alloc(bytes + 1);
	struct reply *r = NULL;
	struct err f;

	memset(payload, 'x', bytes);
	words[4].p = payload;
	for (int i = 0; i < n; i++)
		conn_put(b, 5, words);
	while (conn_answered(b) < conn_sent(b) + conn_unsent(b) && (r = conn_wait(b, 0, &f)) != NULL) {
		if (reply_is_error(r))
			show(r);
		reply_free(r);
		if (conn_answered(b) == (uint64_t)n + 2)
			break;
	}
	printf("sent %d answered %d %s\n", (int)conn_sent(b) - 2, (int)conn_answered(b) - 2, names[conn_why(b)]);
	free(payload);
	return 0;
}

static int
idle(struct conn *b, int64_t ms)
{
	int64_t end = clock_mono() + ms;
	struct err f;

	while (clock_mono() < end)
		if (conn_pause(b, -1, end - clock_mono(), &f) == -1)
			return dead(b, &f);
	puts("quiet");
	return 0;
}

static int
run(struct conn *b, int argc, char **argv)
{
	if (strcmp(argv[0], "call") == 0)
		return call(b, argc - 1, argv + 1);
	if (strcmp(argv[0], "ping") == 0)
		return ping(b, number(argv[1]));
	if (strcmp(argv[0], "add") == 0)
		return add(b, argv[1], number(argv[2]), strtoul(argv[3], NULL, 10));
	if (strcmp(argv[0], "idle") == 0)
		return idle(b, number(argv[1]));
	if (strcmp(argv[0], "block") == 0) {
		conn_putl(b, "XREAD", "BLOCK", argv[1], "STREAMS", "no-such-stream", "$", NULL);
		return next(b, number(argv[2]));
	}
	printf("%s %s %s %lld %s\n", conn_server(b), conn_version(b), conn_run_id(b), (long long)conn_client_id(b), conn_addr(b));
	return conn_rtt_us(b) > 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct url u;
	struct err f;
	struct conn *b;
	enum conn_why why;
	int status;

	process_start();
	if (argc < 4 || url_parse(&u, argv[1], &f) == -1)
		return 64;
	if ((b = conn_open(&u, number(argv[2]), &why, &f)) == NULL) {
		say(why, &f);
		status = f.status;
	} else
		status = run(b, argc - 3, argv + 3);
	conn_close(b);
	url_free(&u);
	return status;
}

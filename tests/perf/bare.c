/*
 * bare: hiredis and nothing around it, the floor that scripts/bench measures the commands against.
 *
 *     add WHERE KEY WINDOW            XADD of each line of stdin, one half of the window sent while
 * the other is answered; IDs each WHERE KEY                  XADD of each line as it comes,
 * answered before the next; IDs one WHERE KEY PAYLOAD           connect, XADD, exit read WHERE KEY
 * GROUP COUNT      XREADGROUP and XACK until nothing is left, the next batch asked for early;
 * payloads follow WHERE KEY GROUP N        blocked XREADGROUP, XACK, until N entries came;
 * payloads, each written as it comes append FILE TEXT                open, write, fdatasync, exit
 *
 * WHERE is the path of a socket, or HOST:PORT. Entries have the fields of eventbus(7) and MAXLEN,
 * with an identity that is not made.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

enum { MAXIMUM = 10000, PAYLOAD = 9 }; /* of a window or batch; where an XADD has it */

static redisContext *c;
static const char *words[MAXIMUM + 3];
static size_t lengths[MAXIMUM + 3];

static void
dead(void)
{
	errx(1, "redis: %s", c == NULL ? "no context" : c->errstr);
}

static void
open_bus(const char *where)
{
	const char *colon = strrchr(where, ':');
	char host[64];

	if (where[0] == '/' || colon == NULL) {
		c = redisConnectUnix(where);
	} else {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
		c = redisConnect(host, (int)strtol(colon + 1, NULL, 10));
	}
	if (c == NULL || c->err != 0)
		dead();
}

static int
number(const char *s)
{
	long n = strtol(s, NULL, 10);

	if (n < 1 || n > MAXIMUM)
		errx(64, "'%s' is not a number from 1 to %d", s, (int)MAXIMUM);
	return (int)n;
}

static void
append(int argc, const char **argv)
{
	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	if (redisAppendCommandArgv(c, argc, argv, lengths) == REDIS_ERR)
		dead();
}

static void
flush(void)
{
	int done = 0;

	while (!done)
		if (redisBufferWrite(c, &done) == REDIS_ERR)
			dead();
}

static redisReply *
answer(void)
{
	void *r;

	if (redisGetReply(c, &r) == REDIS_ERR)
		dead();
	if (((redisReply *)r)->type == REDIS_REPLY_ERROR)
		errx(1, "redis: %s", ((redisReply *)r)->str);
	return r;
}

/* --- adding ------------------------------------------------------------------ */

static const char *entry[] = {"XADD", "", "MAXLEN", "~", "10000", "*", "event_type", "", "payload",
    "", "trace_id", "", "correlation_id", "6f1c2b0e-9a51-4d0c-8a53-0f3f9d1f7a11", "timestamp",
    "2025-12-04T10:30:00.000000Z", "source", "eventbus", "event_id",
    "019ae8b1-2c00-7cc3-98c4-dc0c0c07398f"};
static size_t entry_lengths[sizeof(entry) / sizeof(*entry)];

static void
open_stream(const char *where, const char *key)
{
	const char *colon = strrchr(key, ':');

	open_bus(where);
	entry[1] = key;
	entry[7] = colon == NULL ? key : colon + 1;
	for (size_t i = 0; i < sizeof(entry) / sizeof(*entry); i++)
		entry_lengths[i] = strlen(entry[i]);
}

static void
put(const char *payload, size_t length)
{
	entry[PAYLOAD] = payload;
	entry_lengths[PAYLOAD] = length;
	if (redisAppendCommandArgv(
	        c, (int)(sizeof(entry) / sizeof(*entry)), entry, entry_lengths) == REDIS_ERR)
		dead();
}

/* False at the end of stdin. */
static int
put_line(void)
{
	static char *line;
	static size_t size;
	ssize_t n = getline(&line, &size, stdin);

	if (n <= 0)
		return 0;
	put(line, (size_t)n - (line[n - 1] == '\n'));
	return 1;
}

static void
say(void)
{
	if (fflush(stdout) == EOF)
		err(74, "stdout");
}

static void
take_ids(int n)
{
	while (n-- > 0) {
		redisReply *r = answer();

		fwrite(r->str, 1, (size_t)r->len, stdout);
		putchar('\n');
		freeReplyObject(r);
	}
}

static void
add(int half)
{
	int before = 0, n;

	do {
		for (n = 0; n < half && put_line(); n++)
			;
		flush();
		take_ids(before);
		before = n;
	} while (n == half);
	take_ids(n);
}

static void
each(void)
{
	while (put_line()) {
		take_ids(1);
		say();
	}
}

static void
one(const char *payload)
{
	put(payload, strlen(payload));
	take_ids(1);
}

/* --- reading ------------------------------------------------------------------ */

static const char *key, *group;

static void
ask(const char *count)
{
	append(9,
	    (const char *[]){
	        "XREADGROUP", "GROUP", group, "bare", "COUNT", count, "STREAMS", key, ">"});
}

static void
ask_blocked(void)
{
	append(11,
	    (const char *[]){"XREADGROUP", "GROUP", group, "bare", "COUNT", "100", "BLOCK", "0",
	        "STREAMS", key, ">"});
}

/* Prints the payloads of a batch and appends the XACK; how many there are. */
static int
handle(const redisReply *r)
{
	const redisReply *entries = r->element[0]->element[1];
	int n = (int)entries->elements;

	words[0] = "XACK";
	words[1] = key;
	words[2] = group;
	for (int i = 0; i < n; i++) {
		const redisReply *e = entries->element[i], *payload = e->element[1]->element[3];

		fwrite(payload->str, 1, (size_t)payload->len, stdout);
		putchar('\n');
		words[i + 3] = e->element[0]->str;
	}
	say();
	append(n + 3, words);
	return n;
}

static void
take_ack(void)
{
	freeReplyObject(answer());
}

/* The next batch is asked for as soon as one is there, so that the server works while this one is
 * printed. */
static void
read_all(const char *count)
{
	redisReply *r;
	int held = 0;

	for (ask(count); (r = answer())->type == REDIS_REPLY_ARRAY; held = 1) {
		ask(count);
		flush();
		if (held)
			take_ack();
		handle(r);
		flush();
		freeReplyObject(r);
	}
	freeReplyObject(r);
	if (held)
		take_ack();
}

static void
follow(int left)
{
	ask_blocked();
	for (;;) {
		redisReply *r = answer();

		left -= handle(r);
		freeReplyObject(r);
		if (left <= 0)
			break;
		ask_blocked();
		flush();
		take_ack();
	}
	take_ack();
}

/* --- without Redis -------------------------------------------------------------- */

static void
append_to(const char *file, const char *line)
{
	ssize_t n = (ssize_t)strlen(line);
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1 || write(fd, line, (size_t)n) != n || fdatasync(fd) == -1)
		err(1, "%s", file);
	close(fd);
}

static void
run(const char *what, char **argv)
{
	open_stream(argv[0], argv[1]);
	key = argv[1];
	group = argv[2];
	if (strcmp(what, "add") == 0)
		add((number(argv[2]) + 1) / 2);
	else if (strcmp(what, "each") == 0)
		each();
	else if (strcmp(what, "one") == 0)
		one(argv[2]);
	else if (strcmp(what, "read") == 0 && number(argv[3]) > 0)
		read_all(argv[3]);
	else if (strcmp(what, "follow") == 0)
		follow(number(argv[3]));
	else
		errx(64, "no '%s'", what);
	redisFree(c);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int words;
	} modes[] = {{"add", 3}, {"each", 2}, {"one", 3}, {"read", 4}, {"follow", 4}, {"append", 2},
	    {"nothing", 0}};

	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(argv[1], modes[i].name) != 0 || argc != 2 + modes[i].words)
			continue;
		if (strcmp(argv[1], "append") == 0)
			append_to(argv[2], argv[3]);
		else if (strcmp(argv[1], "nothing") != 0)
			run(argv[1], argv + 2);
		say();
		return 0;
	}
	fputs("usage: bare add|each|one|read|follow|append|nothing ...\n", stderr);
	return 64;
}

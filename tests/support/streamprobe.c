/*
 * streamprobe URL COMMAND: uses the commands on streams and groups (lib/redis/stream.h,
 * group.h, scan.h, fence.h), for tests/lib/stream.bats. It prints each result, or the number of
 * the enum conn_why, the status and the message of a failure.
 *
 *     id TEXT...                  each ID and the next one, or "bad"
 *     add KEY MAXLEN [NAME VALUE]...
 *     info KEY, groups KEY, needed KEY, length KEY, trim KEY ID LIMIT
 *     scan KEY AFTER PAGE, first KEY (stops after 2), newest KEY COUNT, keys PATTERN
 *     fence RUNID CLIENT ADDR
 *     ensure KEY GROUP START, read KEY GROUP CONSUMER COUNT ID [ack]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/process.h"
#include "event/id.h"
#include "redis/fence.h"
#include "redis/group.h"
#include "redis/reply.h"
#include "redis/scan.h"
#include "redis/stream.h"

static struct err err;

static int
parse_int(const char *s)
{
	return (int)strtol(s, NULL, 10);
}

static const char *
id_text(struct stream_id id)
{
	static char out[4][ID_SIZE];
	static int i;

	id_format(id, out[i = (i + 1) % 4]);
	return out[i];
}

static int
print_failure(void)
{
	printf("%d %d %s\n", err.why, err.status, err.text);
	return 1;
}

static struct stream_id
parse_stream_id(const char *s)
{
	struct stream_id id = {0};

	id_parse(slice_of(s), &id);
	return id;
}

static void
print_ids(char **argv)
{
	struct stream_id id;

	for (; *argv != NULL; argv++)
		if (id_parse(slice_of(*argv), &id) == -1)
			puts("bad");
		else
			printf("%s %s %d\n", id_text(id), id_text(id_next(id)),
			    id_cmp(id, id_next(id)));
}

static int
add_entry(struct conn *conn, int argc, char **argv)
{
	struct slice kv[16];
	struct stream_id id;
	struct reply *r;
	int ok;

	for (int i = 2; i < argc; i++)
		kv[i - 2] = slice_of(argv[i]);
	stream_put_add(conn, argv[0], parse_int(argv[1]), kv, (size_t)argc - 2);
	r = conn_wait(conn, &err);
	ok = stream_take_add(r, &id, &err);
	reply_free(r);
	if (ok == -1)
		return print_failure();
	puts(id_text(id));
	return 0;
}

static int
print_info(struct conn *conn, const char *key)
{
	struct stream_info i;

	if (stream_info(conn, key, &i, &err) == -1)
		return print_failure();
	printf("exists=%d length=%d added=%d groups=%d generated=%s deleted=%s first=%s", i.exists,
	    (int)i.length, (int)i.added, (int)i.groups, id_text(i.last_generated),
	    id_text(i.max_deleted), id_text(i.first));
	printf(" last=%s\n", id_text(i.last));
	return 0;
}

static int
print_groups(struct conn *conn, const char *key, int needed)
{
	struct stream_info i;
	struct stream_group *g;
	size_t n;

	if (stream_info(conn, key, &i, &err) == -1 || stream_groups(conn, key, &g, &n, &err) == -1)
		return print_failure();
	if (needed)
		puts(id_text(stream_lowest_needed(g, n)));
	for (size_t k = 0; k < n && !needed; k++) {
		bool known;
		uint64_t lost = stream_lost(&i, &g[k], &known);

		printf(
		    "%s consumers=%d pending=%d delivered=%s read=%d lag=%d lowest=%s lost=%d%s\n",
		    g[k].name, (int)g[k].consumers, (int)g[k].pending, id_text(g[k].last_delivered),
		    (int)g[k].entries_read, (int)g[k].lag, id_text(g[k].lowest_pending), (int)lost,
		    known ? "" : "?");
	}
	stream_groups_free(g, n);
	return 0;
}

static int
print_entry(void *arg, const struct stream_entry *e)
{
	int *left = arg;

	printf("%.*s", (int)e->id.n, e->id.p);
	for (size_t i = 0; i < e->nkv; i++)
		printf(" %.*s", (int)e->kv[i].n, e->kv[i].p);
	putchar('\n');
	return --*left == 0 ? 7 : 0;
}

static int
print_group_entry(void *arg, const struct stream_entry *e)
{
	int many = -1;

	if (e->gone)
		printf("gone ");
	print_entry(&many, e);
	bytes_add(arg, e->id.p, e->id.n);
	bytes_addc(arg, '\n');
	return 0;
}

static int
print_keys(struct conn *conn, const char *pattern)
{
	struct key_list keys;
	int complete;

	if (scan_keys(conn, pattern, clock_mono() + 2000, &keys, &err) == -1)
		return print_failure();
	for (size_t i = 0; i < keys.n; i++)
		puts(keys.p[i]);
	complete = keys.complete;
	key_list_free(&keys);
	return complete ? 0 : 1;
}

static int
ensure_group(struct conn *conn, char **argv)
{
	struct group_made made;

	if (group_ensure(conn, argv[0], argv[1], argv[2], &made, &err) == -1)
		return print_failure();
	printf("created=%d stream_new=%d\n", made.created, made.stream_new);
	return 0;
}

static int
read_group(struct conn *conn, int argc, char **argv)
{
	const char *key = argv[0];
	struct bytes seen = {0};
	char *rest;
	struct slice one[1000];
	struct reply *r;
	size_t n = 0;
	int ok;

	stream_put_read(conn,
	    &(struct stream_read){key, argv[1], argv[2], argv[4], (size_t)parse_int(argv[3]), -1});
	r = conn_wait(conn, &err);
	ok = stream_take_read(r, key, print_group_entry, &seen, &err);
	reply_free(r);
	if (ok == -1)
		return print_failure();
	bytes_str(&seen);
	for (char *p = strtok_r(seen.p, "\n", &rest); p != NULL; p = strtok_r(NULL, "\n", &rest))
		one[n++] = slice_of(p);
	if (argc > 5 && n > 0) {
		group_put_ack(conn, key, argv[1], one, n);
		r = conn_wait(conn, &err);
		printf("acknowledged %d\n", (int)reply_int(r));
		reply_free(r);
	}
	bytes_free(&seen);
	return 0;
}

static int
run_command(struct conn *conn, int argc, char **argv)
{
	const char *c = argv[0], *key = argc > 1 ? argv[1] : "";
	uint64_t n = 0;
	struct scan scan = {.key = key};
	int many = -1, r = 0;

	if (strcmp(c, "id") == 0)
		print_ids(argv + 1);
	else if (strcmp(c, "add") == 0)
		return add_entry(conn, argc - 1, argv + 1);
	else if (strcmp(c, "info") == 0)
		return print_info(conn, key);
	else if (strcmp(c, "groups") == 0 || strcmp(c, "needed") == 0)
		return print_groups(conn, key, c[0] == 'n');
	else if (strcmp(c, "length") == 0)
		r = stream_length(conn, key, &n, &err);
	else if (strcmp(c, "trim") == 0)
		r = stream_trim_minid(
		    conn, key, parse_stream_id(argv[2]), (uint64_t)parse_int(argv[3]), &n, &err);
	else if (strcmp(c, "scan") == 0) {
		scan.from = parse_stream_id(argv[2]);
		scan.page = (size_t)parse_int(argv[3]);
		r = scan_entries(conn, &scan, print_entry, &many, &err);
	} else if (strcmp(c, "first") == 0) {
		many = 2;
		scan.page = 10;
		printf("stopped with %d\n", scan_entries(conn, &scan, print_entry, &many, &err));
	} else if (strcmp(c, "newest") == 0) {
		scan.newest_first = true;
		scan.from = (struct stream_id){UINT64_MAX, UINT64_MAX};
		scan.limit = strtoul(argv[2], NULL, 10);
		r = scan_entries(conn, &scan, print_entry, &many, &err);
	} else if (strcmp(c, "keys") == 0)
		return print_keys(conn, key);
	else if (strcmp(c, "fence") == 0)
		r = fence_conn(conn, key, parse_int(argv[2]), argv[3], &err);
	else if (strcmp(c, "ensure") == 0)
		return ensure_group(conn, argv + 1);
	else if (strcmp(c, "read") == 0)
		return read_group(conn, argc - 1, argv + 1);
	if (r == -1)
		return print_failure();
	if (strcmp(c, "length") == 0 || strcmp(c, "trim") == 0)
		printf("%d\n", (int)n);
	return 0;
}

int
main(int argc, char **argv)
{
	struct url u;
	struct conn *conn;
	int status;

	process_init();
	if (argc < 3 || url_parse(&u, argv[1], &err) == -1 ||
	    (conn = conn_open(&u, 2000, &err)) == NULL) {
		puts(err.text);
		return 64;
	}
	status = run_command(conn, argc - 2, argv + 2);
	conn_close(conn);
	url_free(&u);
	return status;
}

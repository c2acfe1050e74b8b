/*
 * replies: fuzzes the readers of a server's replies. The first byte selects the request, and
 * whether the server answers the handshake correctly first; the rest are its replies (server.h).
 * Each caller must get a result or an error, and no reply may be matched to another request.
 */
#include "drain/indoubt.h"
#include "drain/trim.h"
#include "event/id.h"
#include "fuzz.h"
#include "redis/conn.h"
#include "redis/fence.h"
#include "redis/group.h"
#include "redis/reply.h"
#include "redis/scan.h"
#include "redis/stream.h"
#include "server.h"

static struct err f;

/* Visits all elements of a reply. */
static size_t
visit_reply(const struct reply *r)
{
	size_t n = reply_text(r).n + (size_t)reply_is_null(r) + (size_t)reply_is_error(r), i;

	PROMISE(reply_is_array(r) || reply_count(r) == 0);
	for (i = 0; i < reply_count(r); i++)
		n += visit_reply(reply_at(r, i));
	PROMISE(reply_at(r, i) == NULL);
	reply_member(r, "name");
	reply_int(r);
	reply_why(r);
	return n;
}

static int
entry(void *arg, const struct stream_entry *e)
{
	struct stream_id at;

	PROMISE(id_parse(e->id, &at) == 0 && e->nkv % 2 == 0 && (e->nkv == 0 || !e->gone));
	for (size_t i = 0; i < e->nkv; i++)
		*(size_t *)arg += e->kv[i].n;
	return 0;
}

static void
add(struct conn *conn)
{
	struct slice kv[2] = {slice_of("a"), slice_of("1")};
	struct stream_id id;
	struct reply *r;

	for (int i = 0; i < 3; i++)
		stream_put_add(conn, "k", 10, kv, 2);
	for (uint64_t i = conn_sent(conn), end = i + 3;
	     i < end && (r = conn_wait(conn, &f)) != NULL; reply_free(r)) {
		PROMISE(++i <= conn_sent(conn));
		if (stream_take_add(r, &id, &f) == -1)
			PROMISE(f.why != CONN_OK);
	}
}

static void
read_group(struct conn *conn, bool ensure)
{
	struct group_made made;
	struct reply *r;
	size_t sum = 0;

	if (ensure) {
		group_ensure(conn, "k", "g", "0", &made, &f);
		return;
	}
	stream_put_read(conn, &(struct stream_read){"k", "g", "c", ">", 10, -1});
	if ((r = conn_wait(conn, &f)) != NULL)
		stream_take_read(r, "k", entry, &sum, &f);
	reply_free(r);
}

static void
resolve_two(struct conn *conn)
{
	struct event e = {.event_id = slice_of("x")};
	struct indoubt_line lines[2] = {{.e = &e}, {.e = &e, .after = {1, 1}}};
	struct indoubt_line *both[2] = {&lines[0], &lines[1]};
	uint64_t unsure = 0;

	if (indoubt_resolve(conn, "k", both, 2, &unsure, &f) == 0)
		PROMISE(unsure + lines[0].found + lines[1].found <= 2);
}

static void
resolve_known(struct conn *conn)
{
	struct stream_group *g = NULL;
	struct stream_info info;
	size_t n = 0;
	bool sure;

	if (stream_info(conn, "k", &info, &f) == -1 || stream_groups(conn, "k", &g, &n, &f) == -1)
		return;
	for (size_t i = 0; i < n; i++)
		stream_lost(&info, &g[i], &sure);
	stream_lowest_needed(g, n);
	stream_groups_free(g, n);
}

static void
ignore_words(void *arg, const char *text)
{
	(void)arg, (void)text;
}

static void
measure_dest(struct conn *conn)
{
	struct conf conf = {.prefix = (char[]){"q"}};
	struct dests ls = {.conf = &conf, .say = ignore_words};
	struct dest *dest = dests_get(&ls, slice_of("t"));

	if (trim_ensure_room(&ls, dest, conn, 100, &f) == 0) {
		PROMISE(dest->stopped || dest->room > 0 || dest->mode == DEST_GUARDED);
		trim_count_unread(&ls, dest, conn);
	}
	if (conn_why(conn) == CONN_OK) {
		dest->trim_acked = true;
		dest->maxlen_hard = 1000;
		trim_remeasure(dest);
		if (trim_ensure_room(&ls, dest, conn, 100, &f) == 0)
			PROMISE(dest->stopped || dest->room > 0);
	}
	dests_free(&ls);
}

static void
keys(struct conn *conn)
{
	struct key_list list;

	if (scan_keys(conn, "*", INT64_MAX, &list, &f) == 0)
		key_list_free(&list);
}

static void
send_request(struct conn *conn, unsigned what)
{
	struct scan scan = {.key = "k", .page = 3};
	struct reply *r;
	uint64_t count;
	size_t sum = 0;

	switch (what % 12) {
	case 0: add(conn); break;
	case 1: resolve_known(conn); break;
	case 3: scan.newest_first = true; scan.limit = 3; /* fall through */
	case 2: scan_entries(conn, &scan, entry, &sum, &f); break;
	case 4: keys(conn); break;
	case 5: fence_conn(conn, conn_facts(conn)->run_id, 3, "1.2.3.4:5", &f); break;
	case 6: read_group(conn, true); break;
	case 7: read_group(conn, false); break;
	case 8: resolve_two(conn); break;
	case 9: measure_dest(conn); break;
	case 10:
		stream_trim_minid(conn, "k", (struct stream_id){1, 0}, 10, &count, &f);
		stream_length(conn, "k", &count, &f);
		break;
	default:
		for (conn_putl(conn, "PING", NULL); (r = conn_wait(conn, &f)) != NULL;
		     conn_putl(conn, "PING", NULL)) {
			visit_reply(r);
			reply_free(r);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct conn *conn;
	struct url u;

	if (n == 0)
		return 0;
	server_start(&u, data[0] & 1, data + 1, n - 1);
	if ((conn = conn_connect(&u, 2000, &f)) == NULL)
		abort();
	if (conn_handshake(conn, &f) == 0)
		send_request(conn, data[0] >> 1);
	else
		PROMISE(!(data[0] & 1) && f.text[0] != '\0');
	conn_close(conn);
	server_join();
	return 0;
}

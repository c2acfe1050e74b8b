/*
 * What a server answers. The first byte says what it is asked, and whether it greets properly first; the rest are its answers
 * (server.h). Whoever asks gets a result or a reason, and no answer is taken for another's.
 */
#include "redis/bus.h"
#include "fuzz.h"
#include "redis/group.h"
#include "redis/reply.h"
#include "drain/retain.h"
#include "server.h"
#include "drain/settle.h"
#include "redis/stream.h"
#include "drain/watch.h"

static enum bus_why why;
static struct fail f;

/* Down to the last leaf. */
static size_t
look(const struct reply *r)
{
	size_t n = reply_text(r).n + (size_t)reply_is_null(r) + (size_t)reply_is_error(r), i;

	PROMISE(reply_is_array(r) || reply_count(r) == 0);
	for (i = 0; i < reply_count(r); i++)
		n += look(reply_at(r, i));
	PROMISE(reply_at(r, i) == NULL);
	reply_member(r, "name");
	reply_int(r);
	reply_why(r);
	return n;
}

static int
entry(void *arg, struct slice id, const struct slice *kv, size_t nkv)
{
	struct stream_id at;

	PROMISE(stream_id_parse(id, &at) == 0 && nkv % 2 == 0);
	for (size_t i = 0; i < nkv; i++)
		*(size_t *)arg += kv[i].n;
	return 0;
}

static int
group_entry(void *arg, size_t key, const struct group_entry *e)
{
	PROMISE(key < 2);
	return e->gone ? 0 : entry(arg, e->id, e->kv, e->nkv);
}

static void
add(struct bus *b)
{
	struct slice kv[2] = { slice_of("a"), slice_of("1") };
	struct stream_id id;
	struct reply *r;

	for (int i = 0; i < 3; i++)
		stream_put_add(b, "k", 10, kv, 2);
	for (uint64_t i = bus_answered(b), end = i + 3; i < end && (r = bus_wait(b, 0, &f)) != NULL; reply_free(r)) {
		PROMISE(bus_answered(b) == ++i && i <= bus_sent(b));
		if (stream_take_add(r, &id, &why, &f) == -1)
			PROMISE(why != BUS_FINE);
	}
}

static void
read_group(struct bus *b, bool ensure)
{
	const char *keys[] = { "k", "l" }, *ids[] = { ">", ">" };
	struct reply *r;
	bool created, fresh;
	size_t sum = 0;

	if (ensure) {
		group_ensure(b, "k", "g", "0", &created, &fresh, &why, &f);
		return;
	}
	group_put_read(b, "g", "c", 10, -1, keys, ids, 2);
	if ((r = bus_wait(b, 0, &f)) != NULL)
		group_take_read(r, keys, 2, group_entry, &sum, &why, &f);
	reply_free(r);
}

static bool
none_own(void *arg, struct stream_id entry)
{
	(void)arg;
	(void)entry;
	return false;
}

static void
settle_two(struct bus *b)
{
	struct event e = { .event_id = slice_of("x") };
	struct settle_line lines[2] = { { .e = &e }, { .e = &e, .after = { 1, 1 } } };
	uint64_t unsure = 0;

	if (settle(b, "k", none_own, NULL, lines, 2, &unsure, &f) == 0)
		PROMISE(unsure + lines[0].found + lines[1].found <= 2);
}

static void
known(struct bus *b)
{
	struct stream_group *g = NULL;
	struct stream_info info;
	size_t n = 0;
	bool sure;

	if (stream_info(b, "k", &info, &why, &f) == -1 || stream_groups(b, "k", &g, &n, &why, &f) == -1)
		return;
	for (size_t i = 0; i < n; i++)
		stream_lost(&info, &g[i], &sure);
	stream_needed(g, n);
	stream_groups_free(g, n);
}

static void
lane(struct bus *b)
{
	struct lanes ls = {0};
	struct lane *l = lanes_get(&ls, "q", slice_of("t"));
	struct buf words = {0};

	if (retain_ready(l, b, 100, false, &words, &f) == 0) {
		PROMISE(l->stopped || l->room > 0 || l->mode == LANE_GUARDED);
		watch_look(&l->watch, b, l->key, 100, &words);
	}
	if (bus_why(b) == BUS_FINE) {
		l->acked = true;
		l->hard = 1000;
		retain_again(l);
		if (retain_ready(l, b, 100, false, &words, &f) == 0)
			PROMISE(l->stopped || l->room > 0);
	}
	buf_free(&words);
	lanes_free(&ls);
}

static void
keys(struct bus *b)
{
	char **list = NULL;
	size_t n = 0;
	bool complete;

	if (stream_keys(b, "*", INT64_MAX, &list, &n, &complete, &f) == -1)
		return;
	while (n > 0)
		free(list[--n]);
	free(list);
}

static void
ask(struct bus *b, unsigned what)
{
	struct reply *r;
	uint64_t count;
	size_t sum = 0;

	switch (what % 12) {
	case 0: add(b); break;
	case 1: known(b); break;
	case 2: stream_scan(b, "k", (struct stream_id){ 0, 0 }, 3, entry, &sum, &why, &f); break;
	case 3: stream_newest(b, "k", "+", 3, entry, &sum, &why, &f); break;
	case 4: keys(b); break;
	case 5: stream_fence(b, bus_run_id(b), 3, "1.2.3.4:5", &f); break;
	case 6: read_group(b, true); break;
	case 7: read_group(b, false); break;
	case 8: settle_two(b); break;
	case 9: lane(b); break;
	case 10: stream_trim(b, "k", (struct stream_id){ 1, 0 }, 10, &count, &why, &f); stream_length(b, "k", &count, &why, &f); break;
	default:
		for (bus_putl(b, "PING", NULL); (r = bus_wait(b, 0, &f)) != NULL; bus_putl(b, "PING", NULL)) {
			look(r);
			reply_free(r);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bus *b;
	struct url u;

	if (n == 0)
		return 0;
	server_start(&u, data[0] & 1, data + 1, n - 1);
	if ((b = bus_dial(&u, 2000, &why, &f)) == NULL)
		abort();
	if (bus_greet(b, &f) == 0)
		ask(b, data[0] >> 1);
	else
		PROMISE(!(data[0] & 1) && f.text[0] != '\0');
	PROMISE(bus_answered(b) <= bus_sent(b));
	bus_close(b);
	server_join();
	return 0;
}

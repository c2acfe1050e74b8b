#include <errno.h>
#include <string.h>

#include "report/acks.h"
#include "redis/group.h"
#include "base/json.h"
#include "base/lines.h"
#include "redis/reply.h"
#include "base/status.h"

#define LINE_MAX_BYTES 256

static void
put(const struct acks *a, struct stream_id id)
{
	char text[STREAM_ID_SIZE];

	stream_id_format(id, text);
	if (a->look)
		pending_put_list(a->b, a->key, a->group, 0, text, 1, NULL);
	else
		group_put_ack(a->b, a->key, a->group, &(struct slice){text, strlen(text)}, 1);
}

/* The list begins at the ID, and goes on behind it when that is not in it. */
static void
take(struct acks *a, struct stream_id id, const struct reply *r)
{
	struct pending p;
	bool found = a->look && pending_at(r, 0, &p) == 0 && stream_id_cmp(p.id, id) == 0;
	bool was = a->look ? found : reply_int(r) == 1;

	a->pending += was;
	a->others += !was;
	if (a->fn != NULL)
		a->fn(a->arg, id, was, found ? &p : NULL);
}

int
acks_flush(struct acks *a, struct fail *f)
{
	size_t n = a->n;
	int ok = 0;

	a->n = 0;
	for (size_t i = 0; i < n; i++)
		put(a, a->ids[i]);
	for (size_t i = 0; i < n; i++) {
		struct reply *r = bus_wait(a->b, 0, f);

		if (r == NULL) {
			a->doubt += a->look ? 0 : n - i;
			return -1;
		}
		if (reply_is_error(r))
			ok = reply_fail(f, r, a->look ? "XPENDING" : "XACK");
		else
			take(a, a->ids[i], r);
		reply_free(r);
	}
	return ok;
}

int
acks_add(struct acks *a, struct stream_id id, struct fail *f)
{
	a->ids[a->n++] = id;
	return a->n == ACKS_BATCH ? acks_flush(a, f) : 0;
}

int
acks_typed(struct acks *a, char *const *ids, size_t n, struct fail *f)
{
	struct stream_id id;

	for (size_t i = 0; i < n; i++)
		if (stream_id_parse(slice_of(ids[i]), &id) == -1)
			return fail_set(f, STATUS_USAGE, "'%s' is no ID", ids[i]);
	for (size_t i = 0; i < n; i++)
		if (stream_id_parse(slice_of(ids[i]), &id) == 0 && acks_add(a, id, f) == -1)
			return -1;
	return acks_flush(a, f);
}

static int
take_line(struct acks *a, const struct lines *in, struct slice line, acks_bad_fn *bad, struct fail *f)
{
	struct stream_id id;
	struct fail no;

	line = json_trim(line.p, line.n);
	if (line.n == 0)
		return 0;
	if (stream_id_parse(line, &id) == 0)
		return acks_add(a, id, f);
	fail_set(&no, STATUS_DATA, "line %llu: '%.*s' is no ID", lines_number(in), (int)line.n, line.p);
	bad(a->arg, no.text);
	return 0;
}

int
acks_read(struct acks *a, int fd, acks_bad_fn *bad, struct fail *f)
{
	struct lines *in = lines_new(fd, '\n', LINE_MAX_BYTES);
	struct slice line;
	enum lines_got got;
	int ok = 0;

	while (ok == 0 && !lines_ended(in)) {
		while (ok == 0 && (got = lines_next(in, &line)) != LINES_NONE)
			ok = take_line(a, in, got == LINES_LONG ? slice_of("(a long line)") : line, bad, f);
		if (ok == 0)
			ok = acks_flush(a, f);
		if (ok == 0 && lines_fill(in) == -1 && errno != EINTR)
			ok = fail_errno(f, STATUS_SOME, "standard input");
	}
	lines_free(in);
	return ok;
}

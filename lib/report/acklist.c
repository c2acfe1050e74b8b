#include "report/acklist.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/lines.h"
#include "base/status.h"
#include "event/id.h"
#include "redis/group.h"
#include "redis/reply.h"

#define LINE_MAX_BYTES 256

static void
send_id(const struct acklist *a, struct stream_id id)
{
	char text[ID_SIZE];

	id_format(id, text);
	if (a->lookup)
		pending_put_list(
		    a->conn, &(struct pending_query){a->key, a->group, NULL, 0, 1}, text);
	else
		group_put_ack(a->conn, a->key, a->group, &(struct slice){text, strlen(text)}, 1);
}

/* XPENDING lists from the ID on: when the ID is not pending, the first entry is a later one. */
static void
take_ack_reply(struct acklist *a, struct stream_id id, const struct reply *r)
{
	struct pending p;
	bool found = a->lookup && pending_parse(r, 0, &p) == 0 && id_cmp(p.id, id) == 0;
	bool was_pending = a->lookup ? found : reply_int(r) == 1;

	a->pending += was_pending;
	a->not_pending += !was_pending;
	if (a->fn != NULL)
		a->fn(a->arg, id, was_pending, found ? &p : NULL);
}

/* Sends what was added, and reads the replies. */
static int
send_added_ids(struct acklist *a, struct err *err)
{
	size_t n = a->n;
	int ok = 0;

	a->n = 0;
	for (size_t i = 0; i < n; i++)
		send_id(a, a->ids[i]);
	for (size_t i = 0; i < n; i++) {
		struct reply *r = conn_wait(a->conn, 0, err);

		if (r == NULL) {
			a->in_doubt += a->lookup ? 0 : n - i;
			return -1;
		}
		if (reply_is_error(r))
			ok = reply_fail(err, r, a->lookup ? "XPENDING" : "XACK");
		else
			take_ack_reply(a, a->ids[i], r);
		reply_free(r);
	}
	return ok;
}

/* Sends when ACKLIST_BATCH IDs have been added. */
static int
add_or_send_id(struct acklist *a, struct stream_id id, struct err *err)
{
	a->ids[a->n++] = id;
	return a->n == ACKLIST_BATCH ? send_added_ids(a, err) : 0;
}

int
acklist_add_args(struct acklist *a, char *const *ids, size_t n, struct err *err)
{
	struct stream_id id;

	for (size_t i = 0; i < n; i++)
		if (id_parse(slice_of(ids[i]), &id) == -1)
			return err_set(err, STATUS_USAGE, "'%s' is not an entry ID", ids[i]);
	for (size_t i = 0; i < n; i++)
		if (id_parse(slice_of(ids[i]), &id) == 0 && add_or_send_id(a, id, err) == -1)
			return -1;
	return send_added_ids(a, err);
}

static int
add_id_line(struct acklist *a, const struct lines *in, struct slice line, acklist_bad_fn *bad,
    struct err *err)
{
	struct stream_id id;
	struct err bad_id;

	line = json_trim_space(line.p, line.n);
	if (line.n == 0)
		return 0;
	if (id_parse(line, &id) == 0)
		return add_or_send_id(a, id, err);
	err_set(&bad_id, STATUS_DATA, "line %llu: '%.*s' is not an entry ID", lines_number(in),
	    (int)line.n, line.p);
	bad(a->arg, bad_id.text);
	return 0;
}

int
acklist_add_from_lines(struct acklist *a, int fd, acklist_bad_fn *bad, struct err *err)
{
	struct lines *in = lines_new(fd, '\n', LINE_MAX_BYTES);
	struct slice line;
	enum lines_got got;
	int ok = 0;

	while (ok == 0 && !lines_ended(in)) {
		while (ok == 0 && (got = lines_next(in, &line)) != LINES_NONE)
			ok = add_id_line(a, in,
			    got == LINES_LONG ? slice_of("(line too long)") : line, bad, err);
		if (ok == 0)
			ok = send_added_ids(a, err);
		if (ok == 0 && lines_fill(in) == -1 && errno != EINTR)
			ok = err_sys(err, STATUS_SOME, "read standard input");
	}
	lines_free(in);
	return ok;
}

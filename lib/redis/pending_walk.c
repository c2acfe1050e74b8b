/* The part of pending.h that goes through all. */
#include "redis/pending.h"
#include "redis/reply.h"
#include "base/status.h"

#define PAGE 500

static int
fail_shape(enum conn_why *why, struct err *err)
{
	*why = CONN_GARBAGE;
	return err_set(err, STATUS_UNREACHABLE, "XPENDING: the answer has not the shape that Redis gives it");
}

/* *last: of the page before, and then of this one. An answer that does not get on would go on for ever. */
static int
take_page(const struct reply *r, pending_fn *fn, void *arg, struct stream_id *last, enum conn_why *why, struct err *err)
{
	struct pending p;
	int stop = 0;

	*why = reply_why(r);
	if (reply_is_error(r))
		return reply_fail(err, r, "XPENDING");
	if (!reply_is_array(r))
		return fail_shape(why, err);
	for (size_t i = 0; i < reply_count(r) && stop == 0; i++) {
		if (pending_at(r, i, &p) == -1 || id_cmp(p.id, *last) <= 0)
			return fail_shape(why, err);
		*last = p.id;
		stop = fn(arg, &p);
	}
	return stop;
}

int
pending_scan(struct conn *conn, const struct pending_ask *ask, pending_fn *fn, void *arg, enum conn_why *why, struct err *err)
{
	char from[ID_SIZE + 1] = "-";
	uint64_t left = ask->limit;
	struct stream_id last = {0};
	int stop = 0;

	for (size_t want = PAGE, got = PAGE; stop == 0 && got == want && left > 0; left -= got) {
		struct reply *r;

		want = left < PAGE ? (size_t)left : PAGE;
		pending_put_list(conn, ask->key, ask->group, ask->idle, from, want, ask->consumer);
		if ((r = conn_wait(conn, 0, err)) == NULL) {
			*why = conn_why(conn);
			return -1;
		}
		got = reply_count(r);
		stop = got > want ? fail_shape(why, err) : take_page(r, fn, arg, &last, why, err);
		reply_free(r);
		if (got > 0) {
			from[0] = '(';
			id_format(last, from + 1);
		}
	}
	return stop;
}

#include "drain/dest.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/id.h"
#include "event/names.h"
#include "redis/stream.h"

static int
compare_type(struct slice type, const char *have)
{
	size_t n = strlen(have);
	int r = memcmp(type.p, have, type.n < n ? type.n : n);

	return r ? r : type.n < n ? -1 : type.n > n;
}

static size_t
find_dest_index(const struct dests *dests, struct slice type, bool *found)
{
	size_t lo = 0, hi = dests->n, mid;
	int r;

	for (*found = false; lo < hi;) {
		mid = (lo + hi) / 2;
		if ((r = compare_type(type, dests->dest[mid]->type)) == 0) {
			*found = true;
			return mid;
		}
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

struct dest *
dests_get(struct dests *dests, struct slice type)
{
	bool found;
	size_t at = find_dest_index(dests, type, &found);
	struct dest *dest;

	if (found)
		return dests->dest[at];
	dests->dest = mem_realloc(dests->dest, (dests->n + 1) * sizeof(*dests->dest));
	memmove(dests->dest + at + 1, dests->dest + at, (dests->n - at) * sizeof(*dests->dest));
	dests->n++;
	dest = dests->dest[at] = mem_alloc(sizeof(*dest));
	dest->type = mem_strndup(type.p, type.n);
	dest->key = names_stream(dests->conf->prefix, dest->type);
	dest->trim_acked = conf_trim_acked(dests->conf, dest->type);
	dest->maxlen_hard = dest->trim_acked ? conf_maxlen_hard(dests->conf, dest->type) : 0;
	return dest;
}

struct dest *
dests_find(const struct dests *dests, const char *type)
{
	bool found;
	size_t at = find_dest_index(dests, slice_of(type), &found);

	return found ? dests->dest[at] : NULL;
}

void
dests_mark_stale(struct dests *dests)
{
	size_t i;

	for (i = 0; i < dests->n; i++)
		dests->dest[i]->stale = true;
}

void
dests_free(struct dests *dests)
{
	while (dests->n) {
		struct dest *dest = dests->dest[--dests->n];

		free(dest->type);
		free(dest->key);
		free(dest->reason);
		bytes_free(&dest->add.text);
		free(dest);
	}
	free(dests->dest);
	dests->dest = NULL;
}

uint64_t
dest_put_add(struct dest *dest, struct conn *conn, int64_t maxlen, const struct event *e)
{
	_Static_assert(EVENT_FIELDS <= RESP_GAPS, "an event has more fields than a form has gaps");
	uint64_t number;

	if (dest->add.gaps == 0 || dest->add_maxlen != maxlen)
		stream_add_template(&dest->add, dest->key, maxlen, event_field_names, EVENT_FIELDS);
	dest->add_maxlen = maxlen;
	number = conn_put_template(conn, &dest->add, e->field);
	conn_limit_reply(conn, CONN_SHORT_REPLY);
	return number;
}

int
dest_take_add(struct dest *dest, const struct reply *reply, struct stream_id *id, struct err *err)
{
	char text[ID_SIZE];

	if (stream_take_add(reply, id, err) == -1)
		return -1;
	if (id_cmp(*id, dest->after) > 0) {
		dest->after = *id;
		dest->watch.added++;
		return 0;
	}
	id_format(*id, text);
	dest->after = (struct stream_id){0, 0};
	conn_fail(err, CONN_GARBAGE, "'%s': XADD: the ID %s does not follow the last one",
	    dest->key, text);
	return 1;
}

int
dest_refuse(struct dest *dest, const struct err *err)
{
	enum conn_why why = (enum conn_why)err->why;
	bool all = conn_is_server_wide(why);

	if (why == CONN_REFUSED || why == CONN_TIMEOUT || why == CONN_CUT || why == CONN_GARBAGE)
		return -1;
	dest_stop(dest, why, all ? "" : err->text);
	return all ? -1 : 0;
}

void
dest_stop(struct dest *dest, enum conn_why why, const char *reason)
{
	if (dest->stopped)
		return;
	dest->stopped = true;
	dest->why = why;
	dest->reason = mem_strdup(reason);
}

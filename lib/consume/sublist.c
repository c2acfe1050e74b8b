#include "consume/sublist.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "event/names.h"
#include "redis/scan.h"

static void
add(struct sublist *t, const char *type, const char *key)
{
	char *group = NULL;

	for (size_t i = 0; i < t->n; i++)
		if (strcmp(sub_type(t->subs[i]), type) == 0)
			return;
	if (t->plan->consumer != NULL)
		group = t->group != NULL ? mem_strdup(t->group)
		                         : names_group(t->prefix, t->service, type);
	t->subs = mem_realloc(t->subs, (t->n + 1) * sizeof(*t->subs));
	t->subs[t->n++] = sub_new(t->plan, type, key, group, t->note, t->arg);
	free(group);
}

static char *
key_of(const struct sublist *t, const char *type)
{
	return t->dead_letters ? names_dlq(t->prefix, type) : names_stream(t->prefix, type);
}

void
sublist_add(struct sublist *t, const char *type)
{
	char *key = key_of(t, type);

	add(t, type, key);
	free(key);
}

static int
find_keys(const struct sublist *t, const char *pattern, char ***keys, size_t *n, bool *complete,
    struct err *err)
{
	char *match = key_of(t, pattern);
	enum conn_why why;
	struct conn *conn = conn_open(t->plan->url, t->plan->timeout_ms, &why, err);
	int ok = conn == NULL
	    ? -1
	    : scan_keys(conn, match, clock_mono() + t->plan->timeout_ms, keys, n, complete, err);

	conn_close(conn);
	free(match);
	return ok;
}

int
sublist_add_pattern(
    struct sublist *t, const char *pattern, size_t *found, bool *complete, struct err *err)
{
	char **keys;

	size_t n;

	*found = 0;
	if (find_keys(t, pattern, &keys, &n, complete, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const char *type = (t->dead_letters ? names_dlq_type : names_stream_type)(
		    t->prefix, keys[i], strlen(keys[i]));

		if (type != NULL) {
			add(t, type, keys[i]);
			++*found;
		}
		free(keys[i]);
	}
	free(keys);
	return 0;
}

void
sublist_free(struct sublist *t)
{
	while (t->n > 0)
		sub_free(t->subs[--t->n]);
	free(t->subs);
	t->subs = NULL;
}

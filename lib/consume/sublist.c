#include "consume/sublist.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "event/names.h"
#include "redis/pool.h"
#include "redis/scan.h"

static void
add_subscription(struct sublist *list, const char *type, const char *key)
{
	char *group = NULL;

	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->subs[i]->type, type) == 0)
			return;
	if (list->plan->consumer != NULL)
		group = list->group != NULL ? mem_strdup(list->group)
		                            : names_group(list->prefix, list->service, type);
	list->subs = mem_realloc(list->subs, (list->n + 1) * sizeof(*list->subs));
	list->subs[list->n++] = sub_new(list->plan, type, key, group);
	free(group);
}

void
sublist_add(struct sublist *list, const char *type)
{
	char *key = names_stream(list->prefix, type);

	add_subscription(list, type, key);
	free(key);
}

int
sublist_add_pattern(
    struct sublist *list, const char *pattern, size_t *found, bool *complete, struct err *err)
{
	int64_t timeout_ms = list->plan->timeout_ms;
	struct pool pool = {.url = list->plan->url, .timeout_ms = timeout_ms};
	struct conn *conn = pool_get(&pool, NULL, err);
	char *match = names_stream(list->prefix, pattern);
	struct key_list keys;
	int ok = conn == NULL ? -1 : scan_keys(conn, match, clock_mono() + timeout_ms, &keys, err);

	pool_close(&pool);
	free(match);
	*found = 0;
	if (ok == -1)
		return -1;
	for (size_t i = 0; i < keys.n; i++) {
		const char *type = names_stream_type(list->prefix, keys.p[i], strlen(keys.p[i]));

		if (type != NULL) {
			add_subscription(list, type, keys.p[i]);
			++*found;
		}
	}
	*complete = keys.complete;
	key_list_free(&keys);
	return 0;
}

void
sublist_free(struct sublist *list)
{
	while (list->n > 0)
		sub_free(list->subs[--list->n]);
	free(list->subs);
	list->subs = NULL;
}

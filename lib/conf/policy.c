#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event/names.h"
#include "conf/policy.h"
#include "base/status.h"
#include "base/mem.h"

int
policy_entries(const char *from, const char *s, int64_t *n, struct err *err)
{
	uint64_t v;

	if (num_u64(s, &v) == -1 || v > INT64_MAX)
		return err_set(err, STATUS_USAGE, "%s '%s': a number of entries expected, 0 for no limit", from, s);
	*n = (int64_t)v;
	return 0;
}

static struct policy *
policy_of(struct policy **list, const char *type)
{
	struct policy *p = *list;

	while (p != NULL && strcmp(p->type, type) != 0)
		p = p->next;
	if (p != NULL)
		return p;
	p = mem_alloc(sizeof *p);
	*p = (struct policy){.type = mem_strdup(type), .maxlen = -1, .hard = -1, .next = *list};
	return *list = p;
}

static int
set_trim(struct policy *p, const char *value, struct err *err)
{
	p->acked = strcmp(value, "acked") == 0;
	if (p->acked || strcmp(value, "length") == 0)
		return 0;
	return err_set(err, STATUS_CONFIG, "trim '%s': acked or length expected", value);
}

int
policy_set(struct policy **list, const char *type, const char *name, const char *value, unsigned line, struct err *err)
{
	struct policy *p;

	if (!names_legal(type, strlen(type)))
		return err_set(err, STATUS_CONFIG, "[%s]: an event type expected in the brackets", type);
	p = policy_of(list, type);
	if (strcmp(name, "maxlen") == 0)
		return policy_entries(name, value, &p->maxlen, err);
	if (strcmp(name, "trim") == 0)
		return set_trim(p, value, err);
	if (strcmp(name, "maxlen-hard") != 0)
		return err_set(err, STATUS_CONFIG, "'%s' is not known in a [TYPE] section: maxlen trim maxlen-hard are", name);
	p->hard_line = line;
	return policy_entries(name, value, &p->hard, err);
}

static int
check(const struct policy *p, const char *file, int64_t maxlen, struct err *err)
{
	if (p->hard == -1)
		return 0;
	if (!p->acked)
		return err_set(err, STATUS_CONFIG, "%s:%u: [%s] maxlen-hard means something only with trim = acked", file,
		    p->hard_line, p->type);
	if (p->hard == 0 || (maxlen > 0 && maxlen <= p->hard))
		return 0;
	if (maxlen == 0)
		return err_set(err, STATUS_CONFIG, "%s:%u: [%s] maxlen-hard %" PRId64 " is below maxlen, which is 0, no limit",
		    file, p->hard_line, p->type, p->hard);
	return err_set(err, STATUS_CONFIG, "%s:%u: [%s] maxlen-hard %" PRId64 " is below maxlen, which is %" PRId64, file,
	    p->hard_line, p->type, p->hard, maxlen);
}

int
policy_check(const struct policy *list, const char *file, int64_t maxlen, struct err *err)
{
	for (; list != NULL; list = list->next)
		if (check(list, file, list->maxlen >= 0 ? list->maxlen : maxlen, err) == -1)
			return -1;
	return 0;
}

const struct policy *
policy_find(const struct policy *list, const char *type)
{
	while (list != NULL && strcmp(list->type, type) != 0)
		list = list->next;
	return list;
}

void
policy_free(struct policy *list)
{
	struct policy *next;

	for (; list != NULL; list = next) {
		next = list->next;
		free(list->type);
		free(list);
	}
}

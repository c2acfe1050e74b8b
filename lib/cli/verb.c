#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/status.h"
#include "cli/verb.h"

/* Those that take any of the bits, or all when it is 0: "a, b, c", the last one behind `last`. */
static void
list(struct buf *out, const struct verbs *vs, unsigned bit, const char *last)
{
	size_t left = 0;
	bool first = true;

	for (size_t i = 0; i < vs->n; i++)
		left += bit == 0 || (vs->at[i].takes & bit) != 0;
	for (size_t i = 0; i < vs->n; i++) {
		if (bit != 0 && (vs->at[i].takes & bit) == 0)
			continue;
		buf_adds(out, first ? "" : left == 1 ? last : ", ");
		buf_adds(out, vs->at[i].name);
		first = false;
		left--;
	}
}

const struct verb *
verb_find(const struct verbs *vs, const char *name, struct fail *f)
{
	struct buf all = {0};

	for (size_t i = 0; name != NULL && i < vs->n; i++)
		if (strcmp(vs->at[i].name, name) == 0)
			return &vs->at[i];
	list(&all, vs, 0, ", ");
	if (name == NULL)
		fail_set(f, STATUS_USAGE, "which command? One of %s", buf_str(&all));
	else
		fail_set(f, STATUS_USAGE, "'%s' is no command; one of %s is", name, buf_str(&all));
	buf_free(&all);
	return NULL;
}

int
verb_check(const struct verbs *vs, const struct verb *v, unsigned given, size_t n, struct fail *f)
{
	struct buf with = {0};

	for (size_t i = 0; i < vs->options; i++) {
		const struct verb_option *o = &vs->option[i];

		if ((given & o->bit) == 0 || (v->takes & o->bit) != 0)
			continue;
		list(&with, vs, o->bit, " and ");
		fail_set(f, STATUS_USAGE, "%s: %s with %s", v->name, o->goes, buf_str(&with));
		buf_free(&with);
		return -1;
	}
	if (n < v->least || n > v->most)
		return fail_set(f, STATUS_USAGE, "%s: %s expected", v->name, v->wants);
	return 0;
}

size_t
verb_firsts(const struct verb *v, size_t n)
{
	if (v->others == 0 || n == 0)
		return n;
	return n > v->others ? n - v->others : 1;
}

#include "cli/subcommand.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/status.h"

/* Those that take any of the bits, or all when it is 0: "a, b, c", the last one behind `last`. */
static void
list(struct bytes *out, const struct subcommands *vs, unsigned bit, const char *last)
{
	size_t left = 0;
	bool first = true;

	for (size_t i = 0; i < vs->n; i++)
		left += bit == 0 || (vs->at[i].takes & bit) != 0;
	for (size_t i = 0; i < vs->n; i++) {
		if (bit != 0 && (vs->at[i].takes & bit) == 0)
			continue;
		bytes_adds(out, first ? "" : left == 1 ? last : ", ");
		bytes_adds(out, vs->at[i].name);
		first = false;
		left--;
	}
}

const struct subcommand *
subcommand_find(const struct subcommands *vs, const char *name, struct err *err)
{
	struct bytes all = {0};

	for (size_t i = 0; name != NULL && i < vs->n; i++)
		if (strcmp(vs->at[i].name, name) == 0)
			return &vs->at[i];
	list(&all, vs, 0, ", ");
	if (name == NULL)
		err_set(err, STATUS_USAGE, "which command? One of %s", bytes_str(&all));
	else
		err_set(
		    err, STATUS_USAGE, "'%s' is no command; one of %s is", name, bytes_str(&all));
	bytes_free(&all);
	return NULL;
}

int
subcommand_check(const struct subcommands *vs, const struct subcommand *v, unsigned given, size_t n,
    struct err *err)
{
	struct bytes with = {0};

	for (size_t i = 0; i < vs->options; i++) {
		const struct subcommand_option *o = &vs->option[i];

		if ((given & o->bit) == 0 || (v->takes & o->bit) != 0)
			continue;
		list(&with, vs, o->bit, " and ");
		err_set(err, STATUS_USAGE, "%s: %s with %s", v->name, o->goes, bytes_str(&with));
		bytes_free(&with);
		return -1;
	}
	if (n < v->least || n > v->most)
		return err_set(err, STATUS_USAGE, "%s: %s expected", v->name, v->wants);
	return 0;
}

size_t
subcommand_leading_args(const struct subcommand *v, size_t n)
{
	if (v->others == 0 || n == 0)
		return n;
	return n > v->others ? n - v->others : 1;
}

#include "cli/subcommand.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/status.h"

static bool
takes_option(const struct subcommand *c, unsigned bits)
{
	return bits == 0 || (c->options & bits) != 0;
}

/* Appends the names of the subcommands that take any of the bits, or all names when bits is 0: "a,
 * b and c", with `last` before the last one. */
static void
list_names(struct bytes *out, const struct subcommands *all, unsigned bits, const char *last)
{
	size_t left = 0;
	bool first = true;

	for (size_t i = 0; i < all->n; i++)
		left += takes_option(&all->commands[i], bits);
	for (size_t i = 0; i < all->n; i++) {
		if (!takes_option(&all->commands[i], bits))
			continue;
		bytes_adds(out, first ? "" : left == 1 ? last : ", ");
		bytes_adds(out, all->commands[i].name);
		first = false;
		left--;
	}
}

const struct subcommand *
subcommand_find(const struct subcommands *all, const char *name, struct err *err)
{
	struct bytes names = {0};

	for (size_t i = 0; name != NULL && i < all->n; i++)
		if (strcmp(all->commands[i].name, name) == 0)
			return &all->commands[i];
	list_names(&names, all, 0, " or ");
	if (name == NULL)
		err_set(err, STATUS_USAGE, "no command given; expected %s", bytes_str(&names));
	else
		err_set(err, STATUS_USAGE, "'%s' is not a command; expected %s", name,
		    bytes_str(&names));
	bytes_free(&names);
	return NULL;
}

int
subcommand_check(const struct subcommands *all, const struct subcommand *c, unsigned given,
    size_t n, struct err *err)
{
	struct bytes names = {0};

	for (size_t i = 0; i < all->noptions; i++) {
		const struct subcommand_option *o = &all->options[i];

		if ((given & o->bit) == 0 || takes_option(c, o->bit))
			continue;
		list_names(&names, all, o->bit, " and ");
		err_set(err, STATUS_USAGE, "%s does not take %s; valid with %s", c->name, o->name,
		    bytes_str(&names));
		bytes_free(&names);
		return -1;
	}
	if (n < c->min || n > c->max)
		return err_set(err, STATUS_USAGE, "%s: %s expected", c->name, c->expects);
	return 0;
}

size_t
subcommand_leading_args(const struct subcommand *c, size_t n)
{
	if (c->trailing == 0 || n == 0)
		return n;
	return n > c->trailing ? n - c->trailing : 1;
}

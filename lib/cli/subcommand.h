/*
 * subcommand: the subcommands of a command, with their number of arguments and their options.
 *
 * One table describes them all. The error texts that list subcommands are made from it.
 */
#ifndef CLI_SUBCOMMAND_H
#define CLI_SUBCOMMAND_H

#include <stddef.h>

#include "base/err.h"

struct subcommand {
	const char *name;
	void (*run)(char **args, size_t n); /* for the caller; not called here */
	size_t min, max;                    /* number of arguments */
	size_t trailing;     /* so many at the end are of another kind than the first ones */
	unsigned options;    /* bits of struct subcommand_option */
	const char *expects; /* its arguments, in words */
};

/* An option that only some subcommands take, or several options that the same ones take. */
struct subcommand_option {
	unsigned bit;
	const char *name; /* "--idle", "--yes and --dry-run" */
};

struct subcommands {
	const struct subcommand *commands;
	size_t n;
	const struct subcommand_option *options;
	size_t noptions;
};

/* Returns the subcommand of that name, or NULL with status 64. name may be NULL: not given. */
const struct subcommand *subcommand_find(
    const struct subcommands *all, const char *name, struct err *err);
/* Checks the options (bits in `given`) and the number of arguments. Returns 0, or -1 with
 * status 64.
 */
int subcommand_check(const struct subcommands *all, const struct subcommand *c, unsigned given,
    size_t n, struct err *err);
/* Returns how many of n arguments are of the first kind: at least one, unless n is 0. */
size_t subcommand_leading_args(const struct subcommand *c, size_t n);

#endif

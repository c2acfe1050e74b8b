/*
 * subcommand: a command that has commands: which there are, how many arguments each wants, which
 * options go with which.
 *
 * One table says all of it; the texts that name other verbs are made from it.
 */
#ifndef CLI_SUBCOMMAND_H
#define CLI_SUBCOMMAND_H

#include <stddef.h>

#include "base/err.h"

struct subcommand {
	const char *name;
	void (*run)(char **args, size_t n); /* the caller's, not called here */
	size_t least, most;                 /* arguments */
	/* so many at the end are of another kind than the first */
	size_t others;
	unsigned takes;    /* bits of struct subcommand_option */
	const char *wants; /* its arguments, in words */
};

/* One that not every verb has a use for, or several of which that is true alike. */
struct subcommand_option {
	unsigned bit;
	const char *goes; /* "--idle goes" */
};

struct subcommands {
	const struct subcommand *at;
	size_t n;
	const struct subcommand_option *option;
	size_t options;
};

/* name may be NULL: none was given. NULL: f, status 64. */
const struct subcommand *subcommand_find(
    const struct subcommands *vs, const char *name, struct err *err);
/* given: bits of the options that were given; n: arguments. -1: f, status 64. */
int subcommand_check(const struct subcommands *vs, const struct subcommand *v, unsigned given,
    size_t n, struct err *err);
/* How many of n arguments are of the first kind: one at least, when there is one. */
size_t subcommand_leading_args(const struct subcommand *v, size_t n);

#endif

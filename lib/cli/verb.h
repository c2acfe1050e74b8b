/*
 * verb: a command that has commands: which there are, how many arguments each wants, which options go with which.
 *
 * One table says all of it; the texts that name other verbs are made from it.
 */
#ifndef VERB_H
#define VERB_H

#include <stddef.h>

#include "base/fail.h"

struct verb {
	const char *name;
	void (*run)(char **args, size_t n);	/* the caller's, not called here */
	size_t least, most;		/* arguments */
	size_t others;			/* so many at the end are of another kind than the first */
	unsigned takes;			/* bits of struct verb_option */
	const char *wants;		/* its arguments, in words */
};

/* One that not every verb has a use for, or several of which that is true alike. */
struct verb_option {
	unsigned bit;
	const char *goes;		/* "--idle goes" */
};

struct verbs {
	const struct verb *at;
	size_t n;
	const struct verb_option *option;
	size_t options;
};

/* name may be NULL: none was given. NULL: f, status 64. */
const struct verb *verb_find(const struct verbs *vs, const char *name, struct fail *f);
/* given: bits of the options that were given; n: arguments. -1: f, status 64. */
int verb_check(const struct verbs *vs, const struct verb *v, unsigned given, size_t n, struct fail *f);
/* How many of n arguments are of the first kind: one at least, when there is one. */
size_t verb_firsts(const struct verb *v, size_t n);

#endif

/*
 * policy: what the config file says of single types, in its [TYPE] sections.
 *
 *     [order.created]
 *     maxlen = 20000
 *     trim = acked
 *     maxlen-hard = 200000
 */
#ifndef CONF_POLICY_H
#define CONF_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct policy {
	char *type;
	int64_t maxlen;		/* -1: not given */
	bool acked;		/* trim = acked: what a group still needs is not trimmed */
	int64_t hard;		/* maxlen-hard; -1: not given */
	unsigned hard_line;	/* where it was given */
	struct policy *next;
};

/* A number of entries, 0 for no limit. `from`: what people wrote before it. */
int policy_entries(const char *from, const char *s, int64_t *n, struct err *err);
/* Takes one line of a section. -1: f says what is wrong with it. */
int policy_set(struct policy **list, const char *type, const char *name, const char *value, unsigned line, struct err *err);
/* Whether the limits go together; maxlen holds where a section has none. -1: status 78, naming file and line. */
int policy_check(const struct policy *list, const char *file, int64_t maxlen, struct err *err);
const struct policy *policy_find(const struct policy *list, const char *type);	/* NULL: none */
void policy_free(struct policy *list);

#endif

/*
 * ebgroup.h: what the parts of ebgroup(1) share: ebgroup.c takes the command line and goes from group to group, show.c
 * has the commands that look, change.c those that change.
 */
#ifndef EBGROUP_H
#define EBGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "buf.h"
#include "conf.h"
#include "onegroup.h"
#include "pending.h"
#include "table.h"

struct ebgroup {
	struct conf conf;
	const char *group, *consumer, *to;
	int64_t idle;			/* ms */
	uint64_t limit;			/* entries still to be shown */
	bool dry, yes;
	unsigned given;			/* TAKES_... */
	FILE *terminal;			/* where somebody has to agree; NULL: not wanted */
	/* What stands behind the type. */
	char **ids;
	size_t nids;			/* 0: they come on standard input */
	struct point where;
	const char *leaver;
	struct bus *b;
	int64_t ahead;			/* the server's clock, ms, less ours that only goes forward */
	bool headed;
	int width;			/* of the longest type */
	struct table *table;
	struct buf line;
	int status;
};
extern struct ebgroup eb;

void worse(int status);			/* the exit status, when it is worse than what it was */
void bad_usage(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
bool loud(void);			/* somebody looks, or said -v */
void print_line(void);			/* eb.line, which is empty then */
const char *plural(uint64_t n);

/* fn for the group of each type; its -1 is said and in the status. One that fails does not stop the others, unless the connection is gone. */
void each_group(char **types, size_t n, int (*fn)(struct onegroup *g, struct fail *f));
/* Whether somebody says yes to it, or has said so with --yes. */
bool agreed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int take_clock(struct fail *f);		/* eb.ahead. 0 or -1 */
void show_entry(const struct onegroup *g, const struct pending *p);

/* The commands: what stands behind the command's name. */
void run_list(char **types, size_t n);
void run_consumers(char **types, size_t n);
void run_pending(char **types, size_t n);
void run_ack(char **args, size_t n);
void run_set_id(char **args, size_t n);
void run_destroy(char **types, size_t n);
void run_reap(char **types, size_t n);
void run_retire(char **args, size_t n);

#endif

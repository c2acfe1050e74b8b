/*
 * groupfmt: what there is about groups, their consumers and what is pending, and what was done to
 * them, as ebgroup(1) shows it: a JSON object each for programs, columns and lines for people.
 * Members that ebstat -j has too are called the same there.
 *
 * Lines are given one after the other, without newline, to a function of the caller's; a table is
 * given as one text of many lines when all its rows are known (groupfmt_end). Of one struct
 * groupfmt all rows are of the same kind.
 */
#ifndef REPORT_GROUPFMT_H
#define REPORT_GROUPFMT_H

#include "base/table.h"
#include "redis/group.h"
#include "redis/pending.h"
#include "redis/retire.h"
#include "report/acklist.h"
#include "report/survey.h"

struct groupfmt {
	bool json;
	/* without the names of the columns, and no words about what was done; JSON has all */
	bool quiet;
	bool dry_run; /* nothing is done: what would be */
	/* valid during the call; non-zero: no more is wanted */
	int (*emit)(void *arg, const char *text);
	void *arg;

	/* Its own; zero. */
	struct table *table;
	struct bytes text;
	int type_width; /* of the longest type of pending entries */
	bool header_shown;
	/* the server's clock, ms, less ours that only goes forward */
	int64_t clock_offset;
};

/*
 * The groups of one stream of a survey, or the one called `only`; how many. TYPE CONSUMERS PENDING
 * OLDEST LAG LOST DELIVERED GROUP: what is long stands last, and is wrapped alone.
 */
size_t groupfmt_groups(
    struct groupfmt *l, const struct survey *s, const struct survey_stream *st, const char *only);
/* Who reads through the group, those that are idle for so many ms: TYPE CONSUMER PENDING IDLE
 * INACTIVE. 0 or -1. */
int groupfmt_consumers(struct groupfmt *l, struct conn *conn, const struct group_ref *g,
    int64_t idle, struct err *err);

/* Before pending entries, which are no table because there may be more than can be held: of which
 * types, */
void groupfmt_fit_types(struct groupfmt *l, char *const *types, size_t n);
/* and what time it is there. -1: the connection is dead. */
int groupfmt_read_clock(struct groupfmt *l, struct conn *conn, struct err *err);
/* ID IDLE DELIVERED ATTEMPTS TYPE CONSUMER. What put returned. */
int groupfmt_pending(struct groupfmt *l, const struct group_ref *g, const struct pending *p);

/* TYPE CONSUMER PENDING IDLE MOVED LOST, and what became of number i. */
void groupfmt_retired(struct groupfmt *l, const struct group_ref *g,
    const struct retire_selection *who, size_t i, const char *to);

/* Those that were only looked up were shown as pending. */
void groupfmt_acked(struct groupfmt *l, const struct group_ref *g, const struct acklist *a);
/* Moved to `to`, for people `words`, where the next entry is `next` ("": none, or not known). */
void groupfmt_moved(struct groupfmt *l, const struct group_ref *g, const char *to,
    const char *words, const char *next);
void groupfmt_destroyed(struct groupfmt *l, const struct group_ref *g);

/* Gives the table, when there is one, and frees what l holds. */
void groupfmt_end(struct groupfmt *l);

#endif

/*
 * groupfmt: formats groups, their consumers, pending entries, and changes to them as ebgroup(1)
 * shows them: one JSON object each for programs, columns and lines for people. Members that ebstat
 * -j also has have the same names.
 *
 * One struct groupfmt formats rows of one kind only.
 */
#ifndef REPORT_GROUPFMT_H
#define REPORT_GROUPFMT_H

#include "redis/group.h"
#include "redis/retire.h"
#include "report/survey.h"
#include "report/table.h"

struct groupfmt {
	/* set json, quiet, emit and arg; table_end shows the collected rows */
	struct table table;
	bool dry_run; /* changes are shown as not done */
	/* private; zero before first use */
	int64_t clock_offset; /* the server's clock minus CLOCK_MONOTONIC, ms */
};

/*
 * Shows the groups of one stream of a survey, or only the one named `only`; returns how many.
 * Columns: TYPE CONSUMERS PENDING OLDEST LAG LOST DELIVERED GROUP. The longest is last, so that
 * only it wraps.
 */
size_t groupfmt_groups(
    struct groupfmt *fmt, const struct survey *s, const struct survey_stream *st, const char *only);
/* Shows the consumers that are idle for at least `idle` ms: TYPE CONSUMER PENDING IDLE INACTIVE.
 * Returns 0, or -1. */
int groupfmt_consumers(struct groupfmt *fmt, struct conn *conn, const struct group_ref *g,
    int64_t idle, struct err *err);

/* Sets the width of the column TYPE. Call it before groupfmt_pending, which shows each entry at
 * once, since there may be more than fit in memory. */
void groupfmt_fit_types(struct groupfmt *fmt, char *const *types, size_t n);
/* Reads the server's clock; also before groupfmt_pending. -1: the connection is dead. */
int groupfmt_read_clock(struct groupfmt *fmt, struct conn *conn, struct err *err);
/* ID IDLE DELIVERED ATTEMPTS TYPE CONSUMER. Returns what emit returned. */
int groupfmt_pending(struct groupfmt *fmt, const struct group_ref *g, const struct pending *p);

/* Consumer number i: TYPE CONSUMER PENDING IDLE MOVED LOST, and the result. */
void groupfmt_retired(struct groupfmt *fmt, const struct group_ref *g,
    const struct retire_selection *selected, size_t i, const char *to);

struct groupfmt_acks {
	uint64_t pending, not_pending;
	/* sent, no reply before the connection died: may be acknowledged */
	uint64_t in_doubt;
};
/* Shows the counts; nothing in a dry run. */
void groupfmt_acked(
    struct groupfmt *fmt, const struct group_ref *g, const struct groupfmt_acks *count);
/* The group was moved to `to` (to_text for people); next: the ID of the next entry, or "" when
 * there is none or it is unknown. */
void groupfmt_moved(struct groupfmt *fmt, const struct group_ref *g, const char *to,
    const char *to_text, const char *next);
void groupfmt_destroyed(struct groupfmt *fmt, const struct group_ref *g);

#endif

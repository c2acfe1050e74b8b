/*
 * groupadmin: shows and changes consumer groups for ebgroup(1): one JSON object each for programs,
 * columns and lines for people. Members that ebstat -j also has have the same names.
 *
 * An action works on one group. The caller has found it (group_find), and the connection has no
 * unanswered command. With dry_run nothing changes, and what would change is shown. An action
 * returns 0, or -1 with err; it has shown what was done until then.
 *
 * One struct groupadmin shows rows of one kind only.
 */
#ifndef REPORT_GROUPADMIN_H
#define REPORT_GROUPADMIN_H

#include "event/id.h"
#include "redis/group.h"
#include "report/survey.h"
#include "report/table.h"

struct groupadmin {
	/* set json, quiet, emit and arg; table_end shows the collected rows */
	struct table table;
	struct conn *conn;
	const struct group_ref *group;
	bool dry_run;
	bool verbose; /* report when there was nothing to do */
	/* Reports a problem in one line; status: the exit status for it, or 0. */
	void (*warn)(void *arg, int status, const char *text);
	void *arg;

	/* pending: only entries of this consumer; retire: this one, whatever `idle`; NULL: all */
	const char *consumer;
	int64_t idle;          /* only consumers and entries that are idle for so long, ms */
	uint64_t limit;        /* pending: entries still to show */
	char *const *ids;      /* ack: of these entries, legal */
	size_t nids;           /* 0: reads the IDs from standard input, one per line */
	struct id_place where; /* set_id */
	const char *to;        /* retire: the consumer that gets the pending entries */
	/* private; zero before first use */
	int64_t clock_offset; /* the server's clock minus CLOCK_MONOTONIC, ms */
};

typedef int groupadmin_action(struct groupadmin *a, struct err *err);

groupadmin_action groupadmin_list_consumers;
groupadmin_action groupadmin_list_pending; /* shows each at once: they may be many */
/* Acknowledges entries, handled or not. Warns of an entry that is not pending with status 1, of a
 * line that is not an ID with 65. */
groupadmin_action groupadmin_ack;
/* An exact ID becomes the last delivered ID, as in Redis. A place that covers several IDs (a
 * millisecond, a time, an age) becomes the ID before its first one, so that the group continues
 * there. */
groupadmin_action groupadmin_set_id;
groupadmin_action groupadmin_destroy; /* of a group that is gone: a failure */
/* See retire.h. Status 1: there is no consumer of that name. */
groupadmin_action groupadmin_retire;

/* Shows the groups of one stream of a survey, or only the one named `only`; returns how many. */
size_t groupadmin_list_groups(
    struct groupadmin *a, const struct survey *s, const struct survey_stream *st, const char *only);
/* Sets the width of the column TYPE for rows that are shown at once. */
void groupadmin_fit_types(struct groupadmin *a, char *const *types, size_t n);

#endif

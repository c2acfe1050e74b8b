/*
 * snapshotfmt: formats a snapshot: the members that ebstat -j and ebhealth -j share, and the table
 * of streams of ebstat.
 */
#ifndef REPORT_SNAPSHOTFMT_H
#define REPORT_SNAPSHOTFMT_H

#include "report/snapshot.h"
#include "report/table.h"

/* Adds time, the time of now: the first member of both documents. */
void snapshotfmt_time(struct item *document);
/* Adds all other members, from target to streams. */
void snapshotfmt_json(struct item *document, const struct snapshot *s);

/* Adds what ebstat and ebgroup show of a group, without its name. */
void snapshotfmt_group(struct item *r, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g);

/* Adds a row for each group of each stream, and for each stream without groups; problems: only
 * those with dead letters, lost entries or an error. all: with the columns FIRST, LAST and
 * DELIVERED. */
void snapshotfmt_streams(struct table *t, const struct survey *s, bool problems, bool all);

#endif

/*
 * groupline: one line about a group, a consumer, a pending entry, or what was done to them: for people and for programs.
 *
 * The functions named _cells put one row into a table, those named _text and _json append one line without its end. Members that
 * ebstat -j has too are called the same there.
 */
#ifndef GROUPLINE_H
#define GROUPLINE_H

#include "acks.h"
#include "leavers.h"
#include "onegroup.h"
#include "pending.h"
#include "survey.h"
#include "table.h"

/* TYPE CONSUMERS PENDING OLDEST LAG LOST DELIVERED GROUP: what is long stands last, and is wrapped alone */
struct table *groupline_group_table(bool head);
void groupline_group_cells(struct table *t, const struct survey *s, const struct survey_stream *st, const struct stream_group *g);
void groupline_group_json(struct buf *out, const struct survey *s, const struct survey_stream *st, const struct stream_group *g);

/* TYPE CONSUMER PENDING IDLE INACTIVE */
struct table *groupline_consumer_table(bool head);
void groupline_consumer_cells(struct table *t, const struct onegroup *g, const struct consumers_one *c);
void groupline_consumer_json(struct buf *out, const struct onegroup *g, const struct consumers_one *c);

/* No table: there may be more than can be held. ID IDLE DELIVERED ATTEMPTS TYPE CONSUMER; width: of the longest type. */
void groupline_pending_head(struct buf *out, int width);
void groupline_pending_text(struct buf *out, const struct onegroup *g, const struct pending *p, int width);
/* now: the server's clock, ms. */
void groupline_pending_json(struct buf *out, const struct onegroup *g, const struct pending *p, int64_t now);

/* TYPE CONSUMER PENDING IDLE MOVED LOST, and what became of it. Number i; `dry`: nothing was done. */
struct table *groupline_leaver_table(bool head);
void groupline_leaver_cells(struct table *t, const struct onegroup *g, const struct leavers *l, size_t i, bool dry);
void groupline_leaver_json(struct buf *out, const struct onegroup *g, const struct leavers *l, size_t i, const char *to, bool dry);

void groupline_acked_text(struct buf *out, const struct acks *a);
void groupline_acked_json(struct buf *out, const struct onegroup *g, const struct acks *a);

/* Moved to `to`, where the next entry is `next` ("": none, or not known). */
void groupline_set_text(struct buf *out, const struct onegroup *g, const char *to, const char *next, bool dry);	/* `to` for people */
void groupline_set_json(struct buf *out, const struct onegroup *g, const char *to, const char *next, bool dry);

void groupline_destroyed_text(struct buf *out, const struct onegroup *g, bool dry);
void groupline_destroyed_json(struct buf *out, const struct onegroup *g, bool dry);

#endif

/*
 * bufferfmt: shows the lines of the disk buffer, those of the quarantine, and the counts of a
 * check, as columns for people and as JSON for programs. ebbuffer(1) describes both forms.
 *
 * The first two return what the table's emit returned.
 */
#ifndef REPORT_BUFFERFMT_H
#define REPORT_BUFFERFMT_H

#include "buffer/inspect.h"
#include "buffer/requeue.h"
#include "report/table.h"

int bufferfmt_line(struct table *t, const struct inspect_line *l);
int bufferfmt_quarantined(struct table *t, const struct requeue_line *l);
/* Emits JSON. */
void bufferfmt_set_aside(struct table *t, uint64_t moved, uint64_t unknown);
void bufferfmt_check(struct table *t, const struct inspect_report *r);

#endif

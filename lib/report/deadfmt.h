/*
 * deadfmt: shows dead letters, and the results of moving or deleting them. ebdead(1) describes the
 * forms.
 */
#ifndef REPORT_DEADFMT_H
#define REPORT_DEADFMT_H

#include "drain/redrive.h"
#include "report/table.h"

/* Emits a row for people. Returns what the table's emit returned. */
int deadfmt_row(struct table *t, const struct redrive_letter *l);
/* Appends the result after ms, as JSON or in words. */
void deadfmt_result(struct bytes *out, const struct redrive_options *o,
    const struct redrive_result *result, bool json, int64_t ms);

#endif

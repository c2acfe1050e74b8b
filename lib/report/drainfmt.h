/*
 * drainfmt: shows dead letters, and what drains of the buffer and of dead letters did. ebreplay(1)
 * and ebdead(1) describe the forms.
 */
#ifndef REPORT_DRAINFMT_H
#define REPORT_DRAINFMT_H

#include "buffer/backlog.h"
#include "drain/drain.h"
#include "drain/redrive.h"
#include "report/table.h"

/* Append the result after ms, as JSON or in words. */
void drainfmt_result(struct bytes *out, const struct drain_result *result, bool json, int64_t ms);
void drainfmt_dead_result(struct bytes *out, const struct redrive_options *o,
    const struct redrive_result *result, bool json, int64_t ms);
/* Appends what a drain to `target` would send, without asking Redis, in words. */
void drainfmt_preview(struct bytes *out, const struct backlog *b, const char *target);
/* Emits a dead letter as a row for people. Returns what the table's emit returned. */
int drainfmt_letter(struct table *t, const struct redrive_letter *l);

#endif

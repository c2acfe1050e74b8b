/*
 * drainfmt: formats the result of a drain or of a re-drive of dead letters: a JSON object for
 * programs, a sentence for people (ebreplay(1)).
 */
#ifndef REPORT_DRAINFMT_H
#define REPORT_DRAINFMT_H

#include "drain/drain.h"
#include "drain/redrive.h"
#include "report/table.h"

/* Appends the progress line after ms (> 0). */
void drainfmt_progress(struct bytes *out, uint64_t done, uint64_t total, int64_t ms);
/* Append the result after ms. */
void drainfmt_result(
    struct bytes *out, bool json, const struct drain_result *r, int status, int64_t ms);
void drainfmt_redrive(
    struct bytes *out, bool json, const struct redrive_result *r, int status, int64_t ms);
/* Shows a dead letter of a dry run; l NULL: the titles. Returns what emit returned. */
int drainfmt_dead_letter(struct table *t, const struct redrive_preview *l);

#endif

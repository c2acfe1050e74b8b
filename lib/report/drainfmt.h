/*
 * drainfmt: formats the progress and the result of a drain. ebreplay(1) describes the forms.
 *
 * Each function appends to out.
 */
#ifndef REPORT_DRAINFMT_H
#define REPORT_DRAINFMT_H

#include "base/bytes.h"
#include "buffer/backlog.h"
#include "drain/drain.h"

/* The progress line after ms (> 0). */
void drainfmt_progress(struct bytes *out, uint64_t done, uint64_t total, int64_t ms);
/* The result after ms, as JSON or in words. */
void drainfmt_result(struct bytes *out, const struct drain_result *result, bool json, int64_t ms);
/* What a drain to `target` would send, without asking Redis, in words. */
void drainfmt_preview(struct bytes *out, const struct backlog *b, const char *target);

#endif

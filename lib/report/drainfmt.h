/*
 * drainfmt: formats the result of a drain or of a re-drive of dead letters, as text for people and
 * as the JSON object of ebreplay -j (ebreplay(1)).
 *
 * Each function appends to out.
 */
#ifndef REPORT_DRAINFMT_H
#define REPORT_DRAINFMT_H

#include "base/bytes.h"
#include "drain/drain.h"
#include "drain/redrive.h"

/* The progress line after ms (> 0). */
void drainfmt_progress(struct bytes *out, uint64_t done, uint64_t total, int64_t ms);
void drainfmt_text(struct bytes *out, const struct drain_result *r, int64_t ms);
void drainfmt_json(struct bytes *out, const struct drain_result *r, int status);

void drainfmt_redrive_text(struct bytes *out, const struct redrive_result *r, int64_t ms);
void drainfmt_redrive_json(struct bytes *out, const struct redrive_result *r, int status);
/* A dry run: the column names, and one line for each dead letter. */
void drainfmt_redrive_header(struct bytes *out);
void drainfmt_redrive_line_text(struct bytes *out, const struct redrive_preview *l);
void drainfmt_redrive_line_json(struct bytes *out, const struct redrive_preview *l);

#endif

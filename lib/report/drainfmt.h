/*
 * drainfmt: what a drain or a re-drive of dead letters did, in words for people and as JSON for
 * programs.
 */
#ifndef REPORT_DRAINFMT_H
#define REPORT_DRAINFMT_H

#include "base/bytes.h"
#include "drain/drain.h"
#include "drain/redrive.h"

/* Appends, in words, how far it is after ms (> 0). */
void drainfmt_progress(struct bytes *out, uint64_t done, uint64_t total, int64_t ms);
/* Appends the sum as words. */
void drainfmt_text(struct bytes *out, const struct drain_result *r, int64_t ms);
/* Appends the JSON object that ebreplay -j prints (ebreplay(1)). */
void drainfmt_json(struct bytes *out, const struct drain_result *r, int status);

void drainfmt_redrive_text(struct bytes *out, const struct redrive_result *r, int64_t ms);
void drainfmt_redrive_json(struct bytes *out, const struct redrive_result *r, int status);
void drainfmt_redrive_header(struct bytes *out);
void drainfmt_redrive_line_text(struct bytes *out, const struct redrive_preview *l);
void drainfmt_redrive_line_json(struct bytes *out, const struct redrive_preview *l);

#endif

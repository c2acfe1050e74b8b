/*
 * check: a picture against limits. Pure, but for the clock.
 *
 * Besides what has limits these are problems always: Redis away, or taking no events; a buffer that
 * cannot be used, belongs to another target, holds files that are left alone; segments that
 * vanished or could not be synced; streams that are not there or cannot be looked at.
 */
#ifndef REPORT_CHECK_H
#define REPORT_CHECK_H

#include "base/bytes.h"
#include "report/problems.h"
#include "report/snapshot.h"
#include "report/threshold.h"

/* Adds what is wrong, worst first. */
void check_snapshot(
    struct problems *v, const struct snapshot *p, const struct threshold l[THRESHOLDS]);
/* Appends what is said when nothing is wrong: "redis up 0.3 ms, buffer 0 events". */
void check_ok_text(struct bytes *out, const struct snapshot *p);

#endif

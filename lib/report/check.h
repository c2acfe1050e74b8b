/*
 * check: compares a snapshot with thresholds. Does no I/O; reads the clock.
 *
 * Reports these problems whatever the thresholds are: Redis down, or refusing writes; a buffer that
 * cannot be read, belongs to another target, or has ignored files; segments that vanished or could
 * not be synced; streams that do not exist or cannot be read.
 */
#ifndef REPORT_CHECK_H
#define REPORT_CHECK_H

#include "base/bytes.h"
#include "report/problems.h"
#include "report/snapshot.h"
#include "report/threshold.h"

/* Adds the problems, and sorts all of v, the worst first. */
void check_snapshot(
    struct problems *v, const struct snapshot *p, const struct threshold l[THRESHOLDS]);
/* Appends the summary for the status OK: "redis up 0.3 ms, buffer 0 events". */
void check_ok_text(struct bytes *out, const struct snapshot *p);

#endif

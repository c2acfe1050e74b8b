/*
 * check: compares a snapshot with thresholds. Does no I/O; reads the clock.
 *
 * Reports these problems whatever the thresholds are: Redis down, or refusing writes; a buffer that
 * cannot be read, belongs to another target, or has ignored files; segments that vanished or could
 * not be synced; a process that keeps the writers' lock; a file system without free inodes; streams
 * that do not exist or cannot be read.
 */
#ifndef REPORT_CHECK_H
#define REPORT_CHECK_H

#include "base/bytes.h"
#include "report/problems.h"
#include "report/snapshot.h"
#include "report/threshold.h"

/* Adds the problems, and sorts all of them, the worst first. */
void check_snapshot(struct problems *problems, const struct snapshot *snapshot,
    const struct threshold thresholds[THRESHOLDS]);
/* Appends the summary for the status OK: "redis up 0.3 ms, buffer 0 events". */
void check_ok_text(struct bytes *out, const struct snapshot *snapshot);

#endif

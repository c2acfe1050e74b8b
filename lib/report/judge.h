/*
 * judge: a picture against limits. Pure, but for the clock.
 *
 * Besides what has limits these are problems always: Redis away, or taking no events; a buffer that cannot be used, belongs to another target, holds
 * files that are left alone; segments that vanished or could not be synced; streams that are not there or cannot be looked at.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "base/buf.h"
#include "report/limit.h"
#include "report/picture.h"
#include "report/verdict.h"

/* Adds what is wrong, worst first. */
void judge_picture(struct verdict *v, const struct picture *p, const struct limit l[LIMITS]);
/* Appends what is said when nothing is wrong: "redis up 0.3 ms, buffer 0 events". */
void judge_fine(struct buf *out, const struct picture *p);

#endif

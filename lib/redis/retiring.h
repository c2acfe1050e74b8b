/*
 * retiring: what the parts of retire.h share. A part of retire; not for others.
 */
#ifndef RETIRING_H
#define RETIRING_H

#include "redis/retire.h"

/* Without scripts (retireplain.c). */
int retire_plain(struct bus *b, const struct retire *r, struct retire_one *c, size_t n, enum bus_why *why, struct fail *f);

#endif

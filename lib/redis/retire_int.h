/*
 * retire_int: what the parts of retire.h share. A part of retire; not for others.
 */
#ifndef REDIS_RETIRE_INT_H
#define REDIS_RETIRE_INT_H

#include "redis/retire.h"

/* Without scripts (retireplain.c). */
int retire_plain(struct conn *conn, const struct retire *r, struct retire_one *c, size_t n, enum conn_why *why, struct err *err);

#endif

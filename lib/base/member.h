/*
 * member: a JSON object being written, member by member.
 *
 *     member_begin(b); member_text(b, "name", s); ...; member_end(b);
 *
 * Each member leaves a comma behind; member_end turns the last into the closing brace.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

void member_begin(struct buf *out);			/* { */
void member_end(struct buf *out);			/* } */
void member_name(struct buf *out, const char *name);	/* "name": and then anything, with a comma behind it */
void member_text(struct buf *out, const char *name, const char *s);	/* NULL is null */
void member_slice(struct buf *out, const char *name, struct slice s);
void member_count(struct buf *out, const char *name, uint64_t n);
void member_known(struct buf *out, const char *name, int64_t n);	/* negative is null: not known */
void member_bool(struct buf *out, const char *name, bool yes);
void member_time(struct buf *out, const char *name, int64_t us);	/* 0 is null */

#endif

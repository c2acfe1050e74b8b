/*
 * reply: what a server answered (conn.h), looked at, and what its error replies mean.
 *
 * A reply has hiredis' form and memory of its own (replymake.c). It belongs to whom conn_take,
 * conn_wait or conn_call gave it; what is reached through it lives as long. Accessors never fail:
 * the wrong type, and NULL, give 0, empty or NULL.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "redis/conn.h"

bool reply_is_error(const struct reply *r);
bool reply_is_null(const struct reply *r);
bool reply_is_array(const struct reply *r);
bool reply_is_text(const struct reply *r);      /* string or status */
struct slice reply_text(const struct reply *r); /* string, status or error */
int64_t reply_int(const struct reply *r);       /* integer, or text that is one */
size_t reply_count(const struct reply *r);
const struct reply *reply_at(const struct reply *r, size_t i); /* NULL past the end */
/* Appends the texts of an array's elements as slices; one that is no text is an empty one. */
void reply_add_texts(const struct reply *r, struct bytes *slices);
/* In a flat array of name, value, ...: the value, or NULL. */
const struct reply *reply_member(const struct reply *r, const char *name);
/*
 * hiredis' reader, for redisReaderFree; NULL: no memory. *now is what it is making, and lives as
 * long. What redisReaderGetReply gives is a reply.
 */
struct redisReader *reply_reader_new(void **now);
/* only what conn_take, conn_wait, conn_call gave */
void reply_free(struct reply *r);

/* CONN_OK unless r is an error reply. */
enum conn_why reply_why(const struct reply *r);
/* Fills f from an error reply ("what": what was tried, on which thing) with the status of section
 * 4; returns -1. */
int reply_fail(struct err *err, const struct reply *r, const char *what);

#endif

/*
 * reply: reads a server's replies, and says what error replies mean.
 *
 * A struct reply is one value of a reply: an error, nil, a text (string or status), an integer or
 * an array of replies. conn_take, conn_wait and conn_call return the outermost one, which the
 * caller owns; elements and texts that are reached through it live as long as it does.
 *
 * Accessors never fail: for NULL and for another type they return 0, an empty slice or NULL. So
 * reply_text(reply_at(reply_at(r, 0), 1)) is safe on any reply, and an empty result means an
 * unexpected form.
 *
 * Under the opaque type is hiredis' redisReply, in memory of our own: a reply of a thousand entries
 * costs a few dozen calls of malloc(3) instead of tens of thousands.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "redis/conn.h"

/* Frees a whole reply, never an element. NULL is ignored. */
void reply_free(struct reply *r);

bool reply_is_error(const struct reply *r);
bool reply_is_null(const struct reply *r);
bool reply_is_array(const struct reply *r);
bool reply_is_text(const struct reply *r); /* string or status */
/* Returns a string, status or error. A NUL follows its last byte. */
struct slice reply_text(const struct reply *r);
/* Returns whether r is an error that begins so. */
bool reply_starts(const struct reply *r, const char *start);
/* Returns an integer, or a text that is one. */
int64_t reply_int(const struct reply *r);
/* Returns the number of elements of an array. */
size_t reply_count(const struct reply *r);
/* Returns element i of an array, or NULL past the end. */
const struct reply *reply_at(const struct reply *r, size_t i);
/* Appends the texts of an array's elements to an array of struct slice; an element that is no text
 * gives an empty slice. */
void reply_add_texts(const struct reply *r, struct bytes *slices);
/* Returns the value after `name` in an array of name, value, ...: or NULL. */
const struct reply *reply_member(const struct reply *r, const char *name);

/* Returns what an error reply means, or CONN_OK when r is no error. */
enum conn_why reply_why(const struct reply *r);
/* Returns whether the reply says that the server or this user has no EVAL. A command that the
 * script may not run is another matter. */
bool reply_is_eval_refused(const struct reply *r);
/* Fills err from an error reply, with the reason and status of reply_why: "what: text". `what`
 * names the command or the attempt. Returns -1. */
int reply_fail(struct err *err, const struct reply *r, const char *what);
/* Fills err from a reply of an unexpected form, error or not; r NULL: known to be no
 * error. Returns -1. */
int reply_unexpected(struct err *err, const struct reply *r, const char *what);

typedef bool reply_form_fn(const struct reply *r);
/* Waits (conn_wait) for a reply of this form, such as reply_is_array; NULL: any but an error.
 * Returns NULL with err for another reply and when the connection is dead. */
struct reply *reply_await(
    struct conn *conn, reply_form_fn *form, const char *what, struct err *err);
/* Waits for an integer. */
int reply_await_int(struct conn *conn, const char *what, uint64_t *n, struct err *err);

/*
 * Returns hiredis' reader, which builds struct reply; NULL: no memory. For conn.c, which frees it
 * with redisReaderFree. *unfinished is the reader's own and must live as long.
 */
struct redisReader *reply_reader_new(void **unfinished);

#endif

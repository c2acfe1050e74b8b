/*
 * lines: splits the input from a file descriptor into records, in bounded memory.
 *
 * A record ends with '\n' or NUL, which is not part of it; the last record may lack its end. A
 * record longer than `max` bytes is skipped and reported as LINES_LONG. Blocking and non-blocking
 * descriptors both work: each lines_fill calls read(2) once, for up to 1 MiB.
 */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <stdbool.h>

#include "base/bytes.h"

struct lines;

enum lines_got {
	LINES_NONE, /* no complete record buffered: call lines_fill, or stop when lines_ended */
	LINES_ONE,  /* *out is a record, valid until the next lines_fill */
	LINES_LONG  /* a record of more than max bytes was skipped */
};

struct lines *lines_new(int fd, char end, size_t max);
void lines_free(struct lines *l); /* does not close fd */

/* Reads once. Returns 1 when bytes arrived, 0 at the end of the input, -1 with errno on failure
 * (EAGAIN and EINTR included). */
int lines_fill(struct lines *l);
enum lines_got lines_next(struct lines *l, struct slice *out);
/* Returns true at the end of the input, once all records were returned. */
bool lines_ended(const struct lines *l);
/* Returns the number of the record that lines_next returned last, counted from 1. */
unsigned long long lines_number(const struct lines *l);

#endif

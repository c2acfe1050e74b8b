/*
 * token: strings as space-separated tokens in a text file.
 *
 * A token has blanks, control characters and '%' as %XX. The empty string is written as "-".
 */
#ifndef BUFFER_TOKEN_H
#define BUFFER_TOKEN_H

#include "base/bytes.h"

/* Appends s as one token, without a separator. */
void token_add(struct bytes *out, const char *s);
/* Decodes the next token of *line in place and moves *line behind it. Returns the decoded string,
 * "" at the end of the line. */
char *token_next(char **line);

#endif

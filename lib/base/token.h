/*
 * word: any string as one word of a text file: blanks, control characters and '%' as %XX, nothing
 * as "-".
 */
#ifndef BASE_TOKEN_H
#define BASE_TOKEN_H

#include "base/bytes.h"

void token_add(struct bytes *out, const char *s);
/* The next word of a line, decoded in place; *line moves behind it. "" at the end. */
char *token_next(char **line);

#endif

/*
 * word: any string as one word of a text file: blanks, control characters and '%' as %XX, nothing
 * as "-".
 */
#ifndef BASE_WORD_H
#define BASE_WORD_H

#include "base/bytes.h"

void word_put(struct bytes *out, const char *s);
/* The next word of a line, decoded in place; *line moves behind it. "" at the end. */
char *word_take(char **line);

#endif

/*
 * table: aligned columns of text.
 *
 * Cells are given row by row and printed when all are known. Columns are two spaces apart; nothing
 * stands behind the last one. A byte that would move a terminal's cursor is printed as '?'; width
 * counts characters of UTF-8.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/bytes.h"

struct table;

/* One letter a column: 'l' left, 'r' right. */
struct table *table_new(const char *columns);
void table_free(struct table *t); /* NULL is fine */
/* The next cell; a row that has all its columns is followed by the next one. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *t); /* whole ones */
void table_print(struct bytes *out, const struct table *t);

#endif

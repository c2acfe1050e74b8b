/*
 * table: text in aligned columns.
 *
 * Cells are added row by row and printed at the end. Two spaces separate columns, and lines have no
 * trailing spaces. Control characters are printed as '?'. A column's width counts UTF-8 characters.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/bytes.h"

struct table;

/* Makes a table with a column for each letter: 'l' aligned left, 'r' aligned right. */
struct table *table_new(const char *columns);
void table_free(struct table *t); /* NULL is fine */
/* Adds the next cell. After the last cell of a row the next row begins. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *t); /* complete rows only */
void table_print(struct bytes *out, const struct table *t);

#endif

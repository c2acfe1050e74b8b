/*
 * table: shows items, as JSON objects for programs or as rows in aligned columns for people.
 *
 * Two spaces separate columns, a column's width counts UTF-8 characters, and lines have no trailing
 * spaces. A cell that the item lacks is shown as "-", in the last column as nothing.
 */
#ifndef REPORT_TABLE_H
#define REPORT_TABLE_H

#include "report/item.h"

#define TABLE_LAST_MIN 20

/* The last column is followed by one without a title. */
struct column {
	const char *title;
	int width; /* at least; negative: aligned left, as in printf(3); 0: the table's `fit` */
};

struct table {
	bool json;
	bool quiet; /* no titles and no sentences; no effect on JSON */
	const struct column *columns;
	int fit;
	/* Cuts the last column of rows that are emitted at once to so many columns of the terminal,
	 * but not below TABLE_LAST_MIN characters; 0: does not cut. */
	int width;
	/* Receives each text, without its last newline; it is valid only during the call. Returns
	 * non-zero to stop. */
	int (*emit)(void *arg, const char *text);
	void *arg;

	/* private; zero before first use */
	struct bytes text;
	char **cells; /* of the collected rows */
	size_t used, cap;
	bool titled;
};

/* Emits the item at once, in columns of their own width: for more rows than fit in memory.
 * Returns what emit returned. */
int table_line(struct table *t, struct item *r);
/* JSON: emits the item. Else collects the row for table_end, which makes columns as wide as their
 * cells. */
void table_row(struct table *t, struct item *r);
/* JSON: emits the item. Else emits the text, unless quiet. Frees both. */
void table_text(struct table *t, struct item *r, struct bytes *text);
/* Emits the collected rows as one text, and frees what the table holds. */
void table_end(struct table *t);

#endif

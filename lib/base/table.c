#include "base/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct table {
	char *columns;
	size_t n; /* number of columns */
	char **cells;
	size_t used, cap; /* of cells */
};

struct table *
table_new(const char *columns)
{
	struct table *t = mem_alloc(sizeof(*t));

	t->columns = mem_strdup(columns);
	t->n = strlen(columns);
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	while (t->used > 0)
		free(t->cells[--t->used]);
	free(t->cells);
	free(t->columns);
	free(t);
}

/* Replaces control characters with '?', the two-byte ones (U+0080 to U+009F) too. */
static void
mask_controls(char *s)
{
	unsigned char c;

	for (; (c = (unsigned char)*s) != '\0'; s++)
		if (c < 0x20 || c == 0x7f)
			*s = '?';
		else if (c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] <= 0x9f)
			s[0] = s[1] = '?';
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n == -1)
		text = mem_strdup("?");
	mask_controls(text);
	if (t->used == t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		t->cells = mem_realloc(t->cells, t->cap * sizeof(*t->cells));
	}
	t->cells[t->used++] = text;
}

size_t
table_rows(const struct table *t)
{
	return t->used / t->n;
}

static size_t
count_chars(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
add_spaces(struct bytes *out, size_t n)
{
	while (n-- > 0)
		bytes_addc(out, ' ');
}

static void
print_row(struct bytes *out, const struct table *t, char *const *row, const size_t *widest)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t gap = widest[i] - count_chars(row[i]);

		if (i > 0)
			bytes_adds(out, "  ");
		if (t->columns[i] == 'r')
			add_spaces(out, gap);
		bytes_adds(out, row[i]);
		if (t->columns[i] == 'l' && i + 1 < t->n)
			add_spaces(out, gap);
	}
	while (out->len > 0 && out->p[out->len - 1] == ' ')
		out->len--;
	bytes_addc(out, '\n');
}

void
table_print(struct bytes *out, const struct table *t)
{
	size_t *widest = mem_alloc(t->n * sizeof(*widest));
	size_t cells = table_rows(t) * t->n;

	for (size_t i = 0; i < cells; i++)
		if (count_chars(t->cells[i]) > widest[i % t->n])
			widest[i % t->n] = count_chars(t->cells[i]);
	for (size_t i = 0; i < cells; i += t->n)
		print_row(out, t, t->cells + i, widest);
	free(widest);
}

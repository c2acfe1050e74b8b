#include "report/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int
count_chars(const char *s)
{
	int n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Emits the text so far as one line. */
static int
emit_table_text(struct table *t)
{
	int stop = t->emit(t->arg, bytes_str(&t->text));

	t->text.len = 0;
	return stop;
}

static int
emit_json(struct table *t, struct item *r)
{
	item_json(&t->text, r);
	return emit_table_text(t);
}

/* Adds a cell of the width of its column (struct column), and what separates it from the next. */
static void
add_table_cell(struct bytes *out, const char *text, int width, bool last)
{
	int gap = abs(width) - count_chars(text);
	int left = gap > 0 && width > 0 ? gap : 0, right = gap > 0 && width < 0 ? gap : 0;

	bytes_addf(out, "%*s%s%*s", left, "", text, last ? 0 : right + 2, "");
}

/* Returns the item's cell in a column, or its title when r is NULL. */
static const char *
column_text(const struct item *r, const struct column *c)
{
	const char *text = r == NULL ? c->title : item_cell(r, c->title);

	return text != NULL ? text : c[1].title == NULL ? "" : "-";
}

static void
end_table_row(struct bytes *out)
{
	while (out->len > 0 && out->p[out->len - 1] == ' ')
		out->len--;
}

/* --- rows at once --- */

/* Cuts the last cell, which begins at `at`, to the rest of the width; "..." then ends it. */
static void
cut_last_cell(struct table *t, size_t at)
{
	int left = t->width - (count_chars(bytes_str(&t->text)) - count_chars(t->text.p + at));
	const char *p = t->text.p + at;

	if (left < TABLE_LAST_MIN)
		left = TABLE_LAST_MIN;
	if (count_chars(p) <= left)
		return;
	for (left -= 3; left > 0 || ((unsigned char)*p & 0xc0) == 0x80; p++)
		left -= ((unsigned char)*p & 0xc0) != 0x80;
	t->text.len = (size_t)(p - t->text.p);
	bytes_adds(&t->text, "...");
}

/* r NULL: emits the titles. */
static int
emit_row(struct table *t, const struct item *r)
{
	size_t at = 0;

	for (const struct column *c = t->columns; c->title != NULL; c++) {
		at = t->text.len;
		add_table_cell(&t->text, column_text(r, c), c->width == 0 ? t->fit : c->width,
		    c[1].title == NULL);
	}
	if (t->width > 0)
		cut_last_cell(t, at);
	end_table_row(&t->text);
	return emit_table_text(t);
}

int
table_line(struct table *t, struct item *r)
{
	int stop;

	if (r->json)
		return emit_json(t, r);
	if (!t->titled && !t->quiet)
		emit_row(t, NULL);
	t->titled = true;
	stop = emit_row(t, r);
	item_free(r);
	return stop;
}

/* --- collected rows --- */

/* r NULL: collects the titles. */
static void
collect_row(struct table *t, const struct item *r)
{
	for (const struct column *c = t->columns; c->title != NULL; c++) {
		if (t->used == t->cap) {
			t->cap = t->cap == 0 ? 64 : t->cap * 2;
			t->cells = mem_realloc(t->cells, t->cap * sizeof(*t->cells));
		}
		t->cells[t->used++] = mem_strdup(column_text(r, c));
	}
}

void
table_row(struct table *t, struct item *r)
{
	if (r->json) {
		emit_json(t, r);
		return;
	}
	if (t->used == 0 && !t->quiet)
		collect_row(t, NULL);
	collect_row(t, r);
	item_free(r);
}

/* Frees the rows. */
static void
format_rows(struct table *t)
{
	size_t n = 0;
	int *width;

	while (t->columns[n].title != NULL)
		n++;
	width = mem_alloc(n * sizeof(*width));
	for (size_t i = 0; i < t->used; i++) {
		int chars = count_chars(t->cells[i]);

		if (chars > abs(width[i % n]))
			width[i % n] = t->columns[i % n].width < 0 ? -chars : chars;
	}
	for (size_t i = 0; i < t->used; i++) {
		bool last = i % n == n - 1;

		add_table_cell(&t->text, t->cells[i], width[i % n], last);
		free(t->cells[i]);
		if (last) {
			end_table_row(&t->text);
			bytes_addc(&t->text, '\n');
		}
	}
	t->text.len--; /* the last newline */
	free(width);
}

void
table_end(struct table *t)
{
	if (t->used > 0) {
		format_rows(t);
		emit_table_text(t);
	}
	free(t->cells);
	bytes_free(&t->text);
	t->cells = NULL;
	t->used = t->cap = 0;
	t->titled = false;
}

void
table_text(struct table *t, struct item *r, struct bytes *text)
{
	if (r->json)
		emit_json(t, r);
	else if (!t->quiet)
		t->emit(t->arg, bytes_str(text));
	item_free(r);
	bytes_free(text);
}

#include "report/item.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

/* cJSON ends a string at a NUL, does not check UTF-8, and prints numbers above 2^53 rounded. So
 * base/json quotes each text, and every value is raw. */
void
item_raw(struct item *r, const char *name, const char *json)
{
	static cJSON_Hooks hooks = {mem_alloc, free};

	if (name == NULL || !r->json)
		return;
	if (r->object == NULL) {
		cJSON_InitHooks(&hooks);
		r->object = cJSON_CreateObject();
	}
	cJSON_AddRawToObject(r->object, name, json);
}

/* Makes the text safe for a terminal. */
static void
add_cell(struct item *r, const char *title, struct slice text)
{
	struct bytes copy = {0};

	if (title == NULL || r->json || r->n == ITEM_CELLS)
		return;
	bytes_add(&copy, text.p, text.n);
	err_clean(&copy);
	r->cell[r->n++] = (struct item_cell){title, copy.p};
}

void
item_slice(struct item *r, const char *name, const char *title, struct slice s)
{
	struct bytes quoted = {0};

	if (name != NULL && r->json) {
		json_quote_text(&quoted, s.p, s.n);
		item_raw(r, name, bytes_str(&quoted));
		bytes_free(&quoted);
	}
	add_cell(r, title, s);
}

void
item_text(struct item *r, const char *name, const char *title, const char *s)
{
	if (s != NULL) {
		item_slice(r, name, title, slice_of(s));
		return;
	}
	item_raw(r, name, "null");
	add_cell(r, title, slice_of("-"));
}

void
item_count(struct item *r, const char *name, const char *title, uint64_t n)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, n);
	item_raw(r, name, digits);
	add_cell(r, title, slice_of(digits));
}

void
item_number(struct item *r, const char *name, const char *title, int64_t n)
{
	if (n >= 0) {
		item_count(r, name, title, (uint64_t)n);
		return;
	}
	item_raw(r, name, "null");
	add_cell(r, title, slice_of("?"));
}

void
item_span(struct item *r, const char *name, const char *title, int64_t ms)
{
	char span[32] = "-";

	item_number(r, name, NULL, ms);
	if (ms >= 0)
		clock_format_span(ms, span, sizeof(span));
	add_cell(r, title, slice_of(span));
}

void
item_time(struct item *r, const char *name, const char *title, int64_t us)
{
	char when[CLOCK_SIZE];

	clock_format(us, when);
	item_text(r, name, title, us != 0 ? when : NULL);
}

void
item_id(struct item *r, const char *name, const char *title, struct stream_id id, bool known)
{
	char text[ID_SIZE];

	id_format(id, text);
	item_text(r, name, title, known ? text : NULL);
}

void
item_bool(struct item *r, const char *name, bool yes)
{
	item_raw(r, name, yes ? "true" : "false");
}

void
item_words(struct item *r, const char *title, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vasprintf(fmt, ap);
	va_end(ap);
	add_cell(r, title, slice_of(text));
	free(text);
}

void
item_object(struct item *r, const char *name, struct item *object)
{
	struct bytes text = {0};

	item_json(&text, object);
	item_raw(r, name, bytes_str(&text));
	bytes_free(&text);
}

void
item_list(struct item *r, const char *name, struct bytes *list)
{
	struct bytes array = {0};

	bytes_addf(&array, "[%s]", bytes_str(list));
	item_raw(r, name, bytes_str(&array));
	bytes_free(&array);
	bytes_free(list);
}

void
item_json(struct bytes *out, struct item *r)
{
	char *text = cJSON_PrintUnformatted(r->object);

	bytes_adds(out, text);
	free(text);
	item_free(r);
}

void
item_push(struct bytes *list, struct item *r)
{
	if (list->len > 0)
		bytes_addc(list, ',');
	item_json(list, r);
}

void
item_sentence(struct bytes *out, const struct item *r)
{
	for (size_t i = 0; i < r->n; i++)
		bytes_addf(out, "%s%s %s", i > 0 ? ", " : "", r->cell[i].text, r->cell[i].title);
}

void
item_free(struct item *r)
{
	while (r->n > 0)
		free(r->cell[--r->n].text);
	cJSON_Delete(r->object);
	r->object = NULL;
}

const char *
item_cell(const struct item *r, const char *title)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->cell[i].title, title) == 0)
			return r->cell[i].text;
	return NULL;
}

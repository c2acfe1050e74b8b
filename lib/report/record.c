#include "report/record.h"

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
record_raw(struct record *r, const char *name, const char *json)
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
add_cell(struct record *r, const char *title, struct slice text)
{
	char *copy;

	if (title == NULL || r->json || r->n == RECORD_CELLS)
		return;
	copy = mem_strndup(text.p, text.n);
	err_clean(copy);
	r->cell[r->n++] = (struct record_cell){title, copy};
}

void
record_slice(struct record *r, const char *name, const char *title, struct slice s)
{
	struct bytes quoted = {0};

	if (name != NULL && r->json) {
		json_quote_text(&quoted, s.p, s.n);
		record_raw(r, name, bytes_str(&quoted));
		bytes_free(&quoted);
	}
	add_cell(r, title, s);
}

void
record_text(struct record *r, const char *name, const char *title, const char *s)
{
	if (s != NULL) {
		record_slice(r, name, title, slice_of(s));
		return;
	}
	record_raw(r, name, "null");
	add_cell(r, title, slice_of("-"));
}

void
record_count(struct record *r, const char *name, const char *title, uint64_t n)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, n);
	record_raw(r, name, digits);
	add_cell(r, title, slice_of(digits));
}

void
record_number(struct record *r, const char *name, const char *title, int64_t n)
{
	if (n >= 0) {
		record_count(r, name, title, (uint64_t)n);
		return;
	}
	record_raw(r, name, "null");
	add_cell(r, title, slice_of("?"));
}

void
record_span(struct record *r, const char *name, const char *title, int64_t ms)
{
	char span[32] = "-";

	record_number(r, name, NULL, ms);
	if (ms >= 0)
		clock_format_span(ms, span, sizeof(span));
	add_cell(r, title, slice_of(span));
}

void
record_time(struct record *r, const char *name, const char *title, int64_t us)
{
	char when[CLOCK_SIZE];

	clock_format(us, when);
	record_text(r, name, title, us != 0 ? when : NULL);
}

void
record_id(struct record *r, const char *name, const char *title, struct stream_id id, bool known)
{
	char text[ID_SIZE];

	id_format(id, text);
	record_text(r, name, title, known ? text : NULL);
}

void
record_bool(struct record *r, const char *name, bool yes)
{
	record_raw(r, name, yes ? "true" : "false");
}

void
record_words(struct record *r, const char *title, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = mem_strdup("?");
	va_end(ap);
	add_cell(r, title, slice_of(text));
	free(text);
}

void
record_object(struct record *r, const char *name, struct record *object)
{
	struct bytes text = {0};

	record_json(&text, object);
	record_raw(r, name, bytes_str(&text));
	bytes_free(&text);
}

void
record_list(struct record *r, const char *name, struct bytes *list)
{
	struct bytes array = {0};

	bytes_addf(&array, "[%s]", bytes_str(list));
	record_raw(r, name, bytes_str(&array));
	bytes_free(&array);
	bytes_free(list);
}

void
record_json(struct bytes *out, struct record *r)
{
	char *text = cJSON_PrintUnformatted(r->object);

	bytes_adds(out, text);
	free(text);
	record_free(r);
}

void
record_push(struct bytes *list, struct record *r)
{
	if (list->len > 0)
		bytes_addc(list, ',');
	record_json(list, r);
}

void
record_sentence(struct bytes *out, const struct record *r)
{
	for (size_t i = 0; i < r->n; i++)
		bytes_addf(out, "%s%s %s", i > 0 ? ", " : "", r->cell[i].text, r->cell[i].title);
}

void
record_free(struct record *r)
{
	while (r->n > 0)
		free(r->cell[--r->n].text);
	cJSON_Delete(r->object);
	r->object = NULL;
}

const char *
record_cell(const struct record *r, const char *title)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->cell[i].title, title) == 0)
			return r->cell[i].text;
	return NULL;
}

#include "report/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static const char *const severity_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
static const int severity_ranks[] = {0, 2, 3, 1};

struct problem *
problems_add(struct problems *v, enum severity g, const char *what, const char *fmt, ...)
{
	struct problem *p;
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = mem_strdup(what);
	va_end(ap);
	if (v->n == v->cap) {
		v->cap = v->cap == 0 ? 16 : v->cap * 2;
		v->problems = mem_realloc(v->problems, v->cap * sizeof(*v->problems));
	}
	p = &v->problems[v->n++];
	*p = (struct problem){.severity = g, .what = what, .text = text};
	return p;
}

void
problems_free(struct problems *v)
{
	while (v->n > 0)
		free(v->problems[--v->n].text);
	free(v->problems);
	memset(v, 0, sizeof(*v));
}

enum severity
problems_worst(const struct problems *v)
{
	enum severity worst = SEVERITY_OK;

	for (size_t i = 0; i < v->n; i++)
		if (severity_ranks[v->problems[i].severity] > severity_ranks[worst])
			worst = v->problems[i].severity;
	return worst;
}

void
problems_sort(struct problems *v)
{
	struct problem *sorted = mem_alloc(v->n * sizeof(*sorted));
	size_t n = 0;

	for (int rank = 3; rank >= 0; rank--)
		for (size_t i = 0; i < v->n; i++)
			if (severity_ranks[v->problems[i].severity] == rank)
				sorted[n++] = v->problems[i];
	free(v->problems);
	v->problems = sorted;
	v->cap = v->n;
}

void
problems_line(struct bytes *out, const struct problems *v, const char *ok_text)
{
	char *p;

	bytes_addf(out, "%s - %s", severity_names[problems_worst(v)], v->n == 0 ? ok_text : "");
	for (size_t i = 0; i < v->n; i++)
		bytes_addf(out, "%s%s", i > 0 ? "; " : "", v->problems[i].text);
	bytes_str(out);
	err_clean(out->p);
	for (p = out->p; (p = strchr(p, '|')) != NULL;)
		*p = '/';
}

void
problems_json(struct item *document, const struct problems *v)
{
	struct bytes list = {0};

	item_text(document, "status", NULL, severity_names[problems_worst(v)]);
	for (const struct problem *p = v->problems; p < v->problems + v->n; p++) {
		struct item r = {.json = true};

		item_text(&r, "what", NULL, p->what);
		if (p->unit != NULL) {
			item_count(&r, "value", NULL, p->value);
			item_count(&r, "limit", NULL, p->limit);
		} else {
			item_text(&r, "value", NULL, p->value_text);
			item_text(&r, "limit", NULL, NULL);
		}
		item_text(&r, "unit", NULL, p->unit != NULL && *p->unit != '\0' ? p->unit : NULL);
		item_text(&r, "status", NULL, severity_names[p->severity]);
		item_text(&r, "event_type", NULL, p->type);
		item_text(&r, "group", NULL, p->group);
		item_text(&r, "text", NULL, p->text);
		item_push(&list, &r);
	}
	item_list(document, "problems", &list);
}

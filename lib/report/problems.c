#include "report/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonwrite.h"
#include "base/mem.h"

const char *
severity_name(enum severity g)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	return words[g];
}

static int
severity_rank(enum severity g)
{
	static const int ranks[] = {0, 2, 3, 1};

	return ranks[g];
}

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
	*p = (struct problem){.severity = g, .what = what, .text = text, .unit = ""};
	return p;
}

void
problems_free(struct problems *v)
{
	while (v->n > 0) {
		struct problem *p = &v->problems[--v->n];

		free(p->type);
		free(p->group);
		free(p->text);
		free(p->value_text);
	}
	free(v->problems);
	memset(v, 0, sizeof(*v));
}

enum severity
problems_worst(const struct problems *v)
{
	enum severity worst = SEVERITY_OK;

	for (size_t i = 0; i < v->n; i++)
		if (severity_rank(v->problems[i].severity) > severity_rank(worst))
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
			if (severity_rank(v->problems[i].severity) == rank)
				sorted[n++] = v->problems[i];
	free(v->problems);
	v->problems = sorted;
	v->cap = v->n;
}

static void
add_monitoring_text(struct bytes *out, const char *s)
{
	for (; *s != '\0'; s++)
		bytes_addc(out,
		    (char)((unsigned char)*s < 0x20 || *s == 0x7f ? '?'
		            : *s == '|'                           ? '/'
		                                                  : *s));
}

void
problems_line(struct bytes *out, const struct problems *v, const char *ok_text)
{
	bytes_addf(out, "%s - ", severity_name(problems_worst(v)));
	if (v->n == 0)
		add_monitoring_text(out, ok_text);
	for (size_t i = 0; i < v->n; i++) {
		bytes_adds(out, i > 0 ? "; " : "");
		add_monitoring_text(out, v->problems[i].text);
	}
}

static void
add_problem_json(struct bytes *out, const struct problem *p)
{
	jsonwrite_begin_object(out);
	jsonwrite_text(out, "what", p->what);
	if (p->measured) {
		jsonwrite_count(out, "value", p->value);
		jsonwrite_count(out, "limit", p->limit);
	} else {
		jsonwrite_text(out, "value", p->value_text);
		jsonwrite_text(out, "limit", NULL);
	}
	jsonwrite_text(out, "unit", *p->unit != '\0' ? p->unit : NULL);
	jsonwrite_text(out, "status", severity_name(p->severity));
	jsonwrite_text(out, "event_type", p->type);
	jsonwrite_text(out, "group", p->group);
	jsonwrite_text(out, "text", p->text);
	jsonwrite_end_object(out);
}

void
problems_json(struct bytes *out, const struct problems *v)
{
	jsonwrite_text(out, "status", severity_name(problems_worst(v)));
	jsonwrite_name(out, "problems");
	bytes_addc(out, '[');
	for (size_t i = 0; i < v->n; i++) {
		bytes_adds(out, i > 0 ? "," : "");
		add_problem_json(out, &v->problems[i]);
	}
	bytes_adds(out, "],");
}

#include "report/problems.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

const char *
severity_name(enum severity g)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	return words[g];
}

static int
weight(enum severity g)
{
	static const int weights[] = {0, 2, 3, 1};

	return weights[g];
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
		if (weight(v->problems[i].severity) > weight(worst))
			worst = v->problems[i].severity;
	return worst;
}

void
problems_sort(struct problems *v)
{
	struct problem *sorted = mem_alloc(v->n * sizeof(*sorted));
	size_t n = 0;

	for (int w = 3; w >= 0; w--)
		for (size_t i = 0; i < v->n; i++)
			if (weight(v->problems[i].severity) == w)
				sorted[n++] = v->problems[i];
	free(v->problems);
	v->problems = sorted;
	v->cap = v->n;
}

static void
add_line(struct bytes *out, const char *s)
{
	for (; *s != '\0'; s++)
		bytes_addc(out,
		    (char)((unsigned char)*s < 0x20 || *s == 0x7f ? '?'
		            : *s == '|'                           ? '/'
		                                                  : *s));
}

void
problems_line(struct bytes *out, const struct problems *v, const char *fine)
{
	bytes_addf(out, "%s - ", severity_name(problems_worst(v)));
	if (v->n == 0)
		add_line(out, fine);
	for (size_t i = 0; i < v->n; i++) {
		bytes_adds(out, i > 0 ? "; " : "");
		add_line(out, v->problems[i].text);
	}
}

static void
put_text(struct bytes *out, const char *name, const char *s)
{
	bytes_addf(out, "\"%s\":", name);
	if (s != NULL)
		json_quote_text(out, s, strlen(s));
	else
		bytes_adds(out, "null");
	bytes_addc(out, ',');
}

static void
put_problem(struct bytes *out, const struct problem *p)
{
	bytes_addc(out, '{');
	put_text(out, "what", p->what);
	if (p->measured)
		bytes_addf(out, "\"value\":%" PRIu64 ",\"limit\":%" PRIu64 ",", p->value, p->limit);
	else {
		put_text(out, "value", p->value_text);
		put_text(out, "limit", NULL);
	}
	put_text(out, "unit", *p->unit != '\0' ? p->unit : NULL);
	put_text(out, "status", severity_name(p->severity));
	put_text(out, "event_type", p->type);
	put_text(out, "group", p->group);
	put_text(out, "text", p->text);
	out->p[out->len - 1] = '}';
}

void
problems_json(struct bytes *out, const struct problems *v)
{
	put_text(out, "status", severity_name(problems_worst(v)));
	bytes_adds(out, "\"problems\":[");
	for (size_t i = 0; i < v->n; i++) {
		bytes_adds(out, i > 0 ? "," : "");
		put_problem(out, &v->problems[i]);
	}
	bytes_adds(out, "],");
}

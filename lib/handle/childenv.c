#include "handle/childenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/event.h"

#define LARGEST (32 << 10)

extern char **environ;

static const char *const names[] = {
    "EB_EVENT_TYPE",
    "EB_EVENT_ID",
    "EB_ID",
    "EB_STREAM",
    "EB_TRACE_ID",
    "EB_CORRELATION_ID",
    "EB_TIMESTAMP",
    "EB_SOURCE",
    "EB_DELIVERIES",
};
#define NAMES (sizeof(names) / sizeof(names[0]))

struct childenv {
	char **env; /* [0, own) is ours, then come the event's, and NULL */
	size_t own;
	char *url;         /* EB_REDIS_URL=... without its password, or NULL */
	struct bytes text; /* of the event's */
	size_t at[NAMES];
};

static bool
is(const char *var, const char *name)
{
	size_t n = strlen(name);

	return strncmp(var, name, n) == 0 && var[n] == '=';
}

static bool
left_out(const char *var)
{
	for (size_t i = 0; i < NAMES; i++)
		if (is(var, names[i]))
			return true;
	return is(var, "EB_REDIS_PASSWORD") || is(var, "REDISCLI_AUTH");
}

/* "EB_REDIS_URL=redis://user:password@host": the same without ":password". */
static char *
without_password(const char *var)
{
	const char *start = strstr(var, "//"), *at = strrchr(var, '@'), *colon;
	struct bytes b = {0};
	char *s;

	if (start == NULL || at == NULL ||
	    (colon = memchr(start, ':', (size_t)(at - start))) == NULL)
		return mem_strdup(var);
	bytes_add(&b, var, (size_t)(colon - var));
	bytes_adds(&b, colon == start + 2 ? at + 1 : at);
	s = mem_strdup(bytes_str(&b));
	bytes_free(&b);
	return s;
}

struct childenv *
childenv_new(void)
{
	struct childenv *f = mem_alloc(sizeof(*f));
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	f->env = mem_alloc((n + NAMES + 1) * sizeof(*f->env));
	for (size_t i = 0; i < n; i++) {
		if (left_out(environ[i]))
			continue;
		if (is(environ[i], "EB_REDIS_URL")) {
			if (f->url == NULL) /* the second of two means nothing */
				f->env[f->own++] = f->url = without_password(environ[i]);
		} else
			f->env[f->own++] = environ[i];
	}
	return f;
}

char **
childenv_without_event(struct childenv *f)
{
	f->env[f->own] = NULL;
	return f->env;
}

char **
childenv_for_event(struct childenv *f, const struct record *r)
{
	char deliveries[24];
	struct event e;
	size_t n = 0;

	event_from_fields(&e, r->kv, r->nkv);
	snprintf(deliveries, sizeof(deliveries), "%lld", (long long)r->deliveries);
	const struct slice values[NAMES] = {
	    e.type.p != NULL ? e.type : r->type,
	    e.event_id,
	    r->id,
	    r->stream,
	    e.trace_id,
	    e.correlation_id,
	    e.timestamp,
	    e.source,
	    slice_of(deliveries),
	};

	f->text.len = 0;
	for (size_t i = 0; i < NAMES; i++) {
		if (values[i].p == NULL || values[i].n > LARGEST ||
		    memchr(values[i].p, '\0', values[i].n) != NULL)
			continue;
		f->at[n++] = f->text.len;
		bytes_adds(&f->text, names[i]);
		bytes_addc(&f->text, '=');
		bytes_add(&f->text, values[i].p, values[i].n);
		bytes_addc(&f->text, '\0');
	}
	for (size_t i = 0; i < n; i++)
		f->env[f->own + i] = f->text.p + f->at[i];
	f->env[f->own + n] = NULL;
	return f->env;
}

void
childenv_free(struct childenv *f)
{
	if (f == NULL)
		return;
	bytes_free(&f->text);
	free(f->url);
	free(f->env);
	free(f);
}

#include "handle/childenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/event.h"
#include "redis/url.h"

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
	char **env; /* [0, own) is inherited, then come the event's, then NULL */
	size_t own;
	char *url;         /* "EB_REDIS_URL=..." without its password; NULL: not set */
	struct bytes text; /* the event's variables, each with a NUL */
};

static bool
is_variable(const char *var, const char *name)
{
	size_t n = strlen(name);

	return strncmp(var, name, n) == 0 && var[n] == '=';
}

static bool
is_left_out(const char *var)
{
	for (size_t i = 0; i < NAMES; i++)
		if (is_variable(var, names[i]))
			return true;
	return is_variable(var, "EB_REDIS_PASSWORD") || is_variable(var, "REDISCLI_AUTH");
}

/* Returns "EB_REDIS_URL=redis://user:password@host" without ":password". */
static char *
strip_password(const char *var)
{
	const char *start = strstr(var, "://"), *at = url_login_end(var), *colon;
	struct bytes b = {0};
	char *s;

	if (at == NULL || (colon = memchr(start + 3, ':', (size_t)(at - start - 3))) == NULL)
		return mem_strdup(var);
	bytes_add(&b, var, (size_t)(colon - var));
	bytes_adds(&b, colon == start + 3 ? at + 1 : at);
	s = mem_strdup(bytes_str(&b));
	bytes_free(&b);
	return s;
}

struct childenv *
childenv_new(void)
{
	struct childenv *env = mem_alloc(sizeof(*env));
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	env->env = mem_alloc((n + NAMES + 1) * sizeof(*env->env));
	for (size_t i = 0; i < n; i++) {
		if (is_left_out(environ[i]))
			continue;
		if (is_variable(environ[i], "EB_REDIS_URL")) {
			if (env->url == NULL) /* getenv(3) sees only the first of two */
				env->env[env->own++] = env->url = strip_password(environ[i]);
		} else
			env->env[env->own++] = environ[i];
	}
	return env;
}

char **
childenv_without_event(struct childenv *env)
{
	env->env[env->own] = NULL;
	return env->env;
}

char **
childenv_for_event(struct childenv *env, const struct event_entry *record)
{
	char deliveries[24];
	struct event event;
	size_t n = env->own;

	event_from_fields(&event, record->kv, record->nkv);
	snprintf(deliveries, sizeof(deliveries), "%lld", (long long)record->deliveries);
	const struct slice values[NAMES] = {
	    event.type.p != NULL ? event.type : record->type,
	    event.event_id,
	    record->id,
	    record->stream,
	    event.trace_id,
	    event.correlation_id,
	    event.timestamp,
	    event.source,
	    slice_of(deliveries),
	};

	env->text.len = 0;
	for (size_t i = 0; i < NAMES; i++) {
		if (values[i].p == NULL || values[i].n > LARGEST ||
		    memchr(values[i].p, '\0', values[i].n) != NULL)
			continue;
		bytes_adds(&env->text, names[i]);
		bytes_addc(&env->text, '=');
		bytes_add(&env->text, values[i].p, values[i].n);
		bytes_addc(&env->text, '\0');
	}
	for (size_t at = 0; at < env->text.len; at += strlen(env->text.p + at) + 1)
		env->env[n++] = env->text.p + at;
	env->env[n] = NULL;
	return env->env;
}

void
childenv_free(struct childenv *env)
{
	if (env == NULL)
		return;
	bytes_free(&env->text);
	free(env->url);
	free(env->env);
	free(env);
}

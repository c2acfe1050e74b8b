/* Taps for the types that were named. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebsub.h"
#include "names.h"
#include "stream.h"
#include "util.h"
#include "when.h"

static void
add_tap(const char *type, const char *key)
{
	struct follow *w = &eb.follow;
	char *group = NULL;

	for (size_t i = 0; i < w->n; i++)
		if (strcmp(tap_type(w->taps[i]), type) == 0)
			return;
	if (!eb.peek)
		group = eb.group != NULL ? util_strdup(eb.group) : names_group(eb.conf.prefix, eb.conf.service, type);
	w->taps = util_realloc(w->taps, (w->n + 1) * sizeof(*w->taps));
	w->taps[w->n++] = tap_new(&eb.plan, type, key, group, on_note, NULL);
	if (group != NULL && !eb.conf.quiet && (eb.conf.verbose ||
	    (isatty(STDERR_FILENO) && !eb.conf.service_given && eb.group == NULL)))
		warnx("reading as group '%s', consumer '%s', and acknowledging; --peek only looks", group, eb.plan.consumer);
	free(group);
}

static char *
key_of(const char *type)
{
	return eb.dead ? names_dead(eb.conf.prefix, type) : names_stream(eb.conf.prefix, type);
}

static void
add_pattern(const char *pattern)
{
	char *match = key_of(pattern), **keys;
	enum bus_why why;
	struct fail f;
	size_t n;
	bool complete;
	struct bus *b = bus_open(&eb.conf.url, eb.conf.timeout_ms, &why, &f);

	if (b == NULL || stream_keys(b, match, when_mono() + eb.conf.timeout_ms, &keys, &n, &complete, &f) == -1)
		errx(f.status, "%s", f.text);
	if (!complete)
		warnx("'%s': not all keys could be looked at in time", pattern);
	for (size_t i = 0; i < n; i++) {
		const char *type = (eb.dead ? names_dead_type : names_type)(eb.conf.prefix, keys[i], strlen(keys[i]));

		if (type != NULL)
			add_tap(type, keys[i]);
		free(keys[i]);
	}
	if (n == 0 && !eb.conf.quiet)
		warnx("'%s': no such stream", pattern);
	free(keys);
	free(match);
	bus_close(b);
}

void
add_type(const char *type)
{
	char *key;

	if (names_pattern(type)) {
		add_pattern(type);
		return;
	}
	key = key_of(type);
	add_tap(type, key);
	free(key);
}

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "counters.h"
#include "run.h"

void
run_say(struct run *d, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!d->o->say)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->o->say(d->o->arg, text);
}

void
run_quarantine(struct run *d, const char *stem, uint64_t pos, struct slice line, const char *reason)
{
	uint64_t add[COUNTERS] = { [COUNT_QUARANTINED] = 1 };
	struct fail f;

	if (quarantine_add(d->q, stem, pos, reason, line, &f) == -1) {
		progress_add_broken(&d->p, stem);
		run_say(d, "quarantine: %s; the segment goes there whole", f.text);
	}
	d->r->quarantined++;
	counters_add(d->sp, add);
	if (d->r->quarantined <= RUN_WORDS)
		run_say(d, "'%s' at %" PRIu64 ": %s: put into quarantine", stem, pos, reason);
}

int64_t
run_limit(const struct run *d, const struct batch_item *it)
{
	if (it->line.maxlen >= 0)
		return it->line.maxlen;
	return d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, it->lane->type);
}

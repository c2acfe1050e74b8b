#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "buffer/counters.h"
#include "drain/load.h"
#include "drain/run.h"
#include "base/status.h"
#include "base/when.h"

void
run_say(struct run *d, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fail_clean(text);
	d->o->say(d->o->arg, text);
}

void
run_quarantine(struct run *d, const char *stem, uint64_t pos, struct slice line, const char *reason)
{
	uint64_t add[COUNTERS] = { [COUNT_QUARANTINED] = 1 };
	struct fail f;

	fail_set(&f, STATUS_SOME, "'%s' at %" PRIu64 ": a bad line of %zu bytes", stem, pos, line.n);
	if (line.n > QUARANTINE_LINE || quarantine_add(d->q, stem, pos, reason, line, &f) == -1) {
		progress_add_broken(&d->p, stem);
		run_say(d, "quarantine: %s; the segment goes there whole", f.text);
	}
	d->r->quarantined++;
	counters_add(d->sp, add);
	if (d->r->quarantined <= RUN_WORDS)
		run_say(d, "'%s' at %" PRIu64 ": %s: put into quarantine", stem, pos, reason);
}

bool
run_stopping(const struct run *d)
{
	return d->o->stop && *d->o->stop;
}

bool
run_over(const struct run *d)
{
	return run_stopping(d) || (d->o->limit && d->tried >= d->o->limit) ||
	    (d->o->budget_ms && when_mono() - d->started >= d->o->budget_ms);
}

bool
run_tries_late(struct run *d)
{
	size_t i;

	for (i = 0; i < d->p.lates; i++)
		if (!load_lane(d, slice_of(d->p.late[i].type))->stopped)
			return true;
	return false;
}

bool
run_wants(struct run *d)
{
	const struct mark *main = &d->p.marks.chain, *at = &d->walked.chain;

	return !d->covers || !d->p.lates || d->old.on || !at->stem || !main->stem ||
	    mark_cmp(at, main->stem, main->pos) >= 0 || run_tries_late(d);
}

int64_t
run_limit(const struct run *d, int64_t own, const char *type)
{
	if (own >= 0)
		return own;
	return d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, type);
}

uint64_t
run_drained(const struct run *d)
{
	return d->r->replayed + d->r->found + d->r->quarantined - d->pieces;
}

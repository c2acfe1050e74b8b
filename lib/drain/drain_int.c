#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "buffer/counters.h"
#include "drain/load.h"
#include "drain/drain_int.h"
#include "base/status.h"
#include "base/clock.h"

void
drain_say(struct drain *d, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_clean(text);
	d->o->say(d->o->arg, text);
}

void
drain_quarantine(struct drain *d, const char *stem, uint64_t pos, struct slice line, const char *reason)
{
	uint64_t add[COUNTERS] = { [COUNT_QUARANTINED] = 1 };
	struct err err;

	err_set(&err, STATUS_SOME, "'%s' at %" PRIu64 ": a bad line of %zu bytes", stem, pos, line.n);
	if (line.n > QUARANTINE_LINE || quarantine_add(d->q, stem, pos, reason, line, &err) == -1) {
		checkpoint_add_broken(&d->checkpoint, stem);
		drain_say(d, "quarantine: %s; the segment goes there whole", err.text);
	}
	d->r->quarantined++;
	counters_add(d->buf, add);
	if (d->r->quarantined <= DRAIN_WORDS)
		drain_say(d, "'%s' at %" PRIu64 ": %s: put into quarantine", stem, pos, reason);
}

bool
drain_stopping(const struct drain *d)
{
	return d->o->stop && *d->o->stop;
}

bool
drain_over(const struct drain *d)
{
	return drain_stopping(d) || (d->o->limit && d->tried >= d->o->limit) ||
	    (d->o->budget_ms && clock_mono() - d->started >= d->o->budget_ms);
}

bool
drain_tries_lagging(struct drain *d)
{
	size_t i;

	for (i = 0; i < d->checkpoint.lates; i++)
		if (!batch_dest(d, slice_of(d->checkpoint.late[i].type))->stopped)
			return true;
	return false;
}

bool
drain_wants(struct drain *d)
{
	const struct position *main = &d->checkpoint.marks.chain, *at = &d->walked.chain;

	return !d->covers || !d->checkpoint.lates || d->old.on || !at->stem || !main->stem ||
	    position_cmp(at, main->stem, main->pos) >= 0 || drain_tries_lagging(d);
}

int64_t
drain_limit(const struct drain *d, int64_t own, const char *type)
{
	if (own >= 0)
		return own;
	return d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, type);
}

uint64_t
drain_drained(const struct drain *d)
{
	return d->r->replayed + d->r->found + d->r->quarantined - d->pieces;
}

#include "drain/run.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

void
run_say(const struct run *run, const char *fmt, ...)
{
	struct err message;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&message, 0, fmt, ap);
	va_end(ap);
	run->o->say(run->o->arg, message.text);
}

bool
run_must_end(const struct run *run)
{
	return pace_is_stopped(&run->pace) || pace_is_used_up(&run->pace) ||
	    (run->o->budget_ms && clock_mono() - run->pace.started >= run->o->budget_ms);
}

int64_t
run_maxlen(const struct run *run, int64_t own, const char *type)
{
	if (own >= 0)
		return own;
	return run->o->maxlen >= 0 ? run->o->maxlen : conf_maxlen(run->o->conf, type);
}

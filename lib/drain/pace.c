#include "drain/pace.h"

#include <time.h>

#include "base/clock.h"

#define SLICE_MS 50 /* a signal may arrive just before a sleep */

bool
pace_is_stopped(const struct pace *pace)
{
	return pace->stop != NULL && *pace->stop;
}

bool
pace_is_used_up(const struct pace *pace)
{
	return pace->limit && pace->done >= pace->limit;
}

size_t
pace_most(const struct pace *pace, size_t n)
{
	if (pace->rate && n > pace->rate / 10 + 1)
		n = (size_t)(pace->rate / 10 + 1);
	if (pace->limit && n > pace->limit - pace->done)
		n = (size_t)(pace->limit - pace->done);
	return n;
}

void
pace_keep_rate(const struct pace *pace)
{
	if (pace->rate)
		pace_sleep(
		    pace, pace->started + (int64_t)(pace->done * 1000 / pace->rate) - clock_mono());
}

void
pace_sleep(const struct pace *pace, int64_t ms)
{
	int64_t until = clock_mono() + ms;

	for (; ms > 0 && !pace_is_stopped(pace); ms = until - clock_mono())
		nanosleep(&(struct timespec){0, (ms > SLICE_MS ? SLICE_MS : ms) * 1000000}, NULL);
}

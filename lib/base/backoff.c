#include "base/backoff.h"

#include <sys/random.h>

#include <stdlib.h>

int64_t
backoff_next(struct backoff *b)
{
	uint32_t random = 0;
	int64_t pause = b->next ? b->next : b->first;

	b->next = pause * 2 < b->max ? pause * 2 : b->max;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		return pause;
	return pause / 2 + random % (pause / 2 + 1);
}

void
backoff_reset(struct backoff *b)
{
	b->next = 0;
}

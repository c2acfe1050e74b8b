#include "redis/pace.h"

struct pace
pace_start(size_t first, size_t most)
{
	if (most == 0 || most > PACE_MOST)
		most = PACE_MOST;
	return (struct pace){.count = first < most ? first : most, .most = most};
}

void
pace_learn(struct pace *p, size_t got, size_t bytes)
{
	size_t fit;

	if (got == 0)
		return;
	fit = PACE_BYTES / (bytes / got + 1);
	if (got >= p->count && p->count < p->most)
		p->count *= 4;
	if (p->count > fit)
		p->count = fit;
	if (p->count > p->most)
		p->count = p->most;
	if (p->count == 0)
		p->count = 1;
}

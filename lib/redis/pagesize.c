#include "redis/pagesize.h"

struct pagesize
pagesize_start(size_t first, size_t most)
{
	if (most == 0 || most > PAGESIZE_MOST)
		most = PAGESIZE_MOST;
	return (struct pagesize){.count = first < most ? first : most, .most = most};
}

void
pagesize_learn(struct pagesize *p, size_t got, size_t bytes)
{
	size_t fit;

	if (got == 0)
		return;
	fit = PAGESIZE_BYTES / (bytes / got + 1);
	if (got >= p->count && p->count < p->most)
		p->count *= 4;
	if (p->count > fit)
		p->count = fit;
	if (p->count > p->most)
		p->count = p->most;
	if (p->count == 0)
		p->count = 1;
}

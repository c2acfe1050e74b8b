#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/human.h"

void
num_human(uint64_t bytes, char out[NUM_HUMAN_SIZE])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, NUM_HUMAN_SIZE, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
		return;
	}
	/* What would be printed as 1024.0 is one of the next unit. */
	for (; n >= 1023.95 && i < sizeof(units) / sizeof(units[0]) - 1; i++)
		n /= 1024;
	snprintf(out, NUM_HUMAN_SIZE, "%.1f %s", n, units[i]);
}

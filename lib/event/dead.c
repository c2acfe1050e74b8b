#include "event/dead.h"

static const char *const names[DEAD_FIELDS] = {
	"dead_id", "dead_stream", "dead_group", "dead_consumer", "dead_attempts", "dead_status", "dead_stderr", "dead_time",
};

void
dead_fields(const struct dead *d, struct slice kv[2 * DEAD_FIELDS])
{
	const struct slice values[DEAD_FIELDS] = {
		d->id, d->stream, d->group, d->consumer, d->attempts, d->status, d->words, d->time,
	};

	for (size_t i = 0; i < DEAD_FIELDS; i++) {
		kv[2 * i] = slice_of(names[i]);
		kv[2 * i + 1] = values[i];
	}
}

size_t
dead_read(const struct slice *kv, size_t nkv, struct dead *d)
{
	const struct slice *at;
	size_t own;

	*d = (struct dead){0};
	if (nkv < 2 * DEAD_FIELDS)
		return nkv;
	own = nkv - 2 * DEAD_FIELDS;
	at = kv + own;
	for (size_t i = 0; i < DEAD_FIELDS; i++)
		if (!slice_eq(at[2 * i], names[i]))
			return nkv;
	*d = (struct dead){at[1], at[3], at[5], at[7], at[9], at[11], at[13], at[15]};
	return own;
}

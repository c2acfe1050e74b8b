#include "event/provenance.h"

static const char *const names[PROVENANCE_FIELDS] = {
    "dead_id",
    "dead_stream",
    "dead_group",
    "dead_consumer",
    "dead_attempts",
    "dead_status",
    "dead_stderr",
    "dead_time",
};

void
provenance_to_fields(const struct provenance *d, struct slice kv[2 * PROVENANCE_FIELDS])
{
	const struct slice values[PROVENANCE_FIELDS] = {
	    d->id,
	    d->stream,
	    d->group,
	    d->consumer,
	    d->attempts,
	    d->status,
	    d->stderr_tail,
	    d->time,
	};

	for (size_t i = 0; i < PROVENANCE_FIELDS; i++) {
		kv[2 * i] = slice_of(names[i]);
		kv[2 * i + 1] = values[i];
	}
}

size_t
provenance_from_fields(const struct slice *kv, size_t nkv, struct provenance *d)
{
	const struct slice *at;
	size_t own;

	*d = (struct provenance){0};
	if (nkv < 2 * PROVENANCE_FIELDS)
		return nkv;
	own = nkv - 2 * PROVENANCE_FIELDS;
	at = kv + own;
	for (size_t i = 0; i < PROVENANCE_FIELDS; i++)
		if (!slice_is(at[2 * i], names[i]))
			return nkv;
	*d = (struct provenance){at[1], at[3], at[5], at[7], at[9], at[11], at[13], at[15]};
	return own;
}

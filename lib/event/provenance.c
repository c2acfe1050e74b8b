#include "event/provenance.h"

const struct slice provenance_names[PROVENANCE_FIELDS] = {SLICE("dead_id"), SLICE("dead_stream"),
    SLICE("dead_group"), SLICE("dead_consumer"), SLICE("dead_attempts"), SLICE("dead_status"),
    SLICE("dead_stderr"), SLICE("dead_time")};

void
provenance_to_fields(const struct provenance *d, struct slice kv[2 * PROVENANCE_FIELDS])
{
	for (size_t i = 0; i < PROVENANCE_FIELDS; i++) {
		kv[2 * i] = provenance_names[i];
		kv[2 * i + 1] = d->field[i];
	}
}

size_t
provenance_from_fields(const struct slice *kv, size_t nkv, struct provenance *d)
{
	size_t own = nkv - 2 * PROVENANCE_FIELDS;

	*d = (struct provenance){0};
	if (nkv < 2 * PROVENANCE_FIELDS)
		return nkv;
	for (size_t i = 0; i < PROVENANCE_FIELDS; i++)
		if (!slice_equal(kv[own + 2 * i], provenance_names[i]))
			return nkv;
	for (size_t i = 0; i < PROVENANCE_FIELDS; i++)
		d->field[i] = kv[own + 2 * i + 1];
	return own;
}

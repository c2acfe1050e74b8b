#include "report/deadfmt.h"

#include "base/clock.h"
#include "event/event.h"

static void
add_if_any(struct item *r, const char *title, struct slice s)
{
	if (s.n > 0)
		item_slice(r, NULL, title, s);
}

int
deadfmt_row(struct table *t, const struct redrive_letter *l)
{
	static const struct column columns[] = {{"ID", -17}, {"DEAD AT", -20}, {"TYPE", -16},
	    {"ENTRY", -17}, {"GROUP", -24}, {"ATTEMPTS", 8}, {"REASON", -10}, {"PAYLOAD", -1},
	    {NULL, 0}};
	struct item r = {0};
	struct bytes payload = {0};

	t->columns = columns;
	item_slice(&r, NULL, "ID", l->entry.id);
	if (l->dead.time.n >= sizeof("2025-12-04T10:30:00") - 1)
		item_words(&r, "DEAD AT", "%.19sZ", l->dead.time.p);
	item_slice(&r, NULL, "TYPE", l->entry.type);
	add_if_any(&r, "ENTRY", l->dead.id);
	add_if_any(&r, "GROUP", l->dead.group);
	add_if_any(&r, "ATTEMPTS", l->dead.attempts);
	add_if_any(&r, "REASON", l->dead.status);
	event_add_payload(&payload, l->entry.kv, l->own_fields);
	item_slice(&r, NULL, "PAYLOAD", (struct slice){payload.p, payload.len});
	bytes_free(&payload);
	return table_line(t, &r);
}

void
deadfmt_result(struct bytes *out, const struct redrive_options *o,
    const struct redrive_result *result, bool json, int64_t ms)
{
	struct item r = {.json = json};
	char span[32];

	if (o->drop)
		item_count(&r, "deleted", "deleted", result->dropped);
	else
		item_count(&r, "redriven", "re-driven", result->moved);
	item_count(&r, "gone", "already gone", result->gone);
	if (!o->drop) {
		item_count(&r, "refused", "refused", result->refused);
		item_count(&r, "trimmed", NULL, result->trimmed);
	}
	item_count(&r, "stopped", "types stopped", result->stopped);
	item_bool(&r, "left", result->left);
	item_count(&r, "status", NULL, (uint64_t)result->status);
	if (json) {
		item_json(out, &r);
		return;
	}
	clock_format_span(ms, span, sizeof(span));
	item_sentence(out, &r);
	bytes_addf(out, ", in %s%s", span, result->left ? "; dead letters remain" : "");
	item_free(&r);
}

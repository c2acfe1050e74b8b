#include "report/drainfmt.h"

#include <inttypes.h>

#include "base/clock.h"
#include "event/event.h"

/* Appends the item, which it empties; rest ends the words. */
static void
add_result(struct bytes *out, struct item *r, int64_t ms, const char *rest)
{
	char span[32];

	if (r->json) {
		item_json(out, r);
		return;
	}
	clock_format_span(ms, span, sizeof(span));
	item_sentence(out, r);
	bytes_addf(out, ", in %s%s", span, rest);
	item_free(r);
}

void
drainfmt_result(struct bytes *out, const struct drain_result *result, bool json, int64_t ms)
{
	struct item r = {.json = json};

	item_count(&r, "replayed", "replayed", result->replayed);
	item_count(&r, "found", "already in their stream", result->found);
	item_count(&r, "quarantined", "quarantined", result->quarantined);
	item_count(&r, "possible_duplicates", "possible duplicates", result->possible_duplicates);
	item_count(&r, "trimmed", NULL, result->trimmed);
	item_count(&r, "out_of_order", NULL, result->disordered);
	item_count(&r, "held", "types held", result->held);
	item_bool(&r, "left", result->left);
	item_count(&r, "status", NULL, (uint64_t)result->status);
	add_result(out, &r, ms, result->left ? "; events remain in the buffer" : "");
}

void
drainfmt_dead_result(struct bytes *out, const struct redrive_options *o,
    const struct redrive_result *result, bool json, int64_t ms)
{
	struct item r = {.json = json};

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
	add_result(out, &r, ms, result->left ? "; dead letters remain" : "");
}

void
drainfmt_preview(struct bytes *out, const struct backlog *b, const char *target)
{
	bytes_addf(out, "%" PRIu64 " events in %" PRIu64 " segments would be replayed to %s",
	    b->events, b->files, target);
	for (size_t i = 0; i < b->nheld; i++)
		bytes_addf(out, "\n%" PRIu64 " of them, '%s', held: %s", b->held[i].events,
		    b->held[i].type, b->held[i].reason);
}

static void
add_if_any(struct item *r, const char *title, struct slice s)
{
	if (s.n > 0)
		item_slice(r, NULL, title, s);
}

int
drainfmt_letter(struct table *t, const struct redrive_letter *l)
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

#include "report/drainfmt.h"

#include <inttypes.h>

#include "base/clock.h"

void
drainfmt_progress(struct bytes *out, uint64_t done, uint64_t total, int64_t ms)
{
	uint64_t rate = done * 1000 / (uint64_t)ms;
	char time_left[32];

	clock_format_span(rate && total > done ? (int64_t)((total - done) * 1000 / rate) : 0,
	    time_left, sizeof(time_left));
	bytes_addf(out, "%" PRIu64 " of %" PRIu64 " events, %" PRIu64 "/s, %s left", done, total,
	    rate, time_left);
}

/* left: the words when something is left, else NULL. */
static void
add_result(struct bytes *out, struct item *r, const char *left, int status, int64_t ms)
{
	char span[32];

	item_bool(r, "left", left != NULL);
	item_count(r, "status", NULL, (uint64_t)status);
	if (r->json) {
		item_json(out, r);
		return;
	}
	item_sentence(out, r);
	item_free(r);
	clock_format_span(ms, span, sizeof(span));
	bytes_addf(out, ", in %s%s%s", span, left != NULL ? "; " : "", left != NULL ? left : "");
}

void
drainfmt_result(
    struct bytes *out, bool json, const struct drain_result *result, int status, int64_t ms)
{
	struct item r = {.json = json};

	item_count(&r, "replayed", "replayed", result->replayed);
	item_count(&r, "found", "already in their stream", result->found);
	item_count(&r, "quarantined", "quarantined", result->quarantined);
	item_count(&r, "possible_duplicates", "possible duplicates", result->possible_duplicates);
	item_count(&r, "trimmed", NULL, result->trimmed);
	item_count(&r, "out_of_order", NULL, result->disordered);
	item_count(&r, "held", "types held", result->held);
	add_result(out, &r, result->left ? "events remain in the buffer" : NULL, status, ms);
}

void
drainfmt_redrive(
    struct bytes *out, bool json, const struct redrive_result *result, int status, int64_t ms)
{
	struct item r = {.json = json};

	item_count(&r, "redriven", "re-driven", result->moved);
	item_count(&r, "gone", "already gone", result->gone);
	item_count(&r, "refused", "refused", result->refused);
	item_count(&r, "trimmed", NULL, result->trimmed);
	item_count(&r, "stopped", "types stopped", result->stopped);
	add_result(out, &r, result->left ? "dead letters remain" : NULL, status, ms);
}

/* Cuts what would break the columns. */
static struct slice
cut_field(struct slice s)
{
	return (struct slice){s.p, s.n < 200 ? s.n : 200};
}

int
drainfmt_dead_letter(struct table *t, const struct redrive_preview *l)
{
	static const struct column columns[] = {{"SET ASIDE AT", -27}, {"TYPE", -24},
	    {"EVENT ID", -36}, {"BYTES", 8}, {"ATTEMPTS", 8}, {"STATUS", -1}, {NULL, 0}};
	static const char *const titles[PROVENANCE_FIELDS] = {
	    [4] = "ATTEMPTS", [5] = "STATUS", [7] = "SET ASIDE AT"};
	struct slice fields[2 * PROVENANCE_FIELDS];
	struct item r = {.json = t->json};

	t->columns = columns;
	table_titles(t);
	if (l == NULL)
		return 0;
	item_slice(&r, "id", NULL, l->id);
	item_text(&r, "event_type", "TYPE", l->type);
	if (l->event_id.n > 0)
		item_slice(
		    &r, "event_id", "EVENT ID", t->json ? l->event_id : cut_field(l->event_id));
	else
		item_text(&r, "event_id", NULL, NULL);
	item_count(&r, "bytes", "BYTES", l->bytes);
	provenance_to_fields(&l->dead, fields);
	for (size_t i = 0; l->dead.id.p != NULL && i < PROVENANCE_FIELDS; i++) {
		struct slice value = fields[2 * i + 1];

		item_slice(&r, fields[2 * i].p, value.n > 0 ? titles[i] : NULL,
		    t->json ? value : cut_field(value));
	}
	return table_line(t, &r);
}

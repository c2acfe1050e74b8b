#include "report/drainfmt.h"

#include <inttypes.h>

#include "base/clock.h"
#include "report/item.h"

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

void
drainfmt_result(struct bytes *out, const struct drain_result *result, bool json, int64_t ms)
{
	struct item r = {.json = json};
	char span[32];

	item_count(&r, "replayed", "replayed", result->replayed);
	item_count(&r, "found", "already in their stream", result->found);
	item_count(&r, "quarantined", "quarantined", result->quarantined);
	item_count(&r, "possible_duplicates", "possible duplicates", result->possible_duplicates);
	item_count(&r, "trimmed", NULL, result->trimmed);
	item_count(&r, "out_of_order", NULL, result->disordered);
	item_count(&r, "held", "types held", result->held);
	item_bool(&r, "left", result->left);
	item_count(&r, "status", NULL, (uint64_t)result->status);
	if (json) {
		item_json(out, &r);
		return;
	}
	clock_format_span(ms, span, sizeof(span));
	item_sentence(out, &r);
	bytes_addf(out, ", in %s%s", span, result->left ? "; events remain in the buffer" : "");
	item_free(&r);
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

#include "report/bufferfmt.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "event/event.h"

/* --- buffered lines ---------------------------------------------------------------------- */

static void
describe_buffered_event(struct item *r, const struct inspect_line *l)
{
	const struct line *line = l->line;
	char when[CLOCK_SIZE];

	clock_format(line->buffered_at, when);
	item_words(r, "BUFFERED AT", "%.19sZ", when);
	item_slice(r, NULL, "TYPE", line->e.type);
	item_slice(r, NULL, "EVENT ID", line->e.event_id);
	item_words(r, "", "%s%s",
	    l->held != NULL      ? "held: "
	        : line->in_doubt ? "in doubt"
	                         : "",
	    l->held != NULL ? l->held : "");
	item_slice(r, NULL, "PAYLOAD", line->e.payload);
	item_time(r, "buffered_at", NULL, line->buffered_at);
	item_bool(r, "derived", l->derived);
	item_bool(r, "in_doubt", line->in_doubt);
	if (l->held != NULL)
		item_text(r, "held", NULL, l->held);
}

/* Emits the event as ebsub -j prints it, with the members of the item behind its own. */
static int
emit_event_json(struct table *t, const struct event *e, struct item *r)
{
	struct slice kv[2 * EVENT_FIELDS];
	struct bytes rest = {0}, out = {0};
	int stop;

	event_to_fields(e, kv);
	event_add_json(
	    &out, &(struct event_entry){.kv = kv, .nkv = 2 * EVENT_FIELDS, .deliveries = -1});
	item_json(&rest, r);
	out.p[out.len - 1] = ',';
	bytes_add(&out, rest.p + 1, rest.len - 1);
	stop = t->emit(t->arg, bytes_str(&out));
	bytes_free(&rest);
	bytes_free(&out);
	return stop;
}

int
bufferfmt_line(struct table *t, const struct inspect_line *l)
{
	static const struct column columns[] = {{"BUFFERED AT", -20}, {"TYPE", -16},
	    {"EVENT ID", -36}, {"", 0}, {"PAYLOAD", -1}, {NULL, 0}};
	struct item r = {.json = t->json};

	t->columns = columns;
	if (l->bad != NULL) {
		item_text(&r, "bad", NULL, l->bad);
		item_words(&r, "", "BAD: %s (%s at %" PRIu64 ")", l->bad, l->segment, l->offset);
	} else
		describe_buffered_event(&r, l);
	item_text(&r, "segment", NULL, l->segment);
	item_count(&r, "offset", NULL, l->offset);
	item_count(&r, "bytes", NULL, l->bytes);
	return t->json && l->bad == NULL ? emit_event_json(t, &l->line->e, &r) : table_line(t, &r);
}

void
bufferfmt_set_aside(struct table *t, uint64_t moved, uint64_t unknown)
{
	struct item r = {.json = true};

	item_count(&r, "set_aside", NULL, moved);
	item_count(&r, "not_found", NULL, unknown);
	table_line(t, &r);
}

/* --- quarantine ------------------------------------------------------------------------ */

int
bufferfmt_quarantined(struct table *t, const struct requeue_line *l)
{
	static const struct column columns[] = {{"QUARANTINED AT", -27}, {"TYPE", -24},
	    {"EVENT ID", -36}, {"BYTES", 8}, {"REASON", -1}, {NULL, 0}};
	struct item r = {.json = t->json};

	t->columns = columns;
	item_text(&r, "file", NULL, l->file);
	item_slice(&r, "segment", NULL, l->segment);
	item_count(&r, "offset", NULL, l->offset);
	item_slice(&r, "reason", NULL, l->reason);
	item_words(&r, "REASON", "%.*s (%s at %" PRIu64 ")", (int)l->reason.n, l->reason.p, l->file,
	    l->offset);
	item_time(&r, "quarantined_at", "QUARANTINED AT", l->at);
	if (l->event != NULL) {
		item_slice(&r, "event_type", "TYPE", l->event->e.type);
		item_slice(&r, "event_id", "EVENT ID", l->event->e.event_id);
	} else {
		item_text(&r, "event_type", NULL, NULL);
		item_text(&r, "event_id", NULL, NULL);
	}
	item_count(&r, "bytes", "BYTES", l->line.n);
	return table_line(t, &r);
}

/* --- check ------------------------------------------------------------------------------- */

void
bufferfmt_check(struct table *t, const struct inspect_report *report)
{
	struct item r = {.json = t->json};
	struct bytes text = {0};
	char bad[48];

	snprintf(bad, sizeof(bad), "bad (%" PRIu64 " torn)", report->torn);
	item_count(&r, "segments", "segments", report->segments);
	item_count(&r, "lines", "lines", report->lines);
	item_count(&r, "delivered", "delivered", report->delivered);
	item_count(&r, "bad", bad, report->bad);
	item_count(&r, "torn", NULL, report->torn);
	item_count(&r, "out_of_order", "out of order", report->disorder);
	item_count(&r, "odd_files", "ignored files", report->ignored);
	item_count(&r, "suspect", "suspect", report->suspect);
	item_count(&r, "vanished", "vanished", report->vanished);
	item_count(&r, "unreadable", "unreadable", report->unreadable);
	item_sentence(&text, &r);
	table_text(t, &r, &text);
}

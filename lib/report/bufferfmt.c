#include "report/bufferfmt.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "buffer/line.h"

/* Shows one line. Returns non-zero to stop. */
static int
show_line(struct bufferfmt *fmt, struct item *r)
{
	return table_line(&fmt->table, r) || (fmt->limit && --fmt->limit == 0);
}

/* --- the buffer ---------------------------------------------------------------------- */

static const struct column undelivered_columns[] = {
    {"BUFFERED AT", -27}, {"TYPE", -24}, {"EVENT ID", -36}, {"BYTES", 8}, {"", -1}, {NULL, 0}};

static void
add_event_fields(struct item *r, const struct inspect_line *l)
{
	const struct event *e = &l->line->e;

	item_slice(r, "event_type", "TYPE", e->type);
	item_slice(r, "event_id", "EVENT ID", e->event_id);
	item_time(r, "buffered_at", "BUFFERED AT", l->line->buffered_at);
	item_slice(r, "timestamp", NULL, e->timestamp);
	item_slice(r, "source", NULL, e->source);
	item_bool(r, "derived", l->derived);
	item_bool(r, "in_doubt", l->line->in_doubt);
	if (l->held != NULL) {
		item_text(r, "held", NULL, l->held);
		item_words(r, "", "held: %s", l->held);
	} else if (l->line->in_doubt)
		item_words(r, "", "in doubt");
}

static int
on_undelivered(void *arg, const struct inspect_line *line)
{
	struct bufferfmt *fmt = arg;
	struct item r = {.json = fmt->table.json};

	item_text(&r, "segment", NULL, line->segment);
	item_count(&r, "offset", NULL, line->offset);
	item_count(&r, "bytes", "BYTES", line->bytes);
	if (line->bad != NULL) {
		item_text(&r, "bad", NULL, line->bad);
		item_words(
		    &r, "", "BAD: %s (%s at %" PRIu64 ")", line->bad, line->segment, line->offset);
		fmt->status = status_worse(fmt->status, STATUS_SOME);
	} else
		add_event_fields(&r, line);
	return show_line(fmt, &r);
}

static int
show_undelivered(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	fmt->table.columns = undelivered_columns;
	table_titles(&fmt->table);
	return inspect_lines(buf, on_undelivered, fmt, err) == -1 ? -1 : 0;
}

/* --- quarantine ------------------------------------------------------------------------ */

static int
on_quarantined(void *arg, const struct requeue_line *l)
{
	struct bufferfmt *fmt = arg;
	struct item r = {.json = fmt->table.json};

	item_text(&r, "file", NULL, l->file);
	item_slice(&r, "segment", NULL, l->segment);
	item_count(&r, "offset", NULL, l->offset);
	item_slice(&r, "reason", NULL, l->reason);
	item_time(&r, "quarantined_at", "QUARANTINED AT", l->at);
	if (l->event != NULL) {
		item_slice(&r, "event_type", "TYPE", l->event->e.type);
		item_slice(&r, "event_id", "EVENT ID", l->event->e.event_id);
	} else {
		item_text(&r, "event_type", NULL, NULL);
		item_text(&r, "event_id", NULL, NULL);
	}
	item_count(&r, "bytes", "BYTES", l->line.n);
	item_words(&r, "REASON", "%.*s (%s at %" PRIu64 ")", (int)l->reason.n, l->reason.p, l->file,
	    l->offset);
	return show_line(fmt, &r);
}

static int
show_quarantine(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	static const struct column columns[] = {{"QUARANTINED AT", -27}, {"TYPE", -24},
	    {"EVENT ID", -36}, {"BYTES", 8}, {"REASON", -1}, {NULL, 0}};

	fmt->table.columns = columns;
	table_titles(&fmt->table);
	return requeue_list_quarantine(buf, &fmt->names, on_quarantined, fmt, err) == -1 ? -1 : 0;
}

/* --- check ------------------------------------------------------------------------------- */

static void
show_report(struct bufferfmt *fmt, const struct inspect_report *report)
{
	struct item r = {.json = fmt->table.json};
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
	table_text(&fmt->table, &r, &text);
	if (report->bad || report->disorder || report->ignored || report->suspect)
		fmt->status = status_worse(fmt->status, STATUS_SOME);
	if (report->vanished || report->unreadable)
		fmt->status = status_worse(fmt->status, STATUS_UNSAFE);
}

static int
show_check(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	struct inspect_report r;

	fmt->table.columns = undelivered_columns;
	fmt->table.titled = true; /* the bad lines stand without titles */
	if (inspect_check(buf, &r, fmt->table.json ? NULL : on_undelivered, fmt, err) == -1)
		return -1;
	show_report(fmt, &r);
	return 0;
}

/* --- dry run ----------------------------------------------------------------------------- */

static void
show_backlog(struct bufferfmt *fmt, const struct backlog *b)
{
	struct bytes out = {0};

	if (fmt->table.json)
		backlog_json(&out, b);
	else
		bytes_addf(&out,
		    "%" PRIu64 " events in %" PRIu64 " segments would be replayed to %s", b->events,
		    b->files, fmt->target);
	for (size_t i = 0; i < b->nheld && !fmt->table.json; i++)
		bytes_addf(&out, "\n%" PRIu64 " of them, '%s', held: %s", b->held[i].events,
		    b->held[i].type, b->held[i].reason);
	fmt->table.emit(fmt->table.arg, bytes_str(&out));
	bytes_free(&out);
}

static int
show_drain(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	struct backlog b;

	if (backlog_read(buf, &b, err) == -1)
		return -1;
	show_backlog(fmt, &b);
	backlog_free(&b);
	return 0;
}

int
bufferfmt_show(struct bufferfmt *fmt, enum bufferfmt_view view, struct buffer *buf, struct err *err)
{
	switch (view) {
	case BUFFERFMT_UNDELIVERED: return show_undelivered(fmt, buf, err);
	case BUFFERFMT_CHECK: return show_check(fmt, buf, err);
	case BUFFERFMT_DRAIN: return show_drain(fmt, buf, err);
	case BUFFERFMT_QUARANTINE: break;
	}
	return show_quarantine(fmt, buf, err);
}

void
bufferfmt_show_empty(struct bufferfmt *fmt, enum bufferfmt_view view, char *dir)
{
	if (view == BUFFERFMT_CHECK)
		show_report(fmt, &(struct inspect_report){0});
	else if (view == BUFFERFMT_DRAIN)
		show_backlog(fmt, &(struct backlog){.dir = dir});
}

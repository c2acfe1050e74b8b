#include "report/bufferfmt.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/jsonwrite.h"
#include "base/status.h"
#include "buffer/line.h"

/* line: NULL when it is not an event. */
static void
add_columns(struct bytes *out, const char *when, const struct line *line, size_t bytes)
{
	const struct slice none = {"-", 1};
	struct slice type = line != NULL ? line->e.type : none,
	             id = line != NULL ? line->e.event_id : none;

	bytes_addf(out, "%-27s  %-24.*s  %-36.*s  %8zu", when, (int)type.n, type.p, (int)id.n, id.p,
	    bytes);
}

/* Column names do not count against the limit, and cannot stop the output. */
static void
emit_header(struct bufferfmt *fmt, const char *when, const char *rest)
{
	if (fmt->json || fmt->quiet)
		return;
	fmt->text.len = 0;
	bytes_addf(
	    &fmt->text, "%-27s  %-24s  %-36s  %8s%s", when, "TYPE", "EVENT ID", "BYTES", rest);
	fmt->emit(fmt->arg, bytes_str(&fmt->text));
}

/* Returns non-zero to stop. */
static int
emit_record(struct bufferfmt *fmt)
{
	return fmt->emit(fmt->arg, bytes_str(&fmt->text)) || (fmt->limit && --fmt->limit == 0);
}

/* --- the buffer ---------------------------------------------------------------------- */

static void
add_undelivered_json(struct bytes *out, const struct inspect_line *line)
{
	jsonwrite_begin_object(out);
	jsonwrite_text(out, "segment", line->segment);
	jsonwrite_count(out, "offset", line->offset);
	jsonwrite_count(out, "bytes", line->bytes);
	if (line->bad != NULL) {
		jsonwrite_text(out, "bad", line->bad);
	} else {
		jsonwrite_slice(out, "event_type", line->line->e.type);
		jsonwrite_slice(out, "event_id", line->line->e.event_id);
		jsonwrite_time(out, "buffered_at", line->line->buffered_at);
		jsonwrite_slice(out, "timestamp", line->line->e.timestamp);
		jsonwrite_slice(out, "source", line->line->e.source);
		jsonwrite_bool(out, "derived", line->derived);
		jsonwrite_bool(out, "in_doubt", line->line->in_doubt);
		if (line->held != NULL)
			jsonwrite_text(out, "held", line->held);
	}
	jsonwrite_end_object(out);
}

static void
add_undelivered_text(struct bytes *out, const struct inspect_line *line)
{
	char when[CLOCK_SIZE] = "-";

	if (line->bad == NULL)
		clock_format(line->line->buffered_at, when);
	add_columns(out, when, line->bad != NULL ? NULL : line->line, line->bytes);
	if (line->bad != NULL)
		bytes_addf(
		    out, "  BAD: %s (%s at %" PRIu64 ")", line->bad, line->segment, line->offset);
	else if (line->held != NULL)
		bytes_addf(out, "  held: %s", line->held);
	else if (line->line->in_doubt)
		bytes_adds(out, "  in doubt");
	bytes_str(out);
	err_clean(out->p);
}

static int
on_undelivered(void *arg, const struct inspect_line *line)
{
	struct bufferfmt *fmt = arg;

	fmt->text.len = 0;
	if (fmt->json)
		add_undelivered_json(&fmt->text, line);
	else
		add_undelivered_text(&fmt->text, line);
	if (line->bad != NULL)
		fmt->status = status_worse(fmt->status, STATUS_SOME);
	return emit_record(fmt);
}

static int
show_undelivered(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	emit_header(fmt, "BUFFERED AT", "");
	return inspect_lines(buf, on_undelivered, fmt, err) == -1 ? -1 : 0;
}

/* --- quarantine ------------------------------------------------------------------------ */

static void
add_quarantined_json(struct bytes *out, const struct requeue_line *l)
{
	jsonwrite_begin_object(out);
	jsonwrite_text(out, "file", l->file);
	jsonwrite_slice(out, "segment", l->segment);
	jsonwrite_count(out, "offset", l->offset);
	jsonwrite_slice(out, "reason", l->reason);
	jsonwrite_time(out, "quarantined_at", l->at);
	if (l->event != NULL) {
		jsonwrite_slice(out, "event_type", l->event->e.type);
		jsonwrite_slice(out, "event_id", l->event->e.event_id);
	} else {
		jsonwrite_text(out, "event_type", NULL);
		jsonwrite_text(out, "event_id", NULL);
	}
	jsonwrite_count(out, "bytes", l->line.n);
	jsonwrite_end_object(out);
}

static void
add_quarantined_text(struct bytes *out, const struct requeue_line *l)
{
	char when[CLOCK_SIZE] = "-";

	if (l->at)
		clock_format(l->at, when);
	add_columns(out, when, l->event, l->line.n);
	bytes_addf(
	    out, "  %.*s (%s at %" PRIu64 ")", (int)l->reason.n, l->reason.p, l->file, l->offset);
	bytes_str(out);
	err_clean(out->p);
}

static int
on_quarantined(void *arg, const struct requeue_line *line)
{
	struct bufferfmt *fmt = arg;

	fmt->text.len = 0;
	if (fmt->json)
		add_quarantined_json(&fmt->text, line);
	else
		add_quarantined_text(&fmt->text, line);
	return emit_record(fmt);
}

static int
show_quarantine(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	emit_header(fmt, "QUARANTINED AT", "  REASON");
	return requeue_list_quarantine(buf, &fmt->names, on_quarantined, fmt, err) == -1 ? -1 : 0;
}

/* --- check ------------------------------------------------------------------------------- */

static void
add_inspect_report_json(struct bytes *out, const struct inspect_report *r)
{
	jsonwrite_begin_object(out);
	jsonwrite_count(out, "segments", r->segments);
	jsonwrite_count(out, "lines", r->lines);
	jsonwrite_count(out, "delivered", r->delivered);
	jsonwrite_count(out, "bad", r->bad);
	jsonwrite_count(out, "torn", r->torn);
	jsonwrite_count(out, "out_of_order", r->disorder);
	jsonwrite_count(out, "odd_files", r->ignored);
	jsonwrite_count(out, "suspect", r->suspect);
	jsonwrite_count(out, "vanished", r->vanished);
	jsonwrite_count(out, "unreadable", r->unreadable);
	jsonwrite_end_object(out);
}

static void
add_inspect_report_text(struct bytes *out, const struct inspect_report *r)
{
	bytes_addf(out,
	    "%" PRIu64 " segments, %" PRIu64 " lines, %" PRIu64 " delivered, %" PRIu64
	    " bad (%" PRIu64 " torn), %" PRIu64 " out of order, %" PRIu64 " ignored files, %" PRIu64
	    " suspect, %" PRIu64 " vanished, %" PRIu64 " unreadable",
	    r->segments, r->lines, r->delivered, r->bad, r->torn, r->disorder, r->ignored,
	    r->suspect, r->vanished, r->unreadable);
}

static void
emit_check(struct bufferfmt *fmt, const struct inspect_report *r)
{
	fmt->text.len = 0;
	if (fmt->json)
		add_inspect_report_json(&fmt->text, r);
	else
		add_inspect_report_text(&fmt->text, r);
	if (fmt->json || !fmt->quiet)
		emit_record(fmt);
	if (r->bad || r->disorder || r->ignored || r->suspect)
		fmt->status = status_worse(fmt->status, STATUS_SOME);
	if (r->vanished || r->unreadable)
		fmt->status = status_worse(fmt->status, STATUS_UNSAFE);
}

static int
show_check(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	struct inspect_report r;

	if (inspect_check(buf, &r, fmt->json ? NULL : on_undelivered, fmt, err) == -1)
		return -1;
	emit_check(fmt, &r);
	return 0;
}

/* --- dry run ----------------------------------------------------------------------------- */

static void
add_drain_preview_text(struct bytes *out, const struct backlog *b, const char *target)
{
	bytes_addf(out, "%" PRIu64 " events in %" PRIu64 " segments would be replayed to %s",
	    b->events, b->files, target);
	for (size_t i = 0; i < b->nheld; i++)
		bytes_addf(out, "\n%" PRIu64 " of them, '%s', held: %s", b->held[i].events,
		    b->held[i].type, b->held[i].reason);
}

static void
emit_backlog(struct bufferfmt *fmt, const struct backlog *b)
{
	fmt->text.len = 0;
	if (fmt->json)
		backlog_json(&fmt->text, b);
	else
		add_drain_preview_text(&fmt->text, b, fmt->target);
	emit_record(fmt);
}

static int
show_drain(struct bufferfmt *fmt, struct buffer *buf, struct err *err)
{
	struct backlog b;

	if (backlog_read(buf, &b, err) == -1)
		return -1;
	emit_backlog(fmt, &b);
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
		emit_check(fmt, &(struct inspect_report){0});
	else if (view == BUFFERFMT_DRAIN)
		emit_backlog(fmt, &(struct backlog){.dir = dir});
}

void
bufferfmt_free(struct bufferfmt *fmt)
{
	bytes_free(&fmt->text);
}

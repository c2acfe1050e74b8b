#include "report/bufferfmt.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/jsonwrite.h"
#include "base/status.h"
#include "buffer/line.h"

/* --- the columns that both have --------------------------------------------------- */

/* el: NULL when it is no event. */
static void
columns(struct bytes *out, const char *when, const struct line *el, size_t bytes)
{
	const struct slice none = {"-", 1};
	struct slice type = el != NULL ? el->e.type : none, id = el != NULL ? el->e.event_id : none;

	bytes_addf(out, "%-27s  %-24.*s  %-36.*s  %8zu", when, (int)type.n, type.p, (int)id.n, id.p,
	    bytes);
}

/* The names of the columns, which count for nothing. */
static void
head(struct bufferfmt *l, const char *when, const char *rest)
{
	if (l->json || l->quiet)
		return;
	l->text.len = 0;
	bytes_addf(&l->text, "%-27s  %-24s  %-36s  %8s%s", when, "TYPE", "EVENT ID", "BYTES", rest);
	l->emit(l->arg, bytes_str(&l->text));
}

/* One record, whole. */
static int
put(struct bufferfmt *l)
{
	return l->emit(l->arg, bytes_str(&l->text)) || (l->limit && --l->limit == 0);
}

/* --- the buffer ---------------------------------------------------------------------- */

static void
waiting_json(struct bytes *out, const struct inspect_line *l)
{
	jsonwrite_begin(out);
	jsonwrite_text(out, "segment", l->segment);
	jsonwrite_count(out, "offset", l->offset);
	jsonwrite_count(out, "bytes", l->bytes);
	if (l->bad != NULL) {
		jsonwrite_text(out, "bad", l->bad);
	} else {
		jsonwrite_slice(out, "event_type", l->line->e.type);
		jsonwrite_slice(out, "event_id", l->line->e.event_id);
		jsonwrite_time(out, "buffered_at", l->line->buffered_at);
		jsonwrite_slice(out, "timestamp", l->line->e.timestamp);
		jsonwrite_slice(out, "source", l->line->e.source);
		jsonwrite_bool(out, "derived", l->derived);
		jsonwrite_bool(out, "in_doubt", l->line->in_doubt);
		if (l->held != NULL)
			jsonwrite_text(out, "held", l->held);
	}
	jsonwrite_end(out);
}

static void
waiting_text(struct bytes *out, const struct inspect_line *l)
{
	char when[CLOCK_SIZE] = "-";

	if (l->bad == NULL)
		clock_format(l->line->buffered_at, when);
	columns(out, when, l->bad != NULL ? NULL : l->line, l->bytes);
	if (l->bad != NULL)
		bytes_addf(out, "  BAD: %s (%s at %" PRIu64 ")", l->bad, l->segment, l->offset);
	else if (l->held != NULL)
		bytes_addf(out, "  held: %s", l->held);
	else if (l->line->in_doubt)
		bytes_adds(out, "  in doubt");
	bytes_str(out);
	err_clean(out->p);
}

static int
on_waiting(void *arg, const struct inspect_line *line)
{
	struct bufferfmt *l = arg;

	l->text.len = 0;
	if (l->json)
		waiting_json(&l->text, line);
	else
		waiting_text(&l->text, line);
	if (line->bad != NULL)
		l->status = status_worse(l->status, STATUS_SOME);
	return put(l);
}

static int
show_waiting(struct bufferfmt *l, struct buffer *buf, struct err *err)
{
	head(l, "BUFFERED AT", "");
	return inspect_lines(buf, on_waiting, l, err) == -1 ? -1 : 0;
}

/* --- quarantine ------------------------------------------------------------------------ */

static void
quarantined_json(struct bytes *out, const struct requeue_line *l)
{
	jsonwrite_begin(out);
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
	jsonwrite_end(out);
}

static void
quarantined_text(struct bytes *out, const struct requeue_line *l)
{
	char when[CLOCK_SIZE] = "-";

	if (l->at)
		clock_format(l->at, when);
	columns(out, when, l->event, l->line.n);
	bytes_addf(
	    out, "  %.*s (%s at %" PRIu64 ")", (int)l->reason.n, l->reason.p, l->file, l->offset);
	bytes_str(out);
	err_clean(out->p);
}

static int
on_quarantined(void *arg, const struct requeue_line *line)
{
	struct bufferfmt *l = arg;

	l->text.len = 0;
	if (l->json)
		quarantined_json(&l->text, line);
	else
		quarantined_text(&l->text, line);
	return put(l);
}

static int
show_quarantine(struct bufferfmt *l, struct buffer *buf, struct err *err)
{
	head(l, "QUARANTINED AT", "  REASON");
	return requeue_list(buf, &l->names, on_quarantined, l, err) == -1 ? -1 : 0;
}

/* --- a check ------------------------------------------------------------------------------ */

static void
report_json(struct bytes *out, const struct inspect_report *r)
{
	jsonwrite_begin(out);
	jsonwrite_count(out, "segments", r->segments);
	jsonwrite_count(out, "lines", r->lines);
	jsonwrite_count(out, "delivered", r->delivered);
	jsonwrite_count(out, "bad", r->bad);
	jsonwrite_count(out, "torn", r->torn);
	jsonwrite_count(out, "out_of_order", r->disorder);
	jsonwrite_count(out, "odd_files", r->odd);
	jsonwrite_count(out, "suspect", r->suspect);
	jsonwrite_count(out, "vanished", r->vanished);
	jsonwrite_count(out, "unreadable", r->unreadable);
	jsonwrite_end(out);
}

static void
report_text(struct bytes *out, const struct inspect_report *r)
{
	bytes_addf(out,
	    "%" PRIu64 " segments, %" PRIu64 " lines, %" PRIu64 " delivered, %" PRIu64
	    " bad (%" PRIu64 " torn), %" PRIu64 " out of order, %" PRIu64 " odd files, %" PRIu64
	    " suspect, %" PRIu64 " vanished, %" PRIu64 " unreadable",
	    r->segments, r->lines, r->delivered, r->bad, r->torn, r->disorder, r->odd, r->suspect,
	    r->vanished, r->unreadable);
}

static void
report(struct bufferfmt *l, const struct inspect_report *r)
{
	l->text.len = 0;
	if (l->json)
		report_json(&l->text, r);
	else
		report_text(&l->text, r);
	if (l->json || !l->quiet)
		put(l);
	if (r->bad || r->disorder || r->odd || r->suspect)
		l->status = status_worse(l->status, STATUS_SOME);
	if (r->vanished || r->unreadable)
		l->status = status_worse(l->status, STATUS_UNSAFE);
}

static int
show_check(struct bufferfmt *l, struct buffer *buf, struct err *err)
{
	struct inspect_report r;

	if (inspect_check(buf, &r, l->json ? NULL : on_waiting, l, err) == -1)
		return -1;
	report(l, &r);
	return 0;
}

/* --- counted ------------------------------------------------------------------------------- */

/* What a drain to target would send. */
static void
drain_preview_text(struct bytes *out, const struct backlog *b, const char *target)
{
	size_t i;

	bytes_addf(out, "%" PRIu64 " events in %" PRIu64 " segments would be replayed to %s",
	    b->events, b->files, target);
	for (i = 0; i < b->nheld; i++)
		bytes_addf(out, "\n%" PRIu64 " of them, '%s', are held: %s", b->held[i].events,
		    b->held[i].type, b->held[i].reason);
}

static void
count(struct bufferfmt *l, const struct backlog *b)
{
	l->text.len = 0;
	if (l->json)
		backlog_json(&l->text, b);
	else
		drain_preview_text(&l->text, b, l->target);
	put(l);
}

static int
show_drain(struct bufferfmt *l, struct buffer *buf, struct err *err)
{
	struct backlog b;

	if (backlog_read(buf, &b, err) == -1)
		return -1;
	count(l, &b);
	backlog_free(&b);
	return 0;
}

/* --- any of them ------------------------------------------------------------------------------ */

int
bufferfmt_show(struct bufferfmt *l, enum bufferfmt_view what, struct buffer *buf, struct err *err)
{
	switch (what) {
	case BUFFERFMT_UNDELIVERED: return show_waiting(l, buf, err);
	case BUFFERFMT_CHECK: return show_check(l, buf, err);
	case BUFFERFMT_DRAIN: return show_drain(l, buf, err);
	case BUFFERFMT_QUARANTINE: break;
	}
	return show_quarantine(l, buf, err);
}

void
bufferfmt_show_empty(struct bufferfmt *l, enum bufferfmt_view what, char *dir)
{
	if (what == BUFFERFMT_CHECK)
		report(l, &(struct inspect_report){0});
	else if (what == BUFFERFMT_DRAIN)
		count(l, &(struct backlog){.dir = dir});
}

void
bufferfmt_free(struct bufferfmt *l)
{
	bytes_free(&l->text);
}

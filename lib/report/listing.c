#include <inttypes.h>

#include "report/listing.h"
#include "base/member.h"
#include "base/status.h"
#include "base/when.h"

/* --- the columns that both have --------------------------------------------------- */

/* el: NULL when it is no event. */
static void
columns(struct buf *out, const char *when, const struct event_line *el, size_t bytes)
{
	const struct slice none = { "-", 1 };
	struct slice type = el ? el->e.type : none, id = el ? el->e.event_id : none;

	buf_addf(out, "%-27s  %-24.*s  %-36.*s  %8zu", when, (int)type.n, type.p, (int)id.n, id.p, bytes);
}

/* The names of the columns, which count for nothing. */
static void
head(struct listing *l, const char *when, const char *rest)
{
	if (l->json || l->quiet)
		return;
	l->text.len = 0;
	buf_addf(&l->text, "%-27s  %-24s  %-36s  %8s%s", when, "TYPE", "EVENT ID", "BYTES", rest);
	l->put(l->arg, buf_str(&l->text));
}

/* One record, whole. */
static int
put(struct listing *l)
{
	return l->put(l->arg, buf_str(&l->text)) || (l->limit && --l->limit == 0);
}

/* --- the buffer ---------------------------------------------------------------------- */

static void
waiting_json(struct buf *out, const struct inspect_line *l)
{
	member_begin(out);
	member_text(out, "segment", l->segment);
	member_count(out, "offset", l->offset);
	member_count(out, "bytes", l->bytes);
	if (l->bad) {
		member_text(out, "bad", l->bad);
	} else {
		member_slice(out, "event_type", l->line->e.type);
		member_slice(out, "event_id", l->line->e.event_id);
		member_time(out, "buffered_at", l->line->buffered_at);
		member_slice(out, "timestamp", l->line->e.timestamp);
		member_slice(out, "source", l->line->e.source);
		member_bool(out, "derived", l->derived);
		member_bool(out, "in_doubt", l->line->in_doubt);
		if (l->held)
			member_text(out, "held", l->held);
	}
	member_end(out);
}

static void
waiting_text(struct buf *out, const struct inspect_line *l)
{
	char when[WHEN_SIZE] = "-";

	if (!l->bad)
		when_format(l->line->buffered_at, when);
	columns(out, when, l->bad ? NULL : l->line, l->bytes);
	if (l->bad)
		buf_addf(out, "  BAD: %s (%s at %" PRIu64 ")", l->bad, l->segment, l->offset);
	else if (l->held)
		buf_addf(out, "  held: %s", l->held);
	else if (l->line->in_doubt)
		buf_adds(out, "  in doubt");
	buf_str(out);
	fail_clean(out->p);
}

static int
on_waiting(void *arg, const struct inspect_line *line)
{
	struct listing *l = arg;

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
show_waiting(struct listing *l, struct spool *sp, struct fail *f)
{
	head(l, "BUFFERED AT", "");
	return inspect_lines(sp, on_waiting, l, f) == -1 ? -1 : 0;
}

/* --- quarantine ------------------------------------------------------------------------ */

static void
quarantined_json(struct buf *out, const struct requeue_line *l)
{
	member_begin(out);
	member_text(out, "file", l->file);
	member_slice(out, "segment", l->segment);
	member_count(out, "offset", l->offset);
	member_slice(out, "reason", l->reason);
	member_time(out, "quarantined_at", l->at);
	if (l->event) {
		member_slice(out, "event_type", l->event->e.type);
		member_slice(out, "event_id", l->event->e.event_id);
	} else {
		member_text(out, "event_type", NULL);
		member_text(out, "event_id", NULL);
	}
	member_count(out, "bytes", l->line.n);
	member_end(out);
}

static void
quarantined_text(struct buf *out, const struct requeue_line *l)
{
	char when[WHEN_SIZE] = "-";

	if (l->at)
		when_format(l->at, when);
	columns(out, when, l->event, l->line.n);
	buf_addf(out, "  %.*s (%s at %" PRIu64 ")", (int)l->reason.n, l->reason.p, l->file, l->offset);
	buf_str(out);
	fail_clean(out->p);
}

static int
on_quarantined(void *arg, const struct requeue_line *line)
{
	struct listing *l = arg;

	l->text.len = 0;
	if (l->json)
		quarantined_json(&l->text, line);
	else
		quarantined_text(&l->text, line);
	return put(l);
}

static int
show_quarantine(struct listing *l, struct spool *sp, struct fail *f)
{
	head(l, "QUARANTINED AT", "  REASON");
	return requeue_list(sp, &l->names, on_quarantined, l, f) == -1 ? -1 : 0;
}

/* --- a check ------------------------------------------------------------------------------ */

static void
report_json(struct buf *out, const struct inspect_report *r)
{
	member_begin(out);
	member_count(out, "segments", r->segments);
	member_count(out, "lines", r->lines);
	member_count(out, "delivered", r->delivered);
	member_count(out, "bad", r->bad);
	member_count(out, "torn", r->torn);
	member_count(out, "out_of_order", r->disorder);
	member_count(out, "odd_files", r->odd);
	member_count(out, "suspect", r->suspect);
	member_count(out, "vanished", r->vanished);
	member_count(out, "unreadable", r->unreadable);
	member_end(out);
}

static void
report_text(struct buf *out, const struct inspect_report *r)
{
	buf_addf(out, "%" PRIu64 " segments, %" PRIu64 " lines, %" PRIu64 " delivered, %" PRIu64 " bad (%" PRIu64 " torn), %"
	    PRIu64 " out of order, %" PRIu64 " odd files, %" PRIu64 " suspect, %" PRIu64 " vanished, %" PRIu64 " unreadable",
	    r->segments, r->lines, r->delivered, r->bad, r->torn, r->disorder, r->odd, r->suspect, r->vanished, r->unreadable);
}

static void
report(struct listing *l, const struct inspect_report *r)
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
show_check(struct listing *l, struct spool *sp, struct fail *f)
{
	struct inspect_report r;

	if (inspect_check(sp, &r, l->json ? NULL : on_waiting, l, f) == -1)
		return -1;
	report(l, &r);
	return 0;
}

/* --- counted ------------------------------------------------------------------------------- */

static void
count(struct listing *l, const struct backlog *b)
{
	l->text.len = 0;
	if (l->json)
		backlog_json(&l->text, b);
	else
		backlog_text(&l->text, b, l->target);
	put(l);
}

static int
show_drain(struct listing *l, struct spool *sp, struct fail *f)
{
	struct backlog b;

	if (backlog_read(sp, &b, f) == -1)
		return -1;
	count(l, &b);
	backlog_free(&b);
	return 0;
}

/* --- any of them ------------------------------------------------------------------------------ */

int
listing_show(struct listing *l, enum listing_what what, struct spool *sp, struct fail *f)
{
	switch (what) {
	case LISTING_WAITING:
		return show_waiting(l, sp, f);
	case LISTING_CHECK:
		return show_check(l, sp, f);
	case LISTING_DRAIN:
		return show_drain(l, sp, f);
	case LISTING_QUARANTINE:
		break;
	}
	return show_quarantine(l, sp, f);
}

void
listing_nothing(struct listing *l, enum listing_what what, char *dir)
{
	if (what == LISTING_CHECK)
		report(l, &(struct inspect_report){ 0 });
	else if (what == LISTING_DRAIN)
		count(l, &(struct backlog){ .dir = dir });
}

void
listing_free(struct listing *l)
{
	buf_free(&l->text);
}

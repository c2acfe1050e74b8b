/* The part of inspect.h that writes. */
#include <inttypes.h>

#include "inspect.h"
#include "member.h"
#include "when.h"

void
inspect_line_json(struct buf *out, const struct inspect_line *l)
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

void
inspect_line_text(struct buf *out, const struct inspect_line *l)
{
	const struct slice none = { "-", 1 };
	struct slice type = l->bad ? none : l->line->e.type, id = l->bad ? none : l->line->e.event_id;
	char when[WHEN_SIZE] = "-";
	size_t from = out->len;

	if (!l->bad)
		when_format(l->line->buffered_at, when);
	buf_addf(out, "%-27s  %-24.*s  %-36.*s  %8zu", when, (int)type.n, type.p, (int)id.n, id.p, l->bytes);
	if (l->bad)
		buf_addf(out, "  BAD: %s (%s at %" PRIu64 ")", l->bad, l->segment, l->offset);
	else if (l->held)
		buf_addf(out, "  held: %s", l->held);
	else if (l->line->in_doubt)
		buf_adds(out, "  in doubt");
	buf_str(out);
	fail_clean(out->p + from);
}

void
inspect_report_json(struct buf *out, const struct inspect_report *r)
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

void
inspect_report_text(struct buf *out, const struct inspect_report *r)
{
	buf_addf(out, "%" PRIu64 " segments, %" PRIu64 " lines, %" PRIu64 " delivered, %" PRIu64 " bad (%" PRIu64 " torn), %"
	    PRIu64 " out of order, %" PRIu64 " odd files, %" PRIu64 " suspect, %" PRIu64 " vanished, %" PRIu64 " unreadable",
	    r->segments, r->lines, r->delivered, r->bad, r->torn, r->disorder, r->odd, r->suspect, r->vanished, r->unreadable);
}

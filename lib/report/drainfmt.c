#include "report/drainfmt.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/jsonwrite.h"
#include "drain/redrive.h"

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
drainfmt_text(struct bytes *out, const struct drain_result *r, int64_t ms)
{
	char span[32];

	clock_format_span(ms, span, sizeof(span));
	bytes_addf(out,
	    "%" PRIu64 " replayed, %" PRIu64 " already in their stream, %" PRIu64
	    " quarantined, %" PRIu64 " possible duplicates, %" PRIu64 " types held, in %s%s",
	    r->replayed, r->found, r->quarantined, r->possible_duplicates, r->held, span,
	    r->left ? "; events remain in the buffer" : "");
}

void
drainfmt_json(struct bytes *out, const struct drain_result *r, int status)
{
	jsonwrite_begin_object(out);
	jsonwrite_count(out, "replayed", r->replayed);
	jsonwrite_count(out, "found", r->found);
	jsonwrite_count(out, "quarantined", r->quarantined);
	jsonwrite_count(out, "possible_duplicates", r->possible_duplicates);
	jsonwrite_count(out, "trimmed", r->trimmed);
	jsonwrite_count(out, "out_of_order", r->disordered);
	jsonwrite_count(out, "held", r->held);
	jsonwrite_bool(out, "left", r->left);
	jsonwrite_count(out, "status", (uint64_t)status);
	jsonwrite_end_object(out);
}

void
drainfmt_redrive_text(struct bytes *out, const struct redrive_result *r, int64_t ms)
{
	char span[32];

	clock_format_span(ms, span, sizeof(span));
	bytes_addf(out,
	    "%" PRIu64 " re-driven, %" PRIu64 " already gone, %" PRIu64 " refused, %" PRIu64
	    " types stopped, in %s%s",
	    r->moved, r->gone, r->refused, r->stopped, span,
	    r->left ? "; dead letters remain" : "");
}

void
drainfmt_redrive_json(struct bytes *out, const struct redrive_result *r, int status)
{
	jsonwrite_begin_object(out);
	jsonwrite_count(out, "redriven", r->moved);
	jsonwrite_count(out, "gone", r->gone);
	jsonwrite_count(out, "refused", r->refused);
	jsonwrite_count(out, "trimmed", r->trimmed);
	jsonwrite_count(out, "stopped", r->stopped);
	jsonwrite_bool(out, "left", r->left);
	jsonwrite_count(out, "status", (uint64_t)status);
	jsonwrite_end_object(out);
}

static struct slice
or_dash(struct slice s)
{
	return s.n > 0 ? s : (struct slice){"-", 1};
}

/* Cuts what would break the columns. */
static int
field_width(struct slice s)
{
	return s.n < 200 ? (int)s.n : 200;
}

void
drainfmt_redrive_header(struct bytes *out)
{
	bytes_addf(out, "%-27s  %-24s  %-36s  %8s  %8s  %s", "SET ASIDE AT", "TYPE", "EVENT ID",
	    "BYTES", "ATTEMPTS", "STATUS");
}

void
drainfmt_redrive_line_text(struct bytes *out, const struct redrive_preview *l)
{
	struct slice time = or_dash(l->dead.time), event_id = or_dash(l->event_id),
	             attempts = or_dash(l->dead.attempts), status = l->dead.status;
	size_t from = out->len;

	bytes_addf(out, "%-27.*s  %-24s  %-36.*s  %8zu  %8.*s  %.*s", field_width(time), time.p,
	    l->type, field_width(event_id), event_id.p, l->bytes, field_width(attempts), attempts.p,
	    field_width(status), status.n > 0 ? status.p : "");
	bytes_str(out);
	err_clean(out->p + from);
}

void
drainfmt_redrive_line_json(struct bytes *out, const struct redrive_preview *l)
{
	const struct provenance *d = &l->dead;
	const struct {
		const char *name;
		struct slice value;
	} provenance[] = {
	    {"dead_id", d->id},
	    {"dead_stream", d->stream},
	    {"dead_group", d->group},
	    {"dead_consumer", d->consumer},
	    {"dead_attempts", d->attempts},
	    {"dead_status", d->status},
	    {"dead_stderr", d->stderr_tail},
	    {"dead_time", d->time},
	};

	jsonwrite_begin_object(out);
	jsonwrite_slice(out, "id", l->id);
	jsonwrite_text(out, "event_type", l->type);
	if (l->event_id.n > 0)
		jsonwrite_slice(out, "event_id", l->event_id);
	else
		jsonwrite_text(out, "event_id", NULL);
	jsonwrite_count(out, "bytes", l->bytes);
	for (size_t i = 0; d->id.p != NULL && i < sizeof(provenance) / sizeof(*provenance); i++)
		jsonwrite_slice(out, provenance[i].name, provenance[i].value);
	jsonwrite_end_object(out);
}

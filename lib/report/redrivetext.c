/* The part of redrive.h that writes. */
#include <inttypes.h>

#include "base/member.h"
#include "drain/redrive.h"
#include "base/when.h"

void
redrive_text(struct buf *out, const struct redrive_result *r, int64_t ms)
{
	char span[32];

	when_span(ms, span, sizeof(span));
	buf_addf(out, "%" PRIu64 " re-driven, %" PRIu64 " gone meanwhile, %" PRIu64 " refused, %" PRIu64 " types stopped, in %s%s",
	    r->moved, r->gone, r->refused, r->stopped, span, r->left ? "; something is left" : "");
}

void
redrive_json(struct buf *out, const struct redrive_result *r, int status)
{
	member_begin(out);
	member_count(out, "redriven", r->moved);
	member_count(out, "gone", r->gone);
	member_count(out, "refused", r->refused);
	member_count(out, "trimmed", r->trimmed);
	member_count(out, "stopped", r->stopped);
	member_bool(out, "left", r->left);
	member_count(out, "status", (uint64_t)status);
	member_end(out);
}

static struct slice
or_none(struct slice s)
{
	return s.n > 0 ? s : (struct slice){"-", 1};
}

/* In a column: what is longer is cut. */
static int
width(struct slice s)
{
	return s.n < 200 ? (int)s.n : 200;
}

/* The names of the columns. */
void
redrive_head(struct buf *out)
{
	buf_addf(out, "%-27s  %-24s  %-36s  %8s  %8s  %s", "SET ASIDE AT", "TYPE", "EVENT ID", "BYTES", "ATTEMPTS", "STATUS");
}

void
redrive_line_text(struct buf *out, const struct redrive_line *l)
{
	struct slice time = or_none(l->dead.time), event_id = or_none(l->event_id), attempts = or_none(l->dead.attempts),
	    status = l->dead.status;
	size_t from = out->len;

	buf_addf(out, "%-27.*s  %-24s  %-36.*s  %8zu  %8.*s  %.*s", width(time), time.p, l->type, width(event_id), event_id.p,
	    l->bytes, width(attempts), attempts.p, width(status), status.n > 0 ? status.p : "");
	buf_str(out);
	fail_clean(out->p + from);
}

void
redrive_line_json(struct buf *out, const struct redrive_line *l)
{
	const struct dead *d = &l->dead;
	const struct {
		const char *name;
		struct slice value;
	} provenance[] = {
		{"dead_id", d->id}, {"dead_stream", d->stream}, {"dead_group", d->group}, {"dead_consumer", d->consumer},
		{"dead_attempts", d->attempts}, {"dead_status", d->status}, {"dead_stderr", d->words}, {"dead_time", d->time},
	};

	member_begin(out);
	member_slice(out, "id", l->id);
	member_text(out, "event_type", l->type);
	if (l->event_id.n > 0)
		member_slice(out, "event_id", l->event_id);
	else
		member_text(out, "event_id", NULL);
	member_count(out, "bytes", l->bytes);
	for (size_t i = 0; d->id.p != NULL && i < sizeof(provenance) / sizeof(*provenance); i++)
		member_slice(out, provenance[i].name, provenance[i].value);
	member_end(out);
}

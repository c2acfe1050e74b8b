/* The part of survey.h that writes JSON. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "report/survey.h"

static void
put_text(struct bytes *out, const char *name, const char *s)
{
	bytes_addf(out, "\"%s\":", name);
	if (s != NULL)
		json_quote_text(out, s, strlen(s));
	else
		bytes_adds(out, "null");
	buf_addc(out, ',');
}

/* Negative is unknown. */
static void
put_number(struct bytes *out, const char *name, int64_t n)
{
	if (n < 0)
		bytes_addf(out, "\"%s\":null,", name);
	else
		bytes_addf(out, "\"%s\":%" PRId64 ",", name, n);
}

static void
put_id(struct bytes *out, const char *name, struct stream_id id, bool known)
{
	char text[ID_SIZE];

	id_format(id, text);
	put_text(out, name, known ? text : NULL);
}

static void
close_object(struct bytes *out)
{
	out->p[out->len - 1] = '}';		/* for the last comma */
}

static const char *
or_null(const char *s)
{
	return s != NULL && *s != '\0' ? s : NULL;
}

void
survey_redis_json(struct bytes *out, const struct survey *s)
{
	bytes_addf(out, "{\"up\":%s,", s->up ? "true" : "false");
	put_text(out, "how", s->up ? NULL : survey_word(s->why));
	put_text(out, "error", s->error);
	put_text(out, "server", or_null(s->server));
	put_text(out, "version", or_null(s->version));
	put_text(out, "run_id", or_null(s->run_id));
	if (s->up)
		bytes_addf(out, "\"rtt_ms\":%.3f,", (double)s->rtt_us / 1000);
	else
		put_text(out, "rtt_ms", NULL);
	put_text(out, "refuses_writes", s->refusal);
	close_object(out);
}

static void
put_group(struct bytes *out, const struct survey *s, const struct survey_stream *st, const struct stream_group *g)
{
	bool known;
	uint64_t lost = stream_lost(&st->info, g, &known);

	buf_addc(out, '{');
	put_text(out, "name", g->name);
	put_number(out, "consumers", (int64_t)g->consumers);
	put_number(out, "pending", (int64_t)g->pending);
	put_number(out, "lag", survey_lag(&st->info, g));
	put_number(out, "lost", known ? (int64_t)lost : -1);
	put_number(out, "oldest_pending_ms", survey_pending_age(s, g));
	put_id(out, "last_delivered_id", g->last_delivered, true);
	close_object(out);
}

static void
put_stream(struct bytes *out, const struct survey *s, const struct survey_stream *st)
{
	const struct stream_info *i = &st->info;
	/* What the server refused to tell is null, not 0. */
	bool known = i->exists || st->error == NULL;

	buf_addc(out, '{');
	put_text(out, "event_type", st->type);
	put_text(out, "stream", st->key);
	bytes_addf(out, "\"exists\":%s,", !known ? "null" : i->exists ? "true" : "false");
	put_number(out, "length", known ? (int64_t)i->length : -1);
	put_id(out, "first_id", i->first, i->length > 0);
	put_id(out, "last_id", i->last, i->length > 0);
	put_number(out, "dead_letters", st->dead);
	put_text(out, "error", st->error);
	bytes_adds(out, "\"groups\":[");
	for (size_t k = 0; k < st->ngroups; k++) {
		bytes_adds(out, k > 0 ? "," : "");
		put_group(out, s, st, &st->groups[k]);
	}
	bytes_adds(out, "]}");
}

void
survey_streams_json(struct bytes *out, const struct survey *s)
{
	bytes_addf(out, "\"complete\":%s,", s->complete ? "true" : "false");
	put_text(out, "incomplete", s->incomplete);
	bytes_adds(out, "\"streams\":[");
	for (size_t i = 0; i < s->n; i++) {
		bytes_adds(out, i > 0 ? "," : "");
		put_stream(out, s, &s->streams[i]);
	}
	buf_addc(out, ']');
}

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "drain/batch.h"
#include "base/mem.h"
#include "base/clock.h"

void
batch_init(struct batch *b)
{
	memset(b, 0, sizeof *b);
	b->item = mem_alloc((BATCH_LINES + 1) * sizeof *b->item);
}

void
batch_free(struct batch *b)
{
	size_t i;

	for (i = 0; i <= BATCH_LINES; i++)
		bytes_free(&b->item[i].text);
	free(b->item);
	memset(b, 0, sizeof *b);
}

void
batch_reset(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->item[i].text.cap > 2 * BATCH_BIG)
			bytes_free(&b->item[i].text);
	b->n = b->bytes = b->types = b->sent = 0;
	b->recorded = true;
	b->brief = false;
}

struct batch_item *
batch_next(struct batch *b)
{
	return &b->item[b->n];
}

int
batch_full(const struct batch *b, size_t bytes)
{
	return b->types == BATCH_TYPES || b->bytes >= BATCH_BYTES ||
	    (b->n && (bytes > BATCH_BIG || b->item[b->n - 1].line.e.payload.n > BATCH_BIG));
}

void
batch_take(struct batch *b)
{
	struct batch_item *it = &b->item[b->n];
	size_t i;

	for (i = 0; i < b->n && b->item[i].dest != it->dest; i++)
		;
	b->types += i == b->n;
	b->bytes += it->text.len;
	b->n++;
}

/* The name the file had before it was claimed, and where the line stands in it. */
static void
derive(const struct batch_item *it, struct slice raw, const char *what, char out[UUID_SIZE])
{
	const char *dot = strstr(it->stem, ".claimed-");
	struct bytes b = { 0 };

	buf_add(&b, it->stem, dot ? (size_t)(dot - it->stem) : strlen(it->stem));
	bytes_addf(&b, "\n%" PRIu64 "\n", it->at);
	buf_add(&b, raw.p, raw.n);
	uuid_derived(what, b.p, b.len, out);
	bytes_free(&b);
}

void
line_complete(struct batch_item *it, struct slice raw)
{
	struct event *e = &it->line.e;

	if (!e->event_id.n) {
		derive(it, raw, "event_id", it->event_id);
		e->event_id = slice_of(it->event_id);
	}
	if (!e->correlation_id.n) {
		derive(it, raw, "correlation_id", it->correlation_id);
		e->correlation_id = slice_of(it->correlation_id);
	}
	if (!e->timestamp.n) {
		clock_format(it->line.buffered_at, it->timestamp);
		e->timestamp = slice_of(it->timestamp);
	}
}

/*
 * line: fuzzes the reader of buffer lines. An accepted line, written again as a publisher writes
 * it, must read back the same. With an odd first byte the rest gets a correct crc, so that any
 * bytes reach the code behind that check.
 */
#include "buffer/line.h"

#include <zlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "buffer/append.h"
#include "event/event.h"
#include "fuzz.h"

static int
is_text(const struct line *l)
{
	const struct event *e = &l->e;
	const struct doubt *d = &l->doubt;
	const struct slice all[] = {e->type, e->trace_id, e->correlation_id, e->timestamp,
	    e->source, e->event_id, slice_of(l->in_doubt ? d->run_id : ""),
	    slice_of(l->in_doubt ? d->addr : ""), slice_of(l->in_doubt ? d->after : "")};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!json_is_utf8(all[i].p, all[i].n))
			return 0;
	return 1;
}

static void
compare(const struct line *a, const struct line *b)
{
	PROMISE(same(a->e.type, b->e.type) && same(a->e.payload, b->e.payload));
	PROMISE(
	    same(a->e.trace_id, b->e.trace_id) && same(a->e.correlation_id, b->e.correlation_id));
	PROMISE(same(a->e.timestamp, b->e.timestamp) && same(a->e.source, b->e.source) &&
	    same(a->e.event_id, b->e.event_id));
	PROMISE(a->maxlen == b->maxlen && a->in_doubt == b->in_doubt);
	PROMISE(!a->in_doubt ||
	    (a->doubt.client == b->doubt.client && strcmp(a->doubt.run_id, b->doubt.run_id) == 0 &&
	        strcmp(a->doubt.addr, b->doubt.addr) == 0 &&
	        strcmp(a->doubt.after, b->doubt.after) == 0));
}

static void
again(struct line *l)
{
	struct bytes head = {0}, tail = {0}, line = {0}, text = {0};
	struct append_line parts;
	struct line back;
	char stamp[CLOCK_SIZE];
	struct err err;

	if (l->e.event_id.p == NULL) /* as line_complete does */
		l->e.event_id = slice_of("derived");
	line_head(&head, &l->e);
	line_tail(&tail, l->maxlen, l->in_doubt ? &l->doubt : NULL);
	parts = (struct append_line){{head.p, head.len}, {tail.p, tail.len}};
	append_format(&line, &parts, l->buffered_at);
	PROMISE(line.p[line.len - 1] == '\n' &&
	    memchr(line.p, '\n', line.len) == line.p + line.len - 1);
	PROMISE(line_parse(line.p, line.len - 1, &back, &text, &err) == 0 && back.has_crc);
	compare(l, &back);
	clock_format(l->buffered_at, stamp); /* clamped to four digits of year */
	clock_parse(stamp, strlen(stamp), &l->buffered_at);
	PROMISE(l->buffered_at == back.buffered_at);
	bytes_free(&head);
	bytes_free(&tail);
	bytes_free(&line);
	bytes_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes line = {0}, text = {0};
	struct line l;
	struct err err = {.text = ""};
	char *exact;

	if (n == 0)
		return 0;
	bytes_add(&line, data + 1, n - 1);
	if (data[0] & 1)
		bytes_addf(&line, ",\"crc\":\"%08lx\"}", crc32(0, data + 1, (unsigned)n - 1));
	exact = malloc(line.len);
	if (line.len > 0)
		memcpy(exact, line.p, line.len);
	if (line_parse(exact, line.len, &l, &text, &err) == 0) {
		PROMISE(l.e.type.n > 0 && l.e.payload.p != NULL);
		PROMISE(!l.in_doubt || l.has_crc);
		if (is_text(&l))
			again(&l);
	} else
		PROMISE(err.text[0] != '\0');
	free(exact);
	bytes_free(&line);
	bytes_free(&text);
	return 0;
}

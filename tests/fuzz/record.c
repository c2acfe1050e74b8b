/* record: fuzzes the reader of ebpub -J. An accepted event, printed as ebsub prints it, must be
 * accepted again with the same fields. */
#include "base/json.h"
#include "event/event.h"
#include "fuzz.h"

static void
again(const struct event *e, bool is_json)
{
	struct slice kv[2 * EVENT_FIELDS];
	struct bytes line = {0}, text = {0}, one = {0}, two = {0};
	struct json_fault fault;
	struct event back;
	struct err err;
	bool back_json;

	event_to_fields(e, kv);
	event_add_json(&line,
	    &(struct event_entry){
	        slice_of("1-1"), slice_of("q:stream:t"), e->type, kv, 2 * EVENT_FIELDS, 1});
	PROMISE(
	    json_check(line.p, line.len, &fault) == 0 && memchr(line.p, '\n', line.len) == NULL);
	if (e->event_id.p == NULL || e->type.n == 0)
		goto out; /* printed as "", which reads back as no type */
	PROMISE(event_parse_json(line.p, line.len, &back, &back_json, &text, &err) == 0);
	PROMISE(same(e->type, back.type) && same(e->trace_id, back.trace_id) &&
	    same(e->event_id, back.event_id));
	PROMISE(same(e->correlation_id, back.correlation_id) &&
	    same(e->timestamp, back.timestamp) && same(e->source, back.source));
	if (is_json) { /* line ends between its tokens became spaces */
		PROMISE(back_json);
		json_add_oneline(&one, e->payload.p, e->payload.n);
		json_add_oneline(&two, back.payload.p, back.payload.n);
		PROMISE(same((struct slice){one.p, one.len}, (struct slice){two.p, two.len}));
	} else if (!back_json)
		PROMISE(same(e->payload, back.payload));
out:
	bytes_free(&line);
	bytes_free(&text);
	bytes_free(&one);
	bytes_free(&two);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes text = {0};
	struct event e;
	struct err err = {.text = ""};
	bool is_json = false;
	char *s = malloc(n);

	if (n > 0)
		memcpy(s, data, n);
	if (event_parse_json(s, n, &e, &is_json, &text, &err) == 0) {
		PROMISE(e.type.p != NULL && e.payload.p != NULL);
		again(&e, is_json);
	} else
		PROMISE(err.status == 65 && err.text[0] != '\0');
	free(s);
	bytes_free(&text);
	return 0;
}

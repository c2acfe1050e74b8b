#include "event/event.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"

const struct slice event_field_names[EVENT_FIELDS] = {
    SLICE("event_type"),
    SLICE("payload"),
    SLICE("trace_id"),
    SLICE("correlation_id"),
    SLICE("timestamp"),
    SLICE("source"),
    SLICE("event_id"),
};

void
event_to_fields(const struct event *e, struct slice kv[2 * EVENT_FIELDS])
{
	for (size_t i = 0; i < EVENT_FIELDS; i++) {
		kv[2 * i] = event_field_names[i];
		kv[2 * i + 1] = e->field[i];
	}
}

/* Returns the index of a field name, or EVENT_FIELDS when it is unknown. Searches from index
 * `first` and wraps around, because fields mostly come in order. */
static size_t
find_field(struct slice name, size_t first)
{
	for (size_t n = 0, i = first % EVENT_FIELDS; n < EVENT_FIELDS;
	     n++, i = (i + 1) % EVENT_FIELDS)
		if (slice_equal(name, event_field_names[i]))
			return i;
	return EVENT_FIELDS;
}

void
event_from_fields(struct event *e, const struct slice *kv, size_t nkv)
{
	size_t i;

	*e = (struct event){0};
	for (size_t k = 0; k + 1 < nkv; k += 2) {
		i = find_field(kv[k], k / 2);
		if (i < EVENT_FIELDS && e->field[i].p == NULL)
			/* an empty value is not a missing field */
			e->field[i] = kv[k + 1].p == NULL ? slice_of("") : kv[k + 1];
	}
}

bool
event_equal(const struct event *a, const struct event *b)
{
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		if (!slice_equal(a->field[i], b->field[i]))
			return false;
	return true;
}

bool
event_id_legal(struct slice id)
{
	if (id.n < 1 || id.n > 200)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] < ' ' || id.p[i] > '~')
			return false;
	return true;
}

/* Adds a name that may need escaping. */
static void
add_field_name(struct bytes *out, struct slice name)
{
	if (out->p[out->len - 1] != '{')
		bytes_addc(out, ',');
	json_quote_text(out, name.p, name.n);
	bytes_addc(out, ':');
}

static void
add_base64_member(struct bytes *out, const char *name, struct slice value)
{
	json_add_name(out, slice_of(name));
	bytes_addc(out, '"');
	base64_encode(out, value.p, value.n);
	bytes_addc(out, '"');
}

static void
add_payload_member(struct bytes *out, struct slice payload)
{
	struct json_fault fault;

	if (json_check(payload.p, payload.n, &fault) == 0) {
		json_add_name(out, slice_of("payload"));
		json_add_oneline(out, payload.p, payload.n);
	} else if (json_is_utf8(payload.p, payload.n)) {
		json_add_member(out, slice_of("payload_text"), payload);
	} else {
		add_base64_member(out, "payload_base64", payload);
	}
}

/* Adds the fields that are not the first of a known name. */
static void
add_other_fields(struct bytes *out, const struct event_entry *r)
{
	bool seen[EVENT_FIELDS] = {false}, any = false;
	struct slice value;

	for (size_t k = 0; k + 1 < r->nkv; k += 2) {
		size_t i = find_field(r->kv[k], k / 2);

		if (i < EVENT_FIELDS && !seen[i]) {
			seen[i] = true;
			continue;
		}
		if (!any) {
			json_add_name(out, slice_of("fields"));
			bytes_addc(out, '{');
		}
		any = true;
		add_field_name(out, r->kv[k]);
		value = r->kv[k + 1];
		if (json_is_utf8(value.p, value.n)) {
			json_quote(out, value.p, value.n);
		} else {
			bytes_addc(out, '{');
			add_base64_member(out, "base64", value);
			bytes_addc(out, '}');
		}
	}
	if (any)
		bytes_addc(out, '}');
}

void
event_add_json(struct bytes *out, const struct event_entry *r)
{
	struct event e;

	event_from_fields(&e, r->kv, r->nkv);
	bytes_addc(out, '{');
	if (r->id.n > 0)
		json_add_member(out, slice_of("id"), r->id);
	if (r->stream.n > 0)
		json_add_member(out, slice_of("stream"), r->stream);
	if (e.type.p == NULL)
		e.type = r->type;
	json_add_member(out, event_field_names[0], e.type);
	if (e.payload.p != NULL)
		add_payload_member(out, e.payload);
	for (size_t i = EVENT_PAYLOAD + 1; i < EVENT_FIELDS; i++)
		if (e.field[i].p != NULL)
			json_add_member(out, event_field_names[i], e.field[i]);
	add_other_fields(out, r);
	if (r->deliveries >= 0) {
		json_add_name(out, slice_of("deliveries"));
		bytes_addu(out, (uint64_t)r->deliveries);
	}
	bytes_addc(out, '}');
}

void
event_add_payload(struct bytes *out, const struct slice *kv, size_t nkv)
{
	struct event e;

	event_from_fields(&e, kv, nkv);
	if (e.payload.p != NULL) {
		bytes_add(out, e.payload.p, e.payload.n);
		return;
	}
	bytes_addc(out, '{');
	for (size_t k = 0; k + 1 < nkv; k += 2) {
		add_field_name(out, kv[k]);
		json_quote_text(out, kv[k + 1].p, kv[k + 1].n);
	}
	bytes_addc(out, '}');
}

/* The members that event_parse_json knows: the fields of an event, in their order, then these.
 * Those from ID on are ignored. */
enum { TEXT = EVENT_FIELDS, BASE64, ID, COUNT = ID + 3 };

static const struct slice more_names[COUNT - EVENT_FIELDS] = {SLICE("payload_text"),
    SLICE("payload_base64"), SLICE("id"), SLICE("stream"), SLICE("deliveries")};

static struct slice
member_name(size_t i)
{
	return i < EVENT_FIELDS ? event_field_names[i] : more_names[i - EVENT_FIELDS];
}

static int
collect_event_members(const char *s, size_t n, struct slice values[COUNT], struct err *err)
{
	struct slice key, value;
	struct json_walk w;
	size_t i;

	memset(values, 0, COUNT * sizeof(*values));
	if (json_walk(&w, (struct slice){s, n}) == -1)
		return err_set(err, STATUS_DATA, "not a JSON object");
	while (json_next(&w, &key, &value)) {
		for (i = 0; i < COUNT && !slice_equal(key, member_name(i)); i++)
			;
		if (i == COUNT)
			return err_set(err, STATUS_DATA, "unknown member '%.*s'",
			    (int)(key.n < 60 ? key.n : 60), key.p);
		if (values[i].p == NULL && (i == EVENT_PAYLOAD || !slice_is(value, "null")))
			values[i] = value;
	}
	return 0;
}

static int
decode_member(const struct slice values[COUNT], size_t i, struct slice *out, struct bytes *text,
    struct err *err)
{
	size_t from = text->len;

	*out = (struct slice){0};
	if (values[i].p == NULL)
		return 0;
	if (json_unquote(text, values[i]) == -1)
		return err_set(err, STATUS_DATA, "%s is not a string", member_name(i).p);
	*out = (struct slice){text->p + from, text->len - from};
	return 0;
}

static int
decode_payload(const struct slice values[COUNT], struct event *e, bool *is_json, struct bytes *text,
    struct err *err)
{
	int given = (values[EVENT_PAYLOAD].p != NULL) + (values[TEXT].p != NULL) +
	    (values[BASE64].p != NULL);
	struct slice coded;
	size_t from;

	*is_json = values[EVENT_PAYLOAD].p != NULL;
	if (given != 1)
		return err_set(
		    err, STATUS_DATA, given == 0 ? "no payload" : "more than one payload");
	if (*is_json) {
		e->payload = values[EVENT_PAYLOAD];
		return 0;
	}
	if (values[TEXT].p != NULL)
		return decode_member(values, TEXT, &e->payload, text, err);
	if (decode_member(values, BASE64, &coded, text, err) == -1)
		return -1;
	from = text->len;
	if (base64_decode(text, coded.p, coded.n) == -1)
		return err_set(err, STATUS_DATA, "payload_base64 is not base64");
	e->payload = (struct slice){text->p + from, text->len - from};
	return 0;
}

int
event_parse_json(
    const char *s, size_t n, struct event *e, bool *is_json, struct bytes *text, struct err *err)
{
	struct slice values[COUNT];
	struct json_fault fault;

	*e = (struct event){0};
	text->len = 0;
	/* Room for all members, and for base64 twice: e points into text, which must not move. */
	bytes_reserve(text, 2 * n + 1);
	if (json_check(s, n, &fault) == -1)
		return err_set(
		    err, STATUS_DATA, "not JSON: %s at byte %zu", fault.why, fault.at + 1);
	if (collect_event_members(s, n, values, err) == -1)
		return -1;
	if (values[0].p == NULL)
		return err_set(err, STATUS_DATA, "no event_type");
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		if (i != EVENT_PAYLOAD && decode_member(values, i, &e->field[i], text, err) == -1)
			return -1;
	if (e->event_id.p != NULL && !event_id_legal(e->event_id))
		return err_set(err, STATUS_DATA, "event_id is not 1 to 200 printable characters");
	return decode_payload(values, e, is_json, text, err);
}

void
event_add_recovered(struct bytes *out, const char *timestamp, struct slice stats)
{
	bytes_adds(out, "{\"timestamp\":");
	json_quote_text(out, timestamp, strlen(timestamp));
	bytes_adds(out, ",\"buffer_stats\":");
	json_add_oneline(out, stats.p, stats.n);
	bytes_addc(out, '}');
}

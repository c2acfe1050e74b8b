#include "buffer/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"
#include "buffer/append.h"
#include "buffer/segment.h"
#include "event/names.h"

void
line_head(struct bytes *out, const struct event *e)
{
	bytes_addc(out, '{');
	json_add_member(out, event_field_names[0], e->type);
	bytes_adds(out, ",\"message\":{");
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		json_add_member(out, event_field_names[i], e->field[i]);
	if (!json_is_utf8(e->payload.p, e->payload.n)) {
		bytes_adds(out, ",\"payload_base64\":\"");
		base64_encode(out, e->payload.p, e->payload.n);
		bytes_addc(out, '"');
	}
	bytes_addc(out, '}');
}

void
line_tail(struct bytes *out, int64_t maxlen, const struct doubt *d)
{
	if (maxlen >= 0) {
		bytes_adds(out, ",\"maxlen\":");
		bytes_addu(out, (uint64_t)maxlen);
	}
	if (d == NULL)
		return;
	bytes_adds(out, ",\"doubt\":{");
	json_add_member(out, slice_of("run_id"), slice_of(d->run_id));
	json_add_name(out, slice_of("client"));
	bytes_addu(out, (uint64_t)d->client);
	json_add_member(out, slice_of("addr"), slice_of(d->addr));
	json_add_member(out, slice_of("after"), slice_of(d->after));
	bytes_addc(out, '}');
}

/* The lines of ebpub end in ,"crc":"12345678"}: 1 when that is right, 0 when it is missing, -1 when
 * it is wrong. */
static int
check_crc(const char *line, size_t n)
{
	static const char front[] = ",\"crc\":\"";
	size_t at = n - 18, f = sizeof(front) - 1;
	char right[8];

	if (n < 18 || memcmp(line + at, front, f) != 0 || memcmp(line + n - 2, "\"}", 2) != 0)
		return 0;
	num_put_hex8(right, (uint32_t)crc32_z(0, (const Bytef *)line, at));
	return memcmp(line + at + f, right, 8) == 0 ? 1 : -1;
}

/* Finds the values of n members, the first of equal names. p is NULL where a member is missing. */
static void
collect_values(struct json_walk *w, const struct slice *name, size_t n, struct slice *values)
{
	struct slice key, value;
	size_t i;

	memset(values, 0, n * sizeof(*values));
	while (json_next(w, &key, &value)) {
		for (i = 0; i < n && !slice_equal(key, name[i]); i++)
			;
		if (i < n && values[i].p == NULL)
			values[i] = value;
	}
}

static int
find_members(struct slice object, const struct slice *name, size_t n, struct slice *values)
{
	struct json_walk w;

	if (json_walk(&w, object) == -1)
		return -1;
	collect_values(&w, name, n, values);
	return 0;
}

/* Appends a value to text: of a string its content, of others their bytes. null counts as missing.
 */
static struct slice
unquote_member(struct slice value, struct bytes *text)
{
	size_t from = text->len;

	if (value.p == NULL || slice_is(value, "null"))
		return (struct slice){0};
	if (json_unquote(text, value) == -1)
		bytes_add(text, value.p, value.n);
	return (struct slice){text->p + from, text->len - from};
}

/* Returns -1 where the value is no number from 0 to INT64_MAX. */
static int64_t
parse_count(struct slice value)
{
	char digits[20];
	uint64_t n;

	if (value.n == 0 || value.n >= sizeof(digits))
		return -1;
	memcpy(digits, value.p, value.n);
	digits[value.n] = '\0';
	return num_parse_u64(digits, &n) == -1 || n > INT64_MAX ? -1 : (int64_t)n;
}

/* Copies a string into out[size], cut to fit. out stays as it is when the value is no string. */
static void
copy_string(struct slice value, char *out, size_t size, struct bytes *text)
{
	size_t from = text->len, n;

	if (value.p == NULL || json_unquote(text, value) == -1)
		return;
	n = text->len - from < size - 1 ? text->len - from : size - 1;
	memcpy(out, text->p + from, n);
	out[n] = '\0';
}

static void
parse_doubt(struct slice value, struct doubt *d, struct bytes *text)
{
	static const struct slice name[] = {
	    SLICE("run_id"), SLICE("client"), SLICE("addr"), SLICE("after")};
	struct slice v[4];
	int64_t client;

	*d = (struct doubt){.after = "0-0"};
	if (find_members(value, name, 4, v) == -1)
		return;
	copy_string(v[0], d->run_id, sizeof(d->run_id), text);
	copy_string(v[2], d->addr, sizeof(d->addr), text);
	copy_string(v[3], d->after, sizeof(d->after), text);
	client = parse_count(v[1]);
	d->client = client == -1 ? 0 : client;
}

static int
check_message(const struct event *e, struct err *err)
{
	if (e->type.n == 0)
		return err_set(err, STATUS_DATA, "no event_type");
	if (e->event_id.p != NULL && !event_id_legal(e->event_id))
		return err_set(err, STATUS_DATA, "event_id is not 1 to 200 printable characters");
	return 0;
}

static int
parse_message(struct slice message, struct event *e, struct bytes *text, struct err *err)
{
	struct slice wanted[EVENT_FIELDS + 1], values[EVENT_FIELDS + 1], plain, coded;
	size_t from;

	memcpy(wanted, event_field_names, sizeof(event_field_names));
	wanted[EVENT_FIELDS] = slice_of("payload_base64");
	if (message.p == NULL || find_members(message, wanted, EVENT_FIELDS + 1, values) == -1)
		return err_set(err, STATUS_DATA, "no message");
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		if (i != EVENT_PAYLOAD && e->field[i].p == NULL)
			e->field[i] = unquote_member(values[i], text);
	if (check_message(e, err) == -1)
		return -1;
	plain = values[EVENT_PAYLOAD];
	if (plain.p == NULL)
		return err_set(err, STATUS_DATA, "no payload");
	coded = unquote_member(values[EVENT_FIELDS], text);
	from = text->len;
	if (coded.p == NULL || base64_decode(text, coded.p, coded.n) == -1)
		if (json_unquote(text, plain) == -1)
			bytes_add(text, plain.p, plain.n); /* even null */
	e->payload = (struct slice){text->p + from, text->len - from};
	return 0;
}

/* Checks the crc, or without one that the line is JSON. */
static int
check_line_form(struct slice raw, bool *has_crc, struct err *err)
{
	struct json_fault fault;
	int crc = check_crc(raw.p, raw.n);

	if (crc == -1)
		return err_set(err, STATUS_DATA, "crc differs");
	*has_crc = crc;
	if (crc || json_check(raw.p, raw.n, &fault) == 0)
		return 0;
	if (fault.at == raw.n)
		return err_set(err, STATUS_DATA, "torn: %s", fault.why);
	return err_set(err, STATUS_DATA, "not JSON: %s at byte %zu", fault.why, fault.at + 1);
}

enum { TYPE, MESSAGE, BUFFERED_AT, MAXLEN, DOUBT, CRC, COUNT };

static const struct slice members[COUNT] = {SLICE("event_type"), SLICE("message"),
    SLICE("buffered_at"), SLICE("maxlen"), SLICE("doubt"), SLICE("crc")};

/* Parses one member of that name and returns what follows it; NULL when it is another. */
static const char *
parse_member(const char *p, const char *end, char before, struct slice name, struct slice *out,
    struct bytes *text)
{
	size_t from = text->len;

	if ((size_t)(end - p) < name.n + 4 || p[0] != before || p[1] != '"' ||
	    memcmp(p + 2, name.p, name.n) != 0 || p[name.n + 2] != '"' || p[name.n + 3] != ':')
		return NULL;
	if ((p = json_unquote_from(text, p + name.n + 4, end)) != NULL)
		*out = (struct slice){text->p + from, text->len - from};
	return p;
}

/*
 * Parses the front of a line as line_head writes it, in one pass: the hot path of a drain. Returns
 * the members behind the message; p is NULL when the line has another form.
 */
static struct slice
parse_own_front(struct slice raw, struct event *e, struct bytes *text)
{
	static const char open[] = ",\"message\":";
	const char *end = raw.p + raw.n - 1,
	           *p = parse_member(raw.p, end, '{', event_field_names[0], &e->type, text);
	struct slice again;

	if (p == NULL || (size_t)(end - p) < sizeof(open) || memcmp(p, open, sizeof(open) - 1) != 0)
		return (struct slice){0};
	p = parse_member(p + sizeof(open) - 1, end, '{', event_field_names[0], &again, text);
	for (size_t i = 1; i < EVENT_FIELDS && p != NULL; i++)
		p = parse_member(p, end, ',', event_field_names[i], &e->field[i], text);
	if (p == NULL || *p != '}')
		return (struct slice){0};
	return (struct slice){p + 1, (size_t)(end - p) - 1};
}

/* Parses the front of a line in any form, and finds its other members. */
static int
parse_front(
    struct slice raw, struct line *l, struct slice *values, struct bytes *text, struct err *err)
{
	struct event *e = &l->e;
	struct slice rest = l->has_crc ? parse_own_front(raw, e, text) : (struct slice){0};

	if (rest.p != NULL) {
		collect_values(
		    &(struct json_walk){rest.p, rest.p + rest.n}, members, COUNT, values);
		return check_message(e, err);
	}
	*e = (struct event){0};
	text->len = 0;
	bytes_reserve(text, 2 * raw.n + 1); /* the payload twice: text and base64 */
	if (find_members(raw, members, COUNT, values) == -1)
		return err_set(err, STATUS_DATA, "not an object");
	if (!l->has_crc && values[CRC].p != NULL)
		return err_set(err, STATUS_DATA, "crc differs");
	e->type = unquote_member(values[TYPE], text);
	return parse_message(values[MESSAGE], e, text, err);
}

int
line_parse(const char *line, size_t n, struct line *out, struct bytes *text, struct err *err)
{
	struct slice values[COUNT] = {{0}}, raw = {line, n}, at;

	*out = (struct line){.maxlen = -1};
	text->len = 0;
	bytes_reserve(text, n + 1); /* no reallocation: slices point into it */
	if (check_line_form(raw, &out->has_crc, err) == -1 ||
	    parse_front(raw, out, values, text, err) == -1)
		return -1;
	at = unquote_member(values[BUFFERED_AT], text);
	if (clock_parse(at.p, at.n, &out->buffered_at) == -1)
		return err_set(err, STATUS_DATA, "buffered_at is not a time");
	out->maxlen = parse_count(values[MAXLEN]);
	if ((out->in_doubt = out->has_crc && values[DOUBT].p != NULL))
		parse_doubt(values[DOUBT], &out->doubt, text);
	return 0;
}

void
line_digest(const struct event *e, char out[UUID_SIZE])
{
	struct bytes b = {0};

	line_head(&b, e);
	uuid_derived("event", b.p, b.len, out);
	bytes_free(&b);
}

int
line_parse_checked(const char *p, size_t n, struct line *l, struct bytes *text, struct err *err)
{
	if (line_parse(p, n, l, text, err) == -1)
		return -1;
	return names_legal(l->e.type.p, l->e.type.n) ? 0
	                                             : err_set(err, 1, "not a legal event type");
}

void
line_format(
    struct bytes *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp)
{
	struct bytes head = {0}, tail = {0};
	struct append_line l;

	line_head(&head, e);
	line_tail(&tail, maxlen, d);
	l.head = (struct slice){head.p, head.len};
	l.tail = (struct slice){tail.p, tail.len};
	append_format(out, &l, stamp);
	bytes_free(&head);
	bytes_free(&tail);
}

/* Derives from the name that the file had before it was adopted, so that a run gets the same UUID
 * before and after. */
static void
derive_uuid(const char *stem, uint64_t at, struct slice raw, const char *what, char out[UUID_SIZE])
{
	struct bytes b = {0};

	bytes_add(&b, stem, segment_plain_length(stem));
	bytes_addf(&b, "\n%" PRIu64 "\n", at);
	bytes_add(&b, raw.p, raw.n);
	uuid_derived(what, b.p, b.len, out);
	bytes_free(&b);
}

void
line_complete(
    struct line *l, struct line_derived *d, const char *stem, uint64_t at, struct slice raw)
{
	struct event *e = &l->e;

	if (!e->event_id.n) {
		derive_uuid(stem, at, raw, "event_id", d->event_id);
		e->event_id = slice_of(d->event_id);
	}
	if (!e->correlation_id.n) {
		derive_uuid(stem, at, raw, "correlation_id", d->correlation_id);
		e->correlation_id = slice_of(d->correlation_id);
	}
	if (!e->timestamp.n) {
		clock_format(l->buffered_at, d->timestamp);
		e->timestamp = slice_of(d->timestamp);
	}
}

int
line_stamp(struct slice line, int64_t *stamp)
{
	struct json_walk w;
	struct slice key, value;

	if (json_walk(&w, line) == -1)
		return -1;
	while (json_next(&w, &key, &value))
		if (slice_is(key, "buffered_at"))
			return value.n < 2 ? -1 : clock_parse(value.p + 1, value.n - 2, stamp);
	return -1;
}

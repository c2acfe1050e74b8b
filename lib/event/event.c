#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <zlib.h>

#include "base/base64.h"
#include "event/event.h"
#include "base/json.h"
#include "base/status.h"
#include "base/mem.h"
#include "base/clock.h"

#define NAME(s) {(s), sizeof(s) - 1}

const struct slice event_names[EVENT_FIELDS] = {
	NAME("event_type"), NAME("payload"), NAME("trace_id"), NAME("correlation_id"), NAME("timestamp"), NAME("source"),
	NAME("event_id"),
};

/* The members in the order of the names. */
static void
list(struct event *e, struct slice *at[EVENT_FIELDS])
{
	struct slice *const all[EVENT_FIELDS] = {
		&e->type, &e->payload, &e->trace_id, &e->correlation_id, &e->timestamp, &e->source,
		&e->event_id,
	};

	memcpy(at, all, sizeof all);
}

void
event_values(const struct event *e, struct slice value[EVENT_FIELDS])
{
	const struct slice all[EVENT_FIELDS] = {
		e->type, e->payload, e->trace_id, e->correlation_id, e->timestamp, e->source, e->event_id,
	};

	memcpy(value, all, sizeof all);
}

void
event_fields(const struct event *e, struct slice kv[2 * EVENT_FIELDS])
{
	struct slice value[EVENT_FIELDS];

	event_values(e, value);
	for (size_t i = 0; i < EVENT_FIELDS; i++) {
		kv[2 * i] = event_names[i];
		kv[2 * i + 1] = value[i];
	}
}

size_t
event_which(struct slice name, size_t first)
{
	for (size_t n = 0, i = first % EVENT_FIELDS; n < EVENT_FIELDS; n++, i = (i + 1) % EVENT_FIELDS)
		if (slice_same(name, event_names[i]))
			return i;
	return EVENT_FIELDS;
}

void
event_from_fields(struct event *e, const struct slice *kv, size_t nkv)
{
	struct slice *at[EVENT_FIELDS];
	size_t i;

	*e = (struct event){0};
	list(e, at);
	for (size_t k = 0; k + 1 < nkv; k += 2) {
		if ((i = event_which(kv[k], k / 2)) == EVENT_FIELDS || at[i]->p != NULL)
			continue;
		/* an empty value is not a missing field */
		*at[i] = kv[k + 1].p == NULL ? slice_of("") : kv[k + 1];
	}
}

int
event_same(const struct event *a, const struct event *b)
{
	struct slice x[2 * EVENT_FIELDS], y[2 * EVENT_FIELDS];
	size_t i;

	event_fields(a, x);
	event_fields(b, y);
	for (i = 1; i < 2 * EVENT_FIELDS; i += 2)
		if (x[i].n != y[i].n || (x[i].n && memcmp(x[i].p, y[i].p, x[i].n) != 0))
			return 0;
	return 1;
}

void
event_digest(const struct event *e, char out[UUID_SIZE])
{
	struct bytes b = {0};

	line_head(&b, e);
	uuid_derived("event", b.p, b.len, out);
	bytes_free(&b);
}

int
event_id_legal(struct slice id)
{
	if (id.n < 1 || id.n > 200)
		return 0;
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] < ' ' || id.p[i] > '~')
			return 0;
	return 1;
}

static void
add_member(struct bytes *out, struct slice name, struct slice value)
{
	buf_addc(out, '"');
	buf_add(out, name.p, name.n);
	buf_add(out, "\":", 2);
	json_quote_text(out, value.p, value.n);
}

void
line_head(struct bytes *out, const struct event *e)
{
	struct event copy = *e;
	struct slice *at[EVENT_FIELDS];

	list(&copy, at);
	buf_addc(out, '{');
	add_member(out, event_names[0], e->type);
	bytes_adds(out, ",\"message\":{");
	for (size_t i = 0; i < EVENT_FIELDS; i++) {
		if (i > 0)
			buf_addc(out, ',');
		add_member(out, event_names[i], *at[i]);
	}
	if (!json_utf8(e->payload.p, e->payload.n)) {
		bytes_adds(out, ",\"payload_base64\":\"");
		base64_add(out, e->payload.p, e->payload.n);
		buf_addc(out, '"');
	}
	buf_addc(out, '}');
}

static void
add_doubt(struct bytes *out, const struct doubt *d)
{
	cJSON *o = cJSON_CreateObject();
	char *text = NULL, client[24];

	/* cJSON itself prints large numbers cut to 15 digits */
	snprintf(client, sizeof client, "%lld", (long long)d->client);
	if (o != NULL && cJSON_AddStringToObject(o, "run_id", d->run_id) != NULL &&
	    cJSON_AddRawToObject(o, "client", client) != NULL &&
	    cJSON_AddStringToObject(o, "addr", d->addr) != NULL &&
	    cJSON_AddStringToObject(o, "after", d->after) != NULL)
		text = cJSON_PrintUnformatted(o);
	if (text == NULL)
		mem_alloc(SIZE_MAX);		/* ends the process */
	bytes_adds(out, text);
	cJSON_free(text);
	cJSON_Delete(o);
}

void
line_tail(struct bytes *out, int64_t maxlen, const struct doubt *d)
{
	if (maxlen >= 0) {
		bytes_adds(out, ",\"maxlen\":");
		bytes_addu(out, (uint64_t)maxlen);
	}
	if (d != NULL) {
		bytes_adds(out, ",\"doubt\":");
		add_doubt(out, d);
	}
}

/* Our lines end in ,"crc":"12345678"}: 1 when this one does and it is right, 0 when it
 * does not, -1 when it is wrong. */
static int
check_crc(const char *line, size_t n)
{
	static const char front[] = ",\"crc\":\"";
	size_t at = n - 18, f = sizeof front - 1;
	char right[8];

	if (n < 18 || memcmp(line + at, front, f) != 0 || memcmp(line + n - 2, "\"}", 2) != 0)
		return 0;
	num_hex8(right, (uint32_t)crc32_z(0, (const Bytef *)line, at));
	return memcmp(line + at + f, right, 8) == 0 ? 1 : -1;
}

/* The values of the named members, the first of equal ones; p stays NULL where there is none. */
static void
find_in(struct json_walk *w, const struct slice *name, size_t n, struct slice *values)
{
	struct slice key, value;
	size_t i;

	memset(values, 0, n * sizeof *values);
	while (json_next(w, &key, &value)) {
		for (i = 0; i < n && !slice_same(key, name[i]); i++)
			;
		if (i < n && values[i].p == NULL)
			values[i] = value;
	}
}

static int
find(struct slice object, const struct slice *name, size_t n, struct slice *values)
{
	struct json_walk w;

	if (json_walk(&w, object) == -1)
		return -1;
	find_in(&w, name, n, values);
	return 0;
}

/* A member as bytes in text: a string's text, of others what stands there; null is none. */
static struct slice
bytes_of(struct slice value, struct bytes *text)
{
	size_t from = text->len;

	if (value.p == NULL || slice_eq(value, "null"))
		return (struct slice){0};
	if (json_text(text, value) == -1)
		buf_add(text, value.p, value.n);
	return (struct slice){text->p + from, text->len - from};
}

static void
copy_string(const cJSON *o, const char *name, char *out, size_t size)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	if (s != NULL)
		snprintf(out, size, "%s", s);
}

static void
read_doubt(struct slice value, struct doubt *d)
{
	cJSON *o = cJSON_ParseWithLength(value.p, value.n);
	const cJSON *client = cJSON_GetObjectItemCaseSensitive(o, "client");

	*d = (struct doubt){.after = "0-0"};
	copy_string(o, "run_id", d->run_id, sizeof d->run_id);
	copy_string(o, "addr", d->addr, sizeof d->addr);
	copy_string(o, "after", d->after, sizeof d->after);
	if (cJSON_IsNumber(client) && client->valuedouble > 0 && client->valuedouble < 9007199254740992.0)
		d->client = (int64_t)client->valuedouble;
	cJSON_Delete(o);
}

static int64_t
read_maxlen(struct slice value)
{
	char digits[20];
	uint64_t n;

	if (value.n == 0 || value.n >= sizeof digits)
		return -1;
	memcpy(digits, value.p, value.n);
	digits[value.n] = '\0';
	return num_u64(digits, &n) == -1 || n > INT64_MAX ? -1 : (int64_t)n;
}

static int
read_payload(struct slice plain, struct slice base64, struct event *e, struct bytes *text, struct err *err)
{
	struct slice coded = bytes_of(base64, text);
	size_t from = text->len;

	if (plain.p == NULL)
		return err_set(err, STATUS_DATA, "no payload");
	if (coded.p == NULL || base64_read(text, coded.p, coded.n) == -1)
		if (json_text(text, plain) == -1)
			buf_add(text, plain.p, plain.n);	/* null too */
	e->payload = (struct slice){text->p + from, text->len - from};
	return 0;
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
read_message(struct slice message, struct event *e, struct bytes *text, struct err *err)
{
	struct slice wanted[EVENT_FIELDS + 1];
	struct slice *at[EVENT_FIELDS], values[EVENT_FIELDS + 1];

	memcpy(wanted, event_names, sizeof event_names);
	wanted[EVENT_FIELDS] = slice_of("payload_base64");
	if (message.p == NULL || find(message, wanted, EVENT_FIELDS + 1, values) == -1)
		return err_set(err, STATUS_DATA, "no message");
	list(e, at);
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		if (at[i] != &e->payload && at[i]->p == NULL)
			*at[i] = bytes_of(values[i], text);
	if (check_message(e, err) == -1)
		return -1;
	return read_payload(values[1], values[EVENT_FIELDS], e, text, err);
}

/* Is it a line of ours, or else JSON? */
static int
judge(const char *line, size_t n, int *ours, struct err *err)
{
	struct json_fault fault;

	if ((*ours = check_crc(line, n)) == -1)
		return err_set(err, STATUS_DATA, "crc differs");
	if (*ours || json_check(line, n, &fault) == 0)
		return 0;
	if (fault.at == n)
		return err_set(err, STATUS_DATA, "torn: %s", fault.why);
	return err_set(err, STATUS_DATA, "not JSON: %s at byte %zu", fault.why, fault.at + 1);
}

enum { TYPE, MESSAGE, BUFFERED_AT, MAXLEN, DOUBT, CRC, COUNT };

static const struct slice members[COUNT] = {
	NAME("event_type"), NAME("message"), NAME("buffered_at"), NAME("maxlen"), NAME("doubt"), NAME("crc")
};

/* Past a member of which all is known but its text; NULL when something else stands there. */
static const char *
take_member(const char *p, const char *end, char before, struct slice name, struct slice *out, struct bytes *text)
{
	size_t from = text->len;

	if ((size_t)(end - p) < name.n + 4 || p[0] != before || p[1] != '"' || memcmp(p + 2, name.p, name.n) != 0 ||
	    p[name.n + 2] != '"' || p[name.n + 3] != ':')
		return NULL;
	if ((p = json_take(text, p + name.n + 4, end)) != NULL)
		*out = (struct slice){text->p + from, text->len - from};
	return p;
}

/*
 * The front of a line just as line_head writes it, in one pass: a replay reads nothing else. Returns what stands behind the message, as
 * members; p is NULL when the line has another form, and is then read by its names.
 */
static struct slice
read_own(const char *line, size_t n, struct event *e, struct bytes *text)
{
	static const char open[] = ",\"message\":";
	const char *end = line + n - 1, *p = take_member(line, end, '{', event_names[0], &e->type, text);
	struct slice *at[EVENT_FIELDS], again;

	list(e, at);
	if (p == NULL || (size_t)(end - p) < sizeof open || memcmp(p, open, sizeof open - 1) != 0)
		return (struct slice){0};
	p = take_member(p + sizeof open - 1, end, '{', event_names[0], &again, text);
	for (size_t i = 1; i < EVENT_FIELDS && p != NULL; i++)
		p = take_member(p, end, ',', event_names[i], at[i], text);
	if (p == NULL || *p != '}')
		return (struct slice){0};
	return (struct slice){p + 1, (size_t)(end - p) - 1};
}

/* The front of a line in any form, and its other members. */
static int
read_front(const char *line, size_t n, int ours, struct event *e, struct slice *values, struct bytes *text, struct err *err)
{
	struct slice rest = ours ? read_own(line, n, e, text) : (struct slice){0};

	if (rest.p != NULL) {
		find_in(&(struct json_walk){rest.p, rest.p + rest.n}, members, COUNT, values);
		return check_message(e, err);
	}
	*e = (struct event){0};
	text->len = 0;
	buf_reserve(text, 2 * n + 1);	/* base64 twice */
	if (find((struct slice){line, n}, members, COUNT, values) == -1)
		return err_set(err, STATUS_DATA, "not an object");
	if (!ours && values[CRC].p != NULL)
		return err_set(err, STATUS_DATA, "crc differs");
	e->type = bytes_of(values[TYPE], text);
	return read_message(values[MESSAGE], e, text, err);
}

int
line_parse(const char *line, size_t n, struct line *out, struct bytes *text, struct err *err)
{
	struct slice values[COUNT] = {{0}}, at;
	int ours;

	*out = (struct line){.maxlen = -1};
	text->len = 0;
	buf_reserve(text, n + 1);	/* for all: what points into it stays */
	if (judge(line, n, &ours, err) == -1)
		return -1;
	out->ours = ours;
	if (read_front(line, n, ours, &out->e, values, text, err) == -1)
		return -1;
	at = bytes_of(values[BUFFERED_AT], text);
	if (clock_parse(at.p, at.n, &out->buffered_at) == -1)
		return err_set(err, STATUS_DATA, "buffered_at is no time");
	out->maxlen = read_maxlen(values[MAXLEN]);
	if ((out->in_doubt = ours && values[DOUBT].p != NULL))
		read_doubt(values[DOUBT], &out->doubt);
	return 0;
}

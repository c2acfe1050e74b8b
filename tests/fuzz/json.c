/* json: fuzzes the JSON check, and the functions that walk through checked bytes. */
#include "base/json.h"

#include "fuzz.h"

/* Walks through all members, a few levels deep. */
static void
walk(struct slice value, int depth)
{
	struct bytes text = {0};
	struct slice key, member;
	struct json_walk w;

	PROMISE(json_unquote(&text, value) == (value.p[0] == '"' ? 0 : -1));
	PROMISE(text.len == 0 || json_is_utf8(text.p, text.len));
	bytes_free(&text);
	if (json_walk(&w, value) == -1) {
		PROMISE(value.p[0] != '{');
		return;
	}
	while (json_next(&w, &key, &member)) {
		PROMISE(member.n > 0);
		PROMISE(json_check(member.p, member.n, &(struct json_fault){0}) == 0);
		if (depth < 8)
			walk(member, depth + 1);
	}
}

/* Converts any bytes to a JSON string and back. */
static void
quote(const char *s, size_t n)
{
	struct bytes q = {0}, back = {0};
	struct json_fault fault;

	json_quote(&q, s, n);
	PROMISE(json_unquote(&back, (struct slice){q.p, q.len}) == 0);
	PROMISE(same((struct slice){back.p, back.len}, (struct slice){s, n}));
	PROMISE(json_check(q.p, q.len, &fault) == (json_is_utf8(s, n) ? 0 : -1));
	q.len = 0;
	json_quote_text(&q, s, n);
	PROMISE(json_check(q.p, q.len, &fault) == 0);
	bytes_free(&q);
	bytes_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = malloc(n); /* exactly n bytes, so that ASan sees a read beyond them */
	struct json_fault fault = {SIZE_MAX, NULL};
	struct bytes line = {0};

	if (n > 0)
		memcpy(s, data, n);
	if (json_check(s, n, &fault) == 0) {
		walk(json_trim_space(s, n), 0);
		json_add_oneline(&line, s, n);
		PROMISE(memchr(line.p, '\n', line.len) == NULL &&
		    memchr(line.p, '\r', line.len) == NULL);
		PROMISE(json_check(line.p, line.len, &fault) == 0);
		PROMISE(json_is_utf8(s, n));
	} else
		PROMISE(fault.at <= n && fault.why != NULL);
	quote(s, n);
	bytes_free(&line);
	free(s);
	return 0;
}

/* plain: fuzzes the parsers of times, numbers, IDs, names and base64. */
#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "buffer/token.h"
#include "event/id.h"
#include "event/names.h"
#include "fuzz.h"
#include "redis/stream.h"

static void
times(const char *s, size_t n)
{
	char text[CLOCK_SIZE], again[CLOCK_SIZE];
	int64_t us, strict, back;

	if (clock_parse(s, n, &us) == 0) {
		clock_format(us, text);
		PROMISE(strlen(text) == CLOCK_SIZE - 1);
		PROMISE(clock_parse_rfc3339(text, strlen(text), &back) == 0);
		clock_format(back, again);
		PROMISE(strcmp(text, again) == 0);
	}
	if (clock_parse_rfc3339(s, n, &strict) == 0)
		PROMISE(clock_parse(s, n, &us) == 0 && us == strict);
}

static void
numbers(const char *s)
{
	char text[32], id[ID_SIZE];
	struct stream_id a, b;
	uint64_t n;
	int64_t ms;

	if (num_parse_u64(s, &n) == 0) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
		PROMISE(s[0] == '0' || s[0] == '+' || strcmp(s, text) == 0);
	}
	num_parse_size(s, &n);
	if (num_parse_ms(s, &ms) == 0)
		PROMISE(ms >= 0);
	if (id_parse(slice_of(s), &a) == 0) {
		id_format(a, id);
		PROMISE(strcmp(s, id) == 0);
		PROMISE(id_parse(slice_of(id), &b) == 0 && id_cmp(a, b) == 0);
		PROMISE(id_cmp(id_next(a), a) > 0 || (a.ms == UINT64_MAX && a.seq == UINT64_MAX));
	}
}

static void
words(char *s, size_t n)
{
	struct bytes b = {0}, back = {0};
	char *line, *word;

	token_add(&b, s);
	line = word = mem_strdup(bytes_str(&b));
	PROMISE(strpbrk(word, " \t\r\n") == NULL);
	PROMISE(strcmp(token_next(&line), s) == 0);
	free(word);
	b.len = 0;
	base64_encode(&b, s, n);
	PROMISE(base64_decode(&back, b.p, b.len) == 0 &&
	    same((struct slice){back.p, back.len}, (struct slice){s, n}));
	back.len = 0;
	if (base64_decode(&back, s, n) == 0) {
		b.len = 0;
		base64_encode(&b, back.p, back.len);
		PROMISE(same((struct slice){b.p, b.len}, (struct slice){s, n}));
	}
	bytes_free(&b);
	bytes_free(&back);
	for (line = s; *token_next(&line) != '\0';)
		;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = text_of(data, n);
	const char *type;

	times(s, n);
	numbers(s);
	names_is_pattern(s);
	if (names_legal_prefix("q") && (type = names_stream_type("q", s, n)) != NULL)
		PROMISE(names_legal(type, n - (size_t)(type - s)));
	words(s, n);
	free(s);
	return 0;
}

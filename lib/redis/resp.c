#include "redis/resp.h"

#include <string.h>

#include "base/num.h"

#define KEEP (1 << 20)      /* an empty buffer larger than this is freed */
#define STALE (64UL * 1024) /* so many sent bytes are worth moving the rest to the front */

void
resp_free(struct resp *resp)
{
	bytes_free(&resp->out);
	*resp = (struct resp){0};
}

#define HEADER (NUM_DIGITS + 3) /* bytes at most: kind, length, CR LF */

static char *
put_header(char *o, char kind, size_t n)
{
	*o++ = kind;
	if (n < 100) { /* nearly all */
		*o = (char)('0' + n / 10);
		o += n >= 10;
		*o++ = (char)('0' + n % 10);
	} else {
		o = num_put_u64(o, n);
	}
	*o++ = '\r';
	*o++ = '\n';
	return o;
}

static char *
put_argument(char *o, struct slice arg)
{
	o = put_header(o, '$', arg.n);
	if (arg.n > 0)
		memcpy(o, arg.p, arg.n);
	o += arg.n;
	*o++ = '\r';
	*o++ = '\n';
	return o;
}

/* Reserves room for the arguments and `more` bytes. Returns where they go. */
static char *
reserve_command(struct resp *resp, size_t argc, const struct slice *argv, size_t more)
{
	size_t need = more;

	for (size_t i = 0; i < argc; i++)
		need += HEADER + argv[i].n + 2;
	bytes_reserve(&resp->out, need);
	return resp->out.p + resp->out.len;
}

static size_t
end_command(struct resp *resp, const char *end)
{
	size_t size = (size_t)(end - resp->out.p) - resp->out.len;

	resp->out.len += size;
	resp->queued += size;
	return size;
}

size_t
resp_put(struct resp *resp, size_t argc, const struct slice *argv)
{
	char *to = put_header(reserve_command(resp, argc, argv, HEADER), '*', argc);

	for (size_t i = 0; i < argc; i++)
		to = put_argument(to, argv[i]);
	return end_command(resp, to);
}

void
resp_template_init(struct resp_template *template, size_t argc, const struct slice *argv)
{
	struct bytes *text = &template->text;

	text->len = template->gaps = 0;
	bytes_reserve(text, HEADER);
	text->len = (size_t)(put_header(text->p, '*', argc) - text->p);
	for (size_t i = 0; i < argc; i++) {
		bytes_reserve(text, HEADER + argv[i].n + 2);
		if (argv[i].p != NULL)
			text->len = (size_t)(put_argument(text->p + text->len, argv[i]) - text->p);
		else if (template->gaps < RESP_GAPS)
			template->gap[template->gaps++] = text->len;
	}
}

size_t
resp_put_template(struct resp *resp, const struct resp_template *template, const struct slice *argv)
{
	const struct bytes *text = &template->text;
	char *to = reserve_command(resp, template->gaps, argv, text->len);
	size_t at = 0;

	for (size_t i = 0; i < template->gaps; i++) {
		memcpy(to, text->p + at, template->gap[i] - at);
		to = put_argument(to + (template->gap[i] - at), argv[i]);
		at = template->gap[i];
	}
	memcpy(to, text->p + at, text->len - at);
	return end_command(resp, to + (text->len - at));
}

size_t
resp_unsent(const struct resp *resp)
{
	return resp->out.len - resp->at;
}

int
resp_send(struct resp *resp, struct transport *t)
{
	size_t left = resp_unsent(resp), taken;
	int broken;

	if (left == 0)
		return 0;
	broken = t->ops->send(t, resp->out.p + resp->at, left, &taken);
	resp->at += taken;
	resp->written += taken;
	if (resp->at == resp->out.len) {
		resp->out.len = resp->at = 0;
		if (resp->out.cap > KEEP)
			bytes_free(&resp->out);
	} else if (resp->at > STALE && resp->at > resp->out.len / 2) {
		bytes_drop(&resp->out, resp->at);
		resp->at = 0;
	}
	return broken;
}

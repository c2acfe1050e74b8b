#include "buffer/append.h"
#include "buffer/line.h"
#include "event/names.h"

int
line_read(const char *p, size_t n, struct line *l, struct bytes *text, struct err *err)
{
	if (line_parse(p, n, l, text, err) == -1)
		return -1;
	return names_legal(l->e.type.p, l->e.type.n) ? 0 : err_set(err, 1, "not a legal event type");
}

void
line_put(struct bytes *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp)
{
	struct bytes head = { 0 }, tail = { 0 };
	struct append_line l;

	line_head(&head, e);
	line_tail(&tail, maxlen, d);
	l.head = (struct slice){ head.p, head.len };
	l.tail = (struct slice){ tail.p, tail.len };
	append_format(out, &l, stamp);
	bytes_free(&head);
	bytes_free(&tail);
}

#include "buffer/append.h"
#include "buffer/eventline.h"
#include "event/names.h"

int
eventline_read(const char *p, size_t n, struct event_line *l, struct buf *text, struct fail *f)
{
	if (event_line_read(p, n, l, text, f) == -1)
		return -1;
	return names_legal(l->e.type.p, l->e.type.n) ? 0 : fail_set(f, 1, "not a legal event type");
}

void
eventline_put(struct buf *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp)
{
	struct buf head = { 0 }, tail = { 0 };
	struct append_line l;

	event_line_head(&head, e);
	event_line_tail(&tail, maxlen, d);
	l.head = (struct slice){ head.p, head.len };
	l.tail = (struct slice){ tail.p, tail.len };
	append_format(out, &l, stamp);
	buf_free(&head);
	buf_free(&tail);
}

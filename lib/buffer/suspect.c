#include "buffer/suspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/idset.h"
#include "buffer/line.h"
#include "buffer/reader.h"
#include "event/event.h"

struct suspect {
	char *stem;
	struct idset events; /* digests, and how often each is in later segments */
};

/* Reads the events of a segment: adds those of the suspect one, counts those of a later one. */
static int
read_segment_events(struct suspect *s, struct buffer *buf, const struct segment *seg,
    bool is_suspect, struct err *err)
{
	struct reader *r = reader_open(buf->fd, seg, 0, UINT64_MAX, 0, err);
	struct reader_line l;
	struct line parsed;
	struct bytes text = {0};
	char digest[UUID_SIZE];
	size_t *later;
	struct err bad;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &l, err)) == 1) {
		if (line_parse(l.text.p, l.text.n, &parsed, &text, &bad) == -1)
			continue;
		line_digest(&parsed.e, digest);
		if (is_suspect)
			idset_add(&s->events, slice_of(digest));
		else if ((later = idset_find(&s->events, slice_of(digest))) != NULL)
			++*later;
	}
	reader_close(r);
	bytes_free(&text);
	return got;
}

struct suspect *
suspect_open(
    struct buffer *buf, const char *stem, const struct segment *list, size_t n, struct err *err)
{
	struct suspect *s = mem_alloc(sizeof(*s));
	size_t i;
	bool later = false;

	s->stem = mem_strdup(stem);
	for (i = 0; i < n; i++) {
		bool is_suspect = strcmp(list[i].stem, stem) == 0;

		if (list[i].ignored || list[i].kind == SEGMENT_FOREIGN || (!is_suspect && !later))
			continue;
		if (read_segment_events(s, buf, &list[i], is_suspect, err) == -1) {
			suspect_close(s);
			return NULL;
		}
		if (is_suspect)
			idset_sort(&s->events);
		later |= is_suspect;
	}
	return s;
}

void
suspect_close(struct suspect *s)
{
	if (s == NULL)
		return;
	idset_free(&s->events);
	free(s->stem);
	free(s);
}

const char *
suspect_stem(const struct suspect *s)
{
	return s->stem;
}

bool
suspect_is_repeated(const struct suspect *s, const struct event *e)
{
	char digest[UUID_SIZE];
	const size_t *later;

	line_digest(e, digest);
	later = idset_find(&s->events, slice_of(digest));
	return later != NULL && *later > 0;
}

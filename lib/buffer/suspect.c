#include "buffer/suspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/line.h"
#include "buffer/reader.h"
#include "buffer/segment.h"

struct suspect_event {
	char digest[UUID_SIZE];
	bool is_repeated; /* a later segment has it too */
};

struct suspect {
	char *stem;
	struct suspect_event *event; /* sorted */
	size_t n;
};

static int
compare_digests(const void *a, const void *b)
{
	return strcmp(a, b); /* the digest is the first member */
}

/* Of equal events any serves, because the search always ends at the same one. */
static struct suspect_event *
find_event(const struct suspect *s, const char *digest)
{
	return bsearch(digest, s->event, s->n, sizeof(*s->event), compare_digests);
}

/* Reads a segment: adds the events of the suspect one, marks those that a later one has. */
static int
read_segment_events(
    struct suspect *s, struct buffer *buf, const struct segment *seg, bool later, struct err *err)
{
	struct reader *r = reader_open(buf->fd, seg, 0, UINT64_MAX, 0, err);
	struct reader_line l;
	struct line parsed;
	struct bytes text = {0};
	char digest[UUID_SIZE];
	struct suspect_event *event;
	struct err bad;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &l, err)) == 1) {
		if (line_parse(l.text.p, l.text.n, &parsed, &text, &bad) == -1)
			continue;
		line_digest(&parsed.e, digest);
		if (!later) {
			if ((s->n & (s->n - 1)) == 0) /* 0 or a power of two: the array is full */
				s->event = mem_realloc(
				    s->event, (s->n ? 2 * s->n : 1) * sizeof(*s->event));
			event = &s->event[s->n++];
			memcpy(event->digest, digest, UUID_SIZE);
			event->is_repeated = false;
		} else if ((event = find_event(s, digest)) != NULL)
			event->is_repeated = true;
	}
	reader_close(r);
	bytes_free(&text);
	return got;
}

struct suspect *
suspect_open(struct buffer *buf, const char *stem, int64_t lock_ms, struct err *err)
{
	struct suspect *s;
	struct buffer_hints hints;
	struct segment *list;
	bool later = false;
	size_t n;
	int r;

	/* Under the lock no publisher is between writing this segment and the next. */
	if (buffer_lock(buf, lock_ms, &hints, err) == -1)
		return NULL;
	r = segment_list(buf->fd, &list, &n, err);
	buffer_unlock(buf);
	if (r == -1)
		return NULL;
	s = mem_alloc(sizeof(*s));
	s->stem = mem_strdup(stem);
	s->event = mem_alloc(sizeof(*s->event));
	for (size_t i = 0; r == 0 && i < n; i++) {
		bool is_suspect = strcmp(list[i].stem, stem) == 0;

		if (list[i].ignored || list[i].kind == SEGMENT_PLAIN || (!is_suspect && !later))
			continue;
		r = read_segment_events(s, buf, &list[i], later, err);
		if (is_suspect)
			qsort(s->event, s->n, sizeof(*s->event), compare_digests);
		later = true;
	}
	free(list);
	if (r == 0)
		return s;
	suspect_close(s);
	return NULL;
}

void
suspect_close(struct suspect *s)
{
	if (s == NULL)
		return;
	free(s->event);
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
	const struct suspect_event *event;
	char digest[UUID_SIZE];

	line_digest(e, digest);
	event = find_event(s, digest);
	return event != NULL && event->is_repeated;
}

#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "reader.h"
#include "suspect.h"
#include "util.h"

struct known {
	char *id;
	bool later;
};

struct suspect {
	char *stem;
	struct known *id;
	size_t n;
};

static int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->id, ((const struct known *)b)->id);
}

static struct known *
find(const struct suspect *s, struct slice id)
{
	struct known key = { .id = util_strndup(id.p, id.n) }, *found;

	found = s->n ? bsearch(&key, s->id, s->n, sizeof *s->id, by_id) : NULL;
	free(key.id);
	return found;
}

static void
remember(struct suspect *s, struct slice id)
{
	s->id = util_realloc(s->id, (s->n + 1) * sizeof *s->id);
	s->id[s->n++] = (struct known){ .id = util_strndup(id.p, id.n) };
}

/* Every event id of a segment: the suspect one's are remembered, the others' looked up. */
static int
read_ids(struct suspect *s, struct spool *sp, const struct segment *seg, bool own, struct fail *f)
{
	struct reader *r = reader_open(spool_fd(sp), seg, 0, UINT64_MAX, 0, f);
	struct reader_line l;
	struct event_line el;
	struct buf text = { 0 };
	struct known *k;
	struct fail bad;
	int got = -1;

	while (r && (got = reader_next(r, &l, f)) == 1) {
		if (event_line_read(l.text.p, l.text.n, &el, &text, &bad) == -1)
			continue;
		if (own)
			remember(s, el.e.event_id);
		else if ((k = find(s, el.e.event_id)))
			k->later = true;
	}
	reader_close(r);
	buf_free(&text);
	return got;
}

struct suspect *
suspect_open(struct spool *sp, const char *stem, const struct segment *list, size_t n, struct fail *f)
{
	struct suspect *s = util_alloc(sizeof *s);
	size_t i;
	bool later = false;

	s->stem = util_strdup(stem);
	for (i = 0; i < n; i++) {
		bool own = strcmp(list[i].stem, stem) == 0;

		if (list[i].odd || list[i].kind == SEGMENT_FOREIGN || (!own && !later && list[i].kind == SEGMENT_CHAIN))
			continue;
		if (read_ids(s, sp, &list[i], own, f) == -1) {
			suspect_close(s);
			return NULL;
		}
		if (own && s->n)
			qsort(s->id, s->n, sizeof *s->id, by_id);
		later |= own;
	}
	return s;
}

void
suspect_close(struct suspect *s)
{
	if (!s)
		return;
	while (s->n)
		free(s->id[--s->n].id);
	free(s->id);
	free(s->stem);
	free(s);
}

const char *
suspect_stem(const struct suspect *s)
{
	return s->stem;
}

int
suspect_later(const struct suspect *s, struct slice event_id)
{
	const struct known *k = find(s, event_id);

	return k && k->later;
}

#include "buffer/backlog.h"

#include <sys/file.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/jsonwrite.h"
#include "base/mem.h"
#include "buffer/counters.h"
#include "buffer/line.h"
#include "buffer/linecount.h"
#include "buffer/lockowner.h"
#include "buffer/manifest.h"
#include "buffer/quarantine.h"
#include "buffer/reader.h"
#include "buffer/walk.h"
#include "event/event.h"

#define LOCK_STUCK_MS 300 /* a writer holds the lock for a few ms */

struct backlog_count {
	struct backlog *backlog;
	struct checkpoint checkpoint;
	struct bytes text;
	bool first_only; /* stop at the first undelivered line */
};

static void
update_oldest(struct backlog *b, struct slice line)
{
	int64_t at;

	if (line_stamp(line, &at) == 0 && (!b->oldest || at < b->oldest))
		b->oldest = at;
}

static struct backlog_held *
find_held(struct backlog *b, struct slice type)
{
	size_t i;

	for (i = 0; i < b->nheld; i++)
		if (slice_is(type, b->held[i].type))
			return &b->held[i];
	return NULL;
}

/* Types matter only while one of them is lagging. A bad line before the positions is in quarantine.
 */
static void
count_backlog_line(struct backlog_count *c, const struct walk_line *l)
{
	struct line parsed;
	struct backlog_held *h;
	struct err why;
	bool known;

	if (!l->text.n)
		return;
	if (c->checkpoint.nlagging &&
	    line_parse(l->text.p, l->text.n, &parsed, &c->text, &why) == 0) {
		if (checkpoint_is_delivered(&c->checkpoint, parsed.e.type.p, parsed.e.type.n,
		        l->chain, l->stem, l->pos))
			return;
		if ((h = find_held(c->backlog, parsed.e.type)) != NULL)
			h->events++;
	} else if (c->checkpoint.nlagging &&
	    positions_passed(&c->checkpoint.positions, l->chain, l->stem, l->pos, &known)) {
		return;
	}
	if (c->backlog->events++ == 0)
		update_oldest(c->backlog, l->text);
}

static int
count_walked_lines(struct buffer *buf, struct backlog_count *c, struct err *err)
{
	struct walk *w = walk_open(buf, &c->checkpoint, WALK_LAGGING, line_stamp, err);
	struct walk_line l;
	int r = -1;

	while (w != NULL && (r = walk_next(w, &l, err)) == 1) {
		count_backlog_line(c, &l);
		if (c->first_only && c->backlog->events)
			break;
	}
	walk_close(w);
	return r == -1 ? -1 : 0;
}

static void
count_foreign_lines(struct buffer *buf, struct backlog_count *c, const struct segment *s)
{
	struct err err;
	struct reader *r = reader_open(buf->fd, s, 0, UINT64_MAX, 0, &err);
	struct reader_line l;

	while (r != NULL && reader_next(r, &l, &err) == 1)
		if (l.text.n) {
			c->backlog->events++;
			update_oldest(c->backlog, l.text);
			if (c->first_only)
				break;
		}
	reader_close(r);
}

static void
copy_held_types(struct backlog *b, const struct checkpoint *p)
{
	size_t i;

	b->held = mem_alloc((p->nlagging + 1) * sizeof(*b->held));
	for (i = 0; i < p->nlagging; i++)
		if (*p->lagging[i].reason) {
			b->held[b->nheld].type = mem_strdup(p->lagging[i].type);
			b->held[b->nheld].tried = p->lagging[i].tried;
			b->held[b->nheld++].reason = mem_strdup(p->lagging[i].reason);
		}
}

static bool
is_replay_running(struct buffer *buf)
{
	int fd = buffer_open_state(buf, ".replay", O_RDONLY);
	bool busy = fd != -1 && flock(fd, LOCK_SH | LOCK_NB) == -1;

	if (fd != -1)
		close(fd);
	return busy;
}

static int
fill_backlog(struct buffer *buf, struct backlog *b, bool brief, struct err *err)
{
	struct backlog_count c = {.backlog = b};
	struct segment *list = NULL;
	struct linecount chain;
	uint64_t counts[COUNTERS];
	size_t i, n = 0;
	int r;

	memset(b, 0, sizeof(*b));
	b->dir = mem_strdup(buf->dir);
	b->target = buffer_target(buf);
	counters_read(buf, counts);
	b->possible_duplicates = counts[COUNT_POSSIBLE_DUPLICATES];
	b->quarantined = quarantine_count(buf);
	b->replaying = is_replay_running(buf);
	b->lock_holder = lockowner_stuck(buf, LOCK_STUCK_MS);
	r = checkpoint_load(buf, &c.checkpoint, err);
	copy_held_types(b, &c.checkpoint);
	c.first_only = brief && b->nheld == 0;
	if (r == 0)
		r = segment_list(buf->fd, &list, &n, err);
	if (r == 0) {
		manifest_list_vanished(buf, list, n, &b->vanished, &b->nvanished);
		if (!c.first_only &&
		    linecount_chain(buf, &c.checkpoint, list, n, line_stamp, &chain)) {
			b->events = chain.lines;
			b->oldest = chain.first;
		} else {
			r = count_walked_lines(buf, &c, err);
		}
	}
	for (i = 0; r == 0 && i < n; i++) {
		b->files++;
		b->bytes += list[i].size;
		b->ignored += list[i].ignored;
		b->suspect += list[i].suspect;
		if (list[i].kind == SEGMENT_FOREIGN && !list[i].ignored)
			count_foreign_lines(buf, &c, &list[i]);
	}
	if (c.first_only)
		b->events = 0;
	free(list);
	bytes_free(&c.text);
	checkpoint_free(&c.checkpoint);
	return r;
}

int
backlog_read(struct buffer *buf, struct backlog *b, struct err *err)
{
	return fill_backlog(buf, b, false, err);
}

int
backlog_read_brief(struct buffer *buf, struct backlog *b, struct err *err)
{
	return fill_backlog(buf, b, true, err);
}

void
backlog_free(struct backlog *b)
{
	while (b->nheld) {
		free(b->held[--b->nheld].type);
		free(b->held[b->nheld].reason);
	}
	while (b->nvanished)
		free(b->vanished[--b->nvanished]);
	free(b->held);
	free(b->vanished);
	free(b->lock_holder);
	free(b->dir);
	free(b->target);
	memset(b, 0, sizeof(*b));
}

static void
put_held_json(struct bytes *out, const struct backlog_held *h)
{
	jsonwrite_begin_object(out);
	jsonwrite_text(out, "event_type", h->type);
	jsonwrite_text(out, "reason", h->reason);
	jsonwrite_time(out, "tried", h->tried);
	jsonwrite_count(out, "events", h->events);
	jsonwrite_end_object(out);
}

void
backlog_json(struct bytes *out, const struct backlog *b)
{
	size_t i;

	jsonwrite_begin_object(out);
	jsonwrite_text(out, "buffer_dir", b->dir);
	jsonwrite_text(out, "target", b->target);
	jsonwrite_count(out, "file_count", b->files);
	jsonwrite_count(out, "total_events", b->events);
	jsonwrite_count(out, "total_bytes", b->bytes);
	jsonwrite_time(out, "oldest_event", b->oldest);
	jsonwrite_count(out, "quarantined", b->quarantined);
	jsonwrite_name(out, "held");
	bytes_addc(out, '[');
	for (i = 0; i < b->nheld; i++) {
		bytes_adds(out, i ? "," : "");
		put_held_json(out, &b->held[i]);
	}
	bytes_adds(out, "],");
	jsonwrite_name(out, "vanished");
	bytes_addc(out, '[');
	for (i = 0; i < b->nvanished; i++) {
		bytes_adds(out, i ? "," : "");
		json_quote_text(out, b->vanished[i], strlen(b->vanished[i]));
	}
	bytes_adds(out, "],");
	jsonwrite_count(out, "odd_files", b->ignored);
	jsonwrite_count(out, "suspect_segments", b->suspect);
	jsonwrite_bool(out, "replaying", b->replaying);
	jsonwrite_text(out, "lock_holder", b->lock_holder);
	jsonwrite_count(out, "possible_duplicates", b->possible_duplicates);
	jsonwrite_end_object(out);
}

/* --- does the buffer lack a type? ---------------------------------------------------- */

/* Returns whether every line of the segment was delivered, except those of lagging types. */
static bool
is_segment_delivered(const struct checkpoint *p, const struct segment *s)
{
	const struct positions *positions = &p->positions;
	const struct position *at;
	int cmp;

	if (s->ignored)
		return true;
	if (s->kind == SEGMENT_CHAIN) {
		cmp = positions->chain.stem != NULL ? strcmp(s->stem, positions->chain.stem) : 1;
		return cmp < 0 || (cmp == 0 && !s->gz && positions->chain.pos >= s->size);
	}
	at = positions_find(positions, s->stem);
	return at != NULL && !at->limit && at->pos >= s->size;
}

int
backlog_lacks_type(struct buffer *buf, const char *type, bool *holds, struct err *err)
{
	struct checkpoint p;
	struct segment *list;
	size_t i, n;
	int lacks;

	lacks = segment_any(buf->fd);
	*holds = lacks != 0;
	if (lacks == 0)
		return 1;
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	lacks = checkpoint_load(buf, &p, err) == -1
	    ? -1
	    : checkpoint_find_lagging(&p, type, strlen(type)) == NULL;
	for (i = 0; lacks == 1 && i < n; i++)
		lacks = is_segment_delivered(&p, &list[i]);
	free(list);
	checkpoint_free(&p);
	return lacks;
}

static int
walk_lacks_type(struct walk *w, struct backlog_count *c, const char *type, struct err *err)
{
	struct walk_line l;
	struct line parsed;
	struct err why;
	int r, lacks = 1;

	while (lacks && (r = walk_next(w, &l, err)) == 1) {
		if (!l.text.n)
			continue;
		if (line_parse(l.text.p, l.text.n, &parsed, &c->text, &why) == 0 &&
		    slice_is(parsed.e.type, type))
			lacks = checkpoint_is_delivered(&c->checkpoint, parsed.e.type.p,
			    parsed.e.type.n, l.chain, l.stem, l.pos);
	}
	return lacks && r == -1 ? -1 : lacks;
}

static int
foreign_lacks_type(struct buffer *buf, struct backlog_count *c, const char *type, struct err *err)
{
	struct segment *list;
	struct reader_line l;
	struct line parsed;
	struct reader *r;
	struct err why;
	size_t i, n;
	int lacks = 1, got;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (i = 0; lacks == 1 && i < n; i++) {
		if (list[i].kind != SEGMENT_FOREIGN || list[i].ignored)
			continue;
		r = reader_open(buf->fd, &list[i], 0, UINT64_MAX, 0, err);
		got = -1;
		/* cppcheck-suppress redundantAssignment ; r may be NULL */
		while (lacks && r != NULL && (got = reader_next(r, &l, err)) == 1)
			lacks = line_parse(l.text.p, l.text.n, &parsed, &c->text, &why) == -1 ||
			    !slice_is(parsed.e.type, type);
		reader_close(r);
		if (lacks && got == -1)
			lacks = -1;
	}
	free(list);
	return lacks;
}

int
backlog_scan_lacks_type(struct buffer *buf, const char *type, struct err *err)
{
	struct backlog_count c = {.backlog = NULL};
	struct walk *w;
	int r;

	if (checkpoint_load(buf, &c.checkpoint, err) == -1)
		return -1;
	w = walk_open(buf, &c.checkpoint, WALK_LAGGING, line_stamp, err);
	r = w != NULL ? walk_lacks_type(w, &c, type, err) : -1;
	if (r == 1)
		r = foreign_lacks_type(buf, &c, type, err);
	walk_close(w);
	bytes_free(&c.text);
	checkpoint_free(&c.checkpoint);
	return r;
}

int
backlog_has_work(struct buffer *buf, bool *has_work, struct err *err)
{
	struct segment *list;
	char **gone;
	size_t i, n, missing;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	manifest_list_vanished(buf, list, n, &gone, &missing);
	*has_work = missing > 0;
	for (i = 0; i < n; i++)
		*has_work |= !list[i].ignored;
	while (missing)
		free(gone[--missing]);
	free(gone);
	free(list);
	return 0;
}

#include "buffer/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/checkpoint.h"
#include "buffer/line.h"
#include "buffer/manifest.h"
#include "buffer/quarantine.h"
#include "buffer/reader.h"
#include "buffer/segment.h"
#include "buffer/walk.h"
#include "event/id.h"

struct inspect_state {
	struct buffer *buf;
	struct checkpoint checkpoint;
	struct line line;
	struct line_derived derived;
	struct bytes text;
	struct err why;
	inspect_fn *fn;
	void *arg;
};

/* Parses one line into *l. -1: the line is bad, see l->bad. */
static int
read_inspect_line(struct inspect_state *state, struct slice text, const char *stem, uint64_t pos,
    uint64_t at, struct inspect_line *l)
{
	struct line *parsed = &state->line;
	struct lagging_type *lagging;

	*l = (struct inspect_line){.segment = stem, .offset = pos, .bytes = text.n};
	if (line_parse_checked(text.p, text.n, parsed, &state->text, &state->why) == -1) {
		l->bad = state->why.text;
		return -1;
	}
	l->derived = !parsed->e.event_id.n;
	line_complete(parsed, &state->derived, stem, at, text);
	l->line = parsed;
	lagging = checkpoint_find_lagging(&state->checkpoint, parsed->e.type.p, parsed->e.type.n);
	l->held = lagging != NULL && *lagging->reason ? lagging->reason : NULL;
	return 0;
}

static bool
is_line_delivered(struct inspect_state *state, const struct inspect_line *l, bool chain)
{
	const struct slice none = {"", 0};
	struct slice type = l->bad != NULL ? none : l->line->e.type;

	return checkpoint_is_delivered(
	    &state->checkpoint, type.p, type.n, chain, l->segment, l->offset);
}

static int
list_walked_lines(struct inspect_state *state, struct err *err)
{
	struct walk *w = walk_open(state->buf, &state->checkpoint, WALK_LAGGING, line_stamp, err);
	struct walk_line wl;
	struct inspect_line l;
	int r = -1, stop = 0;

	while (w != NULL && !stop && (r = walk_next(w, &wl, err)) == 1) {
		if (wl.text.n == 0)
			continue;
		read_inspect_line(state, wl.text, wl.stem, wl.pos, wl.at, &l);
		if (!is_line_delivered(state, &l, wl.chain))
			stop = state->fn(state->arg, &l);
	}
	walk_close(w);
	return stop ? stop : r;
}

static int
list_foreign_lines(struct inspect_state *state, const struct segment *s, struct err *err)
{
	struct reader *r = reader_open(state->buf->fd, s, 0, UINT64_MAX, 0, err);
	struct reader_line rl;
	struct inspect_line l;
	int got = -1, stop = 0;

	if (r == NULL)
		return err->sys == ENOENT ? 0 : -1;
	while (!stop && (got = reader_next(r, &rl, err)) == 1)
		if (rl.text.n) {
			read_inspect_line(state, rl.text, s->stem, rl.pos, rl.pos, &l);
			stop = state->fn(state->arg, &l);
		}
	reader_close(r);
	return stop ? stop : got;
}

int
inspect_lines(struct buffer *buf, inspect_fn *fn, void *arg, struct err *err)
{
	struct inspect_state state = {.buf = buf, .fn = fn, .arg = arg};
	struct segment *list;
	size_t i, n;
	int r = segment_list(buf->fd, &list, &n, err);

	if (r == 0)
		r = checkpoint_load(buf, &state.checkpoint, err);
	if (r == 0)
		r = list_walked_lines(&state, err);
	for (i = 0; r == 0 && i < n; i++)
		if (list[i].kind == SEGMENT_FOREIGN && !list[i].ignored)
			r = list_foreign_lines(&state, &list[i], err);
	free(list);
	bytes_free(&state.text);
	checkpoint_free(&state.checkpoint);
	return r;
}

/* --- checking ---------------------------------------------------------------------- */

static void
check_segment(
    struct inspect_state *state, const struct segment *s, struct inspect_report *rep, int64_t *last)
{
	struct err err;
	struct reader *r = reader_open(state->buf->fd, s, 0, UINT64_MAX, 0, &err);
	struct reader_line rl;
	struct inspect_line l;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &rl, &err)) == 1) {
		if (rl.text.n == 0)
			continue;
		rep->lines++;
		if (read_inspect_line(state, rl.text, s->stem, rl.pos, rl.pos, &l) == -1) {
			rep->bad++;
			rep->torn += rl.torn;
			if (state->fn != NULL)
				state->fn(state->arg, &l);
		} else if (s->kind == SEGMENT_CHAIN) {
			rep->disorder += l.line->buffered_at <= *last;
			*last = l.line->buffered_at;
		}
		rep->delivered += is_line_delivered(state, &l, s->kind == SEGMENT_CHAIN);
	}
	rep->unreadable += got == -1;
	reader_close(r);
}

int
inspect_check(
    struct buffer *buf, struct inspect_report *rep, inspect_fn *fn, void *arg, struct err *err)
{
	struct inspect_state state = {.buf = buf, .fn = fn, .arg = arg};
	struct segment *list;
	int64_t last = INT64_MIN;
	char **gone;
	size_t i, n;

	memset(rep, 0, sizeof(*rep));
	if (checkpoint_load(buf, &state.checkpoint, err) == -1)
		return -1;
	if (segment_list(buf->fd, &list, &n, err) == -1) {
		checkpoint_free(&state.checkpoint);
		return -1;
	}
	for (i = 0; i < n; i++) {
		rep->segments++;
		rep->ignored += list[i].ignored;
		rep->suspect += list[i].suspect;
		if (!list[i].ignored)
			check_segment(&state, &list[i], rep, &last);
	}
	manifest_list_vanished(buf, list, n, &gone, &i);
	rep->vanished = i;
	while (i)
		free(gone[--i]);
	free(gone);
	free(list);
	bytes_free(&state.text);
	checkpoint_free(&state.checkpoint);
	return 0;
}

/* --- discarding ------------------------------------------------------------------------ */

struct discard {
	struct quarantine *q;
	uint64_t *count;
	struct bytes line;
	struct err *err;
};

/* Fills *d and returns 1 when the line is in doubt: a drain was interrupted while it sent the line,
 * or the checkpoint was lost. */
static int
find_line_doubt(struct inspect_state *state, const struct walk_line *wl, struct doubt *d)
{
	struct line *parsed = &state->line;
	struct intent *in = &state->checkpoint.intent;
	struct intent_type *s =
	    in->active ? intent_find_event_type(in, parsed->e.type.p, parsed->e.type.n) : NULL;
	struct stream_id a = {0, 0}, b;

	*d = (struct doubt){.after = "0-0"};
	if (state->checkpoint.lost || manifest_is_returned(wl->stem))
		return 1;
	if (s == NULL || !intent_covers(in, wl->chain, wl->stem, wl->pos))
		return 0;
	/* The drain had settled the line's own doubt before it sent the line: fence the drain's
	 * connection. */
	snprintf(d->run_id, sizeof(d->run_id), "%s", in->run_id);
	snprintf(d->addr, sizeof(d->addr), "%s", in->addr);
	d->client = in->client;
	if (id_parse(slice_of(s->after), &a) == 0 && parsed->in_doubt &&
	    (id_parse(slice_of(parsed->doubt.after), &b) == -1 || id_cmp(b, a) < 0))
		a = b;
	id_format(a, d->after);
	return 1;
}

/* Returns the line as quarantine keeps it. What only the buffer knows (its doubt, a derived
 * event_id) is written into the line, so that it can be put back later. */
static struct slice
format_discarded(struct inspect_state *state, const struct walk_line *wl,
    const struct inspect_line *l, struct bytes *b)
{
	struct doubt d;
	int in_doubt = l->bad == NULL && find_line_doubt(state, wl, &d);

	if (!in_doubt && !l->derived)
		return wl->text;
	b->len = 0;
	line_format(b, &l->line->e, l->line->maxlen,
	    in_doubt                ? &d
	        : l->line->in_doubt ? &l->line->doubt
	                            : NULL,
	    l->line->buffered_at);
	return (struct slice){b->p, b->len - 1};
}

static int
discard_line(struct inspect_state *state, struct discard *d, const struct walk_line *wl)
{
	struct inspect_line l;

	if (wl->text.n == 0)
		return 0;
	read_inspect_line(state, wl->text, wl->stem, wl->pos, wl->at, &l);
	if (is_line_delivered(state, &l, wl->chain))
		return 0;
	++*d->count;
	return quarantine_add(d->q, wl->stem, wl->pos, "discarded by hand (ebreplay --discard)",
	    format_discarded(state, wl, &l, &d->line), d->err);
}

static int
discard_undelivered(struct inspect_state *state, struct discard *d)
{
	struct walk *w = walk_open(
	    state->buf, &state->checkpoint, WALK_LAGGING | WALK_LOCKED, line_stamp, d->err);
	struct walk_line wl;
	const struct segment *s;
	size_t i, n;
	int r = -1;

	while (w != NULL && (r = walk_next(w, &wl, d->err)) == 1)
		if (discard_line(state, d, &wl) == -1) {
			r = -1;
			break;
		}
	if (r == 0)
		r = quarantine_sync(d->q, d->err);
	s = w != NULL ? walk_segments(w, &n) : NULL;
	for (i = 0; r == 0 && i < n; i++)
		if (s[i].kind == SEGMENT_CHAIN)
			position_set(&state->checkpoint.positions.chain, s[i].stem, UINT64_MAX, 0);
		else if (s[i].kind != SEGMENT_FOREIGN)
			position_set(positions_find_or_add(&state->checkpoint.positions, s[i].stem),
			    s[i].stem, UINT64_MAX, 0);
	while (state->checkpoint.nlagging)
		checkpoint_drop_lagging(&state->checkpoint, &state->checkpoint.lagging[0]);
	intent_clear(&state->checkpoint.intent);
	/* After this store the lines count as delivered, whether or not the segments get removed.
	 */
	if (r == 0)
		r = checkpoint_store(state->buf, &state->checkpoint, d->err);
	for (i = 0; r == 0 && i < n; i++)
		if (s[i].kind != SEGMENT_FOREIGN)
			segment_unlink(state->buf->fd, &s[i]);
	walk_close(w);
	return r;
}

/* Adopts plain writers' files, then waits so that a writer that has one open finishes its line. */
static int
adopt_and_settle_files(struct inspect_state *state, struct err *err)
{
	size_t adopted;
	int64_t rest;

	if (adopt_files(state->buf, &state->checkpoint, &rest, &adopted, err) == -1)
		return -1;
	if (adopted && checkpoint_preallocate(state->buf, err) == 0 &&
	    checkpoint_store(state->buf, &state->checkpoint, err) == -1)
		return -1;
	if (rest > 0)
		nanosleep(&(struct timespec){rest / 1000, rest % 1000 * 1000000}, NULL);
	return 0;
}

/* The caller holds the writers' lock. */
static int
discard_locked(struct inspect_state *state, struct discard *d, struct buffer_hints *hints)
{
	/* inode 0 closes the last segment first: if this is interrupted, no writer appends to a
	 * segment that counts as delivered. */
	hints->inode = 0;
	if (buffer_write_hints(state->buf, hints, d->err) == -1 ||
	    discard_undelivered(state, d) == -1)
		return -1;
	manifest_clear(state->buf, true);
	return buffer_sync(state->buf, d->err);
}

int
inspect_discard(struct buffer *buf, int64_t lock_ms, uint64_t *count, struct err *err)
{
	struct inspect_state state = {.buf = buf};
	struct discard d = {.count = count, .err = err};
	struct buffer_hints hints;
	int r;

	*count = 0;
	if (checkpoint_load(buf, &state.checkpoint, err) == -1)
		return -1;
	d.q = quarantine_open(buf);
	r = adopt_and_settle_files(&state, err);
	if (r == 0 && (r = buffer_lock(buf, lock_ms, &hints, err)) == 0) {
		r = discard_locked(&state, &d, &hints);
		buffer_unlock(buf);
	}
	quarantine_close(d.q);
	bytes_free(&d.line);
	bytes_free(&state.text);
	checkpoint_free(&state.checkpoint);
	return r;
}

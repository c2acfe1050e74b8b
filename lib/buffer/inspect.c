#include "buffer/inspect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/edited.h"
#include "buffer/manifest.h"
#include "buffer/quarantine.h"
#include "buffer/reader.h"
#include "buffer/segment.h"
#include "buffer/walk.h"
#include "event/id.h"

/* Describes one parsed line, or a bad one. */
static void
describe_line(struct undelivered *u, struct line_derived *derived, struct inspect_line *l)
{
	const struct walk_line *at = &u->at;
	const struct lagging_type *lagging;

	*l = (struct inspect_line){
	    .segment = at->stem, .offset = at->pos, .bytes = at->text.n, .bad = u->bad};
	if (u->bad != NULL)
		return;
	l->derived = !u->line.e.event_id.n;
	line_complete(&u->line, derived, at->stem, at->at, at->text);
	l->line = &u->line;
	lagging = checkpoint_find_lagging(&u->checkpoint, u->line.e.type.p, u->line.e.type.n);
	l->held = lagging != NULL && *lagging->reason ? lagging->reason : NULL;
}

int
inspect_lines(struct buffer *buf, inspect_fn *fn, void *arg, struct err *err)
{
	struct undelivered u;
	struct line_derived derived;
	struct inspect_line l;
	int r = undelivered_open(&u, buf, WALK_PLAIN, true, err), stop = 0;

	while (r != -1 && !stop && (r = undelivered_next(&u, err)) == 1) {
		describe_line(&u, &derived, &l);
		stop = fn(arg, &l);
	}
	undelivered_close(&u);
	return stop ? stop : r;
}

/* --- checking ---------------------------------------------------------------------- */

struct check {
	struct undelivered u; /* reads no walk: its `at` is each line of each segment in turn */
	struct inspect_report *report;
	int64_t last; /* buffered_at of the line before it in the chain */
	inspect_fn *fn;
	void *arg;
};

static void
check_segment(struct check *c, struct buffer *buf, const struct segment *s)
{
	struct inspect_report *report = c->report;
	struct err err;
	struct reader *r = reader_open(buf->fd, s, 0, UINT64_MAX, 0, &err);
	struct reader_line rl;
	struct line_derived derived;
	struct inspect_line l;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &rl, &err)) == 1) {
		if (rl.text.n == 0)
			continue;
		c->u.at = (struct walk_line){.text = rl.text,
		    .stem = s->stem,
		    .chain = s->kind == SEGMENT_CHAIN,
		    .pos = rl.pos,
		    .at = rl.pos};
		report->lines++;
		report->delivered += undelivered_examine(&c->u);
		describe_line(&c->u, &derived, &l);
		if (l.bad != NULL) {
			report->bad++;
			report->torn += rl.torn;
			if (c->fn != NULL)
				c->fn(c->arg, &l);
		} else if (c->u.at.chain) {
			report->disorder += l.line->buffered_at <= c->last;
			c->last = l.line->buffered_at;
		}
	}
	report->unreadable += got == -1;
	reader_close(r);
}

int
inspect_check(
    struct buffer *buf, struct inspect_report *report, inspect_fn *fn, void *arg, struct err *err)
{
	struct check c = {
	    .u.parse = true, .report = report, .last = INT64_MIN, .fn = fn, .arg = arg};
	struct segment *list = NULL;
	size_t n = 0;
	int r = checkpoint_load(buf, &c.u.checkpoint, err);

	memset(report, 0, sizeof(*report));
	if (r == 0)
		r = segment_list(buf->fd, &list, &n, err);
	for (size_t i = 0; i < n; i++) {
		report->segments++;
		report->ignored += list[i].ignored != NULL;
		report->suspect += list[i].suspect;
		if (!list[i].ignored)
			check_segment(&c, buf, &list[i]);
	}
	if (r == 0)
		report->vanished = manifest_list_vanished(buf, list, n, NULL);
	free(list);
	undelivered_close(&c.u);
	return r;
}

/* --- discarding ------------------------------------------------------------------------ */

/* Fills *d and returns true when the line is in doubt: a drain was interrupted while it sent the
 * line, or the checkpoint was lost. */
static bool
find_line_doubt(const struct undelivered *u, struct doubt *d)
{
	const struct event *e = &u->line.e;
	const struct intent *in = &u->checkpoint.intent;
	struct intent_type *s =
	    in->active ? intent_find_event_type(in, e->type.p, e->type.n) : NULL;
	struct stream_id a = {0, 0}, b;

	*d = (struct doubt){.after = "0-0"};
	if (edited_needs_lookup(&u->checkpoint, u->at.stem))
		return true;
	if (s == NULL || !intent_covers(in, u->at.chain, u->at.stem, u->at.pos))
		return false;
	/* The drain had settled the line's own doubt before it sent the line: fence the drain's
	 * connection. */
	snprintf(d->run_id, sizeof(d->run_id), "%s", in->run_id);
	snprintf(d->addr, sizeof(d->addr), "%s", in->addr);
	d->client = in->client;
	if (id_parse(slice_of(s->after), &a) == 0 && u->line.in_doubt &&
	    (id_parse(slice_of(u->line.doubt.after), &b) == -1 || id_cmp(b, a) < 0))
		a = b;
	id_format(a, d->after);
	return true;
}

int
inspect_quarantine_line(
    struct undelivered *u, struct quarantine *q, const char *reason, struct err *err)
{
	struct slice line = u->at.text;
	struct bytes whole = {0};
	struct inspect_line l;
	struct line_derived derived;
	struct doubt d, *own = u->line.in_doubt ? &u->line.doubt : NULL;
	bool in_doubt = u->bad == NULL && find_line_doubt(u, &d);
	int r;

	describe_line(u, &derived, &l);
	if (in_doubt || l.derived) {
		line_format(
		    &whole, &u->line.e, u->line.maxlen, in_doubt ? &d : own, u->line.buffered_at);
		line = (struct slice){whole.p, whole.len - 1};
	}
	r = quarantine_add(q, u->at.stem, u->at.pos, reason, line, err);
	bytes_free(&whole);
	return r;
}

/* Removes the segments of a walk but those that stay: first from the manifest, durably, so that
 * none counts as vanished when this is interrupted. */
static int
remove_segments(
    struct buffer *buf, const struct segment *s, const bool *stays, size_t n, struct err *err)
{
	const char **stems = mem_alloc((n + 1) * sizeof(*stems));
	size_t chosen = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		if (!stays[i])
			stems[chosen++] = s[i].stem;
	r = manifest_mark_removed(buf, stems, chosen, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!stays[i])
			segment_unlink(buf->fd, &s[i]);
	free(stems);
	return r;
}

/* Passes what the walk read of a plain writer's file, to which more may be appended. */
static void
pass_read_lines(struct checkpoint *cp, const struct walk *walk, const char *stem)
{
	const struct position *at = positions_find(&cp->positions, stem);
	uint64_t end = walk_file_end(walk, stem);

	if (end > 0 && (at == NULL || at->limit || at->pos < end))
		positions_set(&cp->positions, false, stem, end, 0);
}

/* Records that everything is delivered: after this the lines count as delivered, whether or not
 * the segments get removed. */
static int
pass_all_lines(struct buffer *buf, struct undelivered *u, struct err *err)
{
	struct checkpoint *cp = &u->checkpoint;
	size_t n;
	const struct segment *s = walk_segments(u->walk, &n);
	bool *stays = mem_alloc(n + 1);
	int r;

	for (size_t i = 0; i < n; i++) {
		stays[i] = s[i].kind == SEGMENT_PLAIN ||
		    (s[i].kind == SEGMENT_ADOPTED && adopt_is_written(buf, &s[i]));
		if (stays[i])
			pass_read_lines(cp, u->walk, s[i].stem);
		else
			positions_set(
			    &cp->positions, s[i].kind == SEGMENT_CHAIN, s[i].stem, UINT64_MAX, 0);
	}
	while (cp->nlagging)
		checkpoint_drop_lagging(cp, cp->lagging[cp->nlagging - 1]);
	checkpoint_clear_aside(cp);
	intent_clear(&cp->intent);
	r = checkpoint_store(buf, cp, err) == -1 ? -1 : remove_segments(buf, s, stays, n, err);
	free(stays);
	return r;
}

static int
discard_undelivered(struct buffer *buf, struct undelivered *u, struct quarantine *q,
    uint64_t *count, struct err *err)
{
	int r;

	while ((r = undelivered_next(u, err)) == 1) {
		++*count;
		if ((r = inspect_quarantine_line(
		         u, q, "discarded by hand (ebbuffer discard)", err)) == -1)
			break;
	}
	if (r == -1 || quarantine_sync(q, err) == -1)
		return -1;
	return pass_all_lines(buf, u, err);
}

int
inspect_adopt_files(struct buffer *buf, struct err *err)
{
	struct checkpoint cp;
	size_t adopted;
	int64_t rest;
	int r = checkpoint_load(buf, &cp, err);

	if (r == 0 && (r = adopt_files(buf, &cp, true, &rest, &adopted, err)) == 0 && adopted &&
	    checkpoint_preallocate(buf, buf->replay_fd, cp.lost, err) == 0)
		r = checkpoint_store(buf, &cp, err);
	if (r == 0 && rest > 0)
		nanosleep(&(struct timespec){rest / 1000, rest % 1000 * 1000000}, NULL);
	checkpoint_free(&cp);
	return r;
}

/* Segments that came back are undelivered too. */
static int
find_returned(struct buffer *buf, struct err *err)
{
	struct checkpoint cp;
	int r = checkpoint_load(buf, &cp, err);

	if (r == 0)
		r = manifest_reconcile(buf, &cp, err);
	checkpoint_free(&cp);
	return r;
}

int
inspect_discard(struct buffer *buf, int64_t lock_ms, uint64_t *count, struct err *err)
{
	struct buffer_hints hints;
	struct quarantine *q;
	struct undelivered u;
	int r;

	*count = 0;
	if (inspect_adopt_files(buf, err) == -1 || find_returned(buf, err) == -1 ||
	    buffer_lock(buf, lock_ms, &hints, err) == -1)
		return -1;
	q = quarantine_open(buf);
	/* inode 0 closes the last segment first: if this is interrupted, no writer appends to a
	 * segment that counts as delivered. */
	hints.inode = 0;
	r = undelivered_open(&u, buf, WALK_LOCKED, true, err);
	if (r == 0 && (r = buffer_write_hints(buf, &hints, err)) == 0)
		r = discard_undelivered(buf, &u, q, count, err);
	undelivered_close(&u);
	quarantine_close(q);
	if (r == 0 && (r = manifest_forget_vanished(buf, err)) == 0)
		r = buffer_sync(buf, err);
	buffer_unlock(buf);
	return r;
}

/* --- compressing ----------------------------------------------------------------------- */

#define CHUNK_BYTES (128u << 10)

/* Compresses `from` into a new file, tmp, durably. */
static int
write_gz(struct buffer *buf, int from, char tmp[64], struct err *err)
{
	char *chunk;
	int fd = io_create_unique(buf->fd, ".compressing-", tmp, 64), spare, r = 0;
	ssize_t n;
	gzFile gz;

	/* gzclose closes its descriptor, and the fsync comes after it */
	spare = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	gz = spare == -1 ? NULL : gzdopen(spare, "wb");
	if (gz == NULL) {
		err_sys(err, STATUS_UNSAFE, "create '%s/.compressing-*'", buf->dir);
		io_close(spare);
		io_close(fd);
		return -1;
	}
	chunk = mem_realloc(NULL, CHUNK_BYTES);
	while (r == 0 && (n = read(from, chunk, CHUNK_BYTES)) != 0)
		if (n < 0 || gzwrite(gz, chunk, (unsigned)n) != n)
			r = -1;
	free(chunk);
	if (gzclose(gz) != Z_OK || fsync(fd) == -1)
		r = -1;
	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "write '%s/%s'", buf->dir, tmp);
	close(fd);
	return r;
}

static int
compress_segment(struct buffer *buf, const struct segment *s, struct err *err)
{
	char name[SEGMENT_NAME + 16], tmp[64];
	int from = io_open_own(buf->fd, s->name, O_RDONLY), r;

	if (from == -1)
		return err_sys(err, STATUS_UNSAFE, "open '%s/%s'", buf->dir, s->name);
	r = write_gz(buf, from, tmp, err);
	close(from);
	snprintf(name, sizeof(name), "%s.jsonl.gz", s->stem);
	if (r == 0 && renameat(buf->fd, tmp, buf->fd, name) == -1)
		r = err_sys(err, STATUS_UNSAFE, "rename to '%s/%s'", buf->dir, name);
	if (r == 0 && (r = buffer_sync(buf, err)) == 0 && unlinkat(buf->fd, s->name, 0) == -1)
		r = err_sys(err, STATUS_UNSAFE, "remove '%s/%s'", buf->dir, s->name);
	if (r == -1 && *tmp != '\0')
		unlinkat(buf->fd, tmp, 0);
	return r;
}

int
inspect_compress(struct buffer *buf, size_t *done, struct err *err)
{
	struct segment *list;
	size_t i, n;
	int r = 0;

	*done = 0;
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (i = 0; r == 0 && i + 1 < n && list[i + 1].kind == SEGMENT_CHAIN; i++)
		if (!list[i].gz && !list[i].ignored && !list[i].suspect) {
			r = compress_segment(buf, &list[i], err);
			*done += r == 0;
		}
	free(list);
	return r == 0 && *done ? buffer_sync(buf, err) : r;
}

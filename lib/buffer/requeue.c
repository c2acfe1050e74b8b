#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer/idset.h"
#include "buffer/quarantine.h"
#include "buffer/reader.h"
#include "buffer/requeue.h"
#include "buffer/requeue_int.h"
#include "buffer/segment.h"
#include "base/status.h"
#include "base/mem.h"

#define RETRYING ".retrying"
#define LOCK_MS 2000
#define TOGETHER 500		/* lines appended at once */
#define TOGETHER_BYTES (1u << 20)

/* One file on its way back into the buffer. */
struct retry {
	struct buffer *sp;
	int dir;
	const char *target;
	const struct append_limits *lim;
	struct requeue_result *r;
	struct quarantine *q;		/* for what is no event */
	bool again;			/* an earlier run was cut off in this file */
	struct idset events;		/* then: digests of those of the file, and how often each stands in the buffer */
	struct bytes arena;		/* lines to be appended, head and tail by turns */
	size_t length[2 * TOGETHER];
	size_t n;
	struct err *f;
};

static int
list_one(struct retry *t, char *name, requeue_fn *fn, void *arg)	/* NOLINT(readability-non-const-parameter): a list of one */
{
	return requeue_list(t->sp, &(struct requeue_names){ &name, 1 }, fn, arg, t->f);
}

/* --- what an earlier run may have put back ------------------------------------------- */

static int
see_event(void *arg, const struct requeue_line *l)
{
	struct retry *t = arg;
	char digest[UUID_SIZE];

	if (l->event) {
		event_digest(&l->event->e, digest);
		idset_add(&t->events, slice_of(digest));
	}
	return 0;
}

static int
count_segment(struct retry *t, const struct segment *seg)
{
	struct reader *r = reader_open(buffer_fd(t->sp), seg, 0, UINT64_MAX, 0, t->f);
	struct bytes text = { 0 };
	struct line el;
	struct reader_line l;
	struct err bad;
	char digest[UUID_SIZE];
	size_t *count;
	int got = -1;

	while (r && (got = reader_next(r, &l, t->f)) == 1) {
		if (line_parse(l.text.p, l.text.n, &el, &text, &bad) == -1)
			continue;
		event_digest(&el.e, digest);
		if ((count = idset_count(&t->events, slice_of(digest))))
			++*count;
	}
	reader_close(r);
	bytes_free(&text);
	return got;
}

static int
count_buffered(struct retry *t, char *name)
{
	struct segment *list;
	size_t i, n;
	int r = 0;

	if (list_one(t, name, see_event, t) == -1)
		return -1;
	idset_sort(&t->events);
	if (segment_list(buffer_fd(t->sp), &list, &n, t->f) == -1)
		return -1;
	for (i = 0; r == 0 && i < n; i++)
		if (list[i].kind != SEGMENT_FOREIGN && !list[i].odd)
			r = count_segment(t, &list[i]);
	free(list);
	return r;
}

/* --- back into the buffer --------------------------------------------------------------- */

static int
flush(struct retry *t)
{
	struct append_line lines[TOGETHER];
	const char *p = t->arena.p;
	size_t i;

	if (!t->n)
		return 0;
	for (i = 0; i < t->n; i++) {
		lines[i].head = (struct slice){ p, t->length[2 * i] };
		p += t->length[2 * i];
		lines[i].tail = (struct slice){ p, t->length[2 * i + 1] };
		p += t->length[2 * i + 1];
	}
	if (append_lines(t->sp, t->target, t->lim, lines, t->n, t->f) == -1)
		return -1;
	t->r->back += t->n;
	t->n = t->arena.len = 0;
	return 0;
}

static int
put_back(struct retry *t, const struct line *el)
{
	struct doubt unknown = { .after = "0-0" };
	size_t *count = NULL, at = t->arena.len;
	char digest[UUID_SIZE];

	if (t->again) {
		event_digest(&el->e, digest);
		count = idset_count(&t->events, slice_of(digest));
	}
	if (count && *count) {
		--*count;
		t->r->back++;
		return 0;
	}
	line_head(&t->arena, &el->e);
	t->length[2 * t->n] = t->arena.len - at;
	at = t->arena.len;
	line_tail(&t->arena, el->maxlen, t->again ? &unknown : el->in_doubt ? &el->doubt : NULL);
	t->length[2 * t->n++ + 1] = t->arena.len - at;
	return t->n == TOGETHER || t->arena.len >= TOGETHER_BYTES ? flush(t) : 0;
}

static int
take_line(void *arg, const struct requeue_line *l)
{
	struct retry *t = arg;
	char *segment, *reason;
	int r;

	if (l->event)
		return put_back(t, l->event);
	segment = mem_strndup(l->segment.p, l->segment.n);
	reason = mem_strndup(l->reason.p, l->reason.n);
	r = quarantine_add(t->q, segment, l->offset, reason, l->line, t->f);
	free(segment);
	free(reason);
	return r;
}

/* --- one file ------------------------------------------------------------------------------- */

struct tally {
	uint64_t events, others;
	bool strange;
};

static int
tally_line(void *arg, const struct requeue_line *l)
{
	struct tally *t = arg;

	t->events += l->event != NULL;
	t->others += !l->event;
	t->strange |= slice_eq(l->reason, REQUEUE_STRANGE);
	return 0;
}

/* Takes the file away from those who add to it. */
static int
set_aside(struct retry *t, const char *name, const char *aside)
{
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = -1;

	if (fd != -1 && io_flock(fd, LOCK_MS) == 0)
		r = renameat2(t->dir, name, t->dir, aside, RENAME_NOREPLACE);
	if (r == 0)
		r = fsync(t->dir);
	if (r == -1)
		err_sys(t->f, STATUS_UNSAFE, "rename '%s/quarantine/%s'", buffer_dir(t->sp), name);
	if (fd != -1)
		close(fd);
	return r;
}

/* What is no event goes to where it came from, once; then the file that was set aside is done with. */
static int
move_back(struct retry *t, char *aside, bool again)
{
	int r = 0;

	t->again = again;
	t->q = quarantine_open(t->sp);
	t->n = t->arena.len = 0;
	if (again)
		r = count_buffered(t, aside);
	if (r != -1)
		r = list_one(t, aside, take_line, t);
	if (r != -1 && (r = flush(t)) == 0 && (r = quarantine_sync(t->q, t->f)) == 0 &&
	    (unlinkat(t->dir, aside, 0) == -1 || fsync(t->dir) == -1))
		r = err_sys(t->f, STATUS_UNSAFE, "remove '%s/quarantine/%s'", buffer_dir(t->sp), aside);
	quarantine_close(t->q);
	idset_free(&t->events);
	return r;
}

/* Counts what there is; events of a file that is ours line for line can be put back. */
static int
is_ready(struct retry *t, char *name)
{
	struct tally all = { 0 };

	if (list_one(t, name, tally_line, &all) == -1)
		return -1;
	t->r->kept += all.strange ? all.others + all.events : all.others;
	return all.events && !all.strange;
}

static int
retry_file(struct retry *t, char *name)		/* NOLINT(misc-no-recursion): once, with a name that ends the other way */
{
	size_t n = strlen(name), tail = strlen(RETRYING);
	char *aside;
	int r;

	if (n > tail && strcmp(name + n - tail, RETRYING) == 0)
		return is_ready(t, name) == -1 ? -1 : move_back(t, name, true);
	aside = mem_alloc(n + tail + 1);
	memcpy(aside, name, n);
	memcpy(aside + n, RETRYING, tail);
	r = faccessat(t->dir, aside, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? retry_file(t, aside) : 0;
	if (r == 0 && (r = is_ready(t, name)) == 1 && (r = set_aside(t, name, aside)) == 0)
		r = move_back(t, aside, false);
	free(aside);
	return r == -1 ? -1 : 0;
}

/* --- dropping ------------------------------------------------------------------------------------ */

static int
drop_file(struct retry *t, char *name)
{
	struct tally all = { 0 };
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = -1;

	if (fd != -1 && io_flock(fd, LOCK_MS) == 0 && list_one(t, name, tally_line, &all) != -1)
		r = unlinkat(t->dir, name, 0);
	if (r == -1)
		err_sys(t->f, STATUS_UNSAFE, "remove '%s/quarantine/%s'", buffer_dir(t->sp), name);
	if (fd != -1)
		close(fd);
	if (r == 0)
		t->r->dropped += all.events + all.others;
	return r;
}

/* --- the files that are meant ------------------------------------------------------------- */

static int
each_file(struct retry *t, const struct requeue_names *names, int (*fn)(struct retry *t, char *name))
{
	char **list;
	size_t i, n;
	int r;

	memset(t->r, 0, sizeof *t->r);
	if ((t->dir = requeue_dir(t->sp, t->f)) == -1)
		return t->f->sys == ENOENT && !names->n ? 0 : -1;
	r = requeue_names(t->sp, t->dir, names, &list, &n, t->f);
	for (i = 0; r == 0 && i < n; i++)
		if (faccessat(t->dir, list[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)	/* else done with the one before */
			r = fn(t, list[i]);
	if (r == 0 && n && fsync(t->dir) == -1)
		r = err_sys(t->f, STATUS_UNSAFE, "fsync '%s/quarantine'", buffer_dir(t->sp));
	requeue_free(list, n);
	bytes_free(&t->arena);
	close(t->dir);
	return r;
}

int
requeue_retry(struct buffer *buf, const char *target, const struct append_limits *lim, const struct requeue_names *names,
    struct requeue_result *res, struct err *err)
{
	return each_file(&(struct retry){ .sp = buf, .target = target, .lim = lim, .r = res, .f = err }, names, retry_file);
}

int
requeue_drop(struct buffer *buf, const struct requeue_names *names, struct requeue_result *res, struct err *err)
{
	return each_file(&(struct retry){ .sp = buf, .r = res, .f = err }, names, drop_file);
}

#include "buffer/requeue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/idset.h"
#include "buffer/line.h"
#include "buffer/quarantine.h"
#include "buffer/reader.h"
#include "buffer/segment.h"
#include "event/names.h"

#define REQUEUE_STRANGE "no record of ours" /* the reason of a line that is none */

/* --- the files ------------------------------------------------------------------ */

/* a descriptor of quarantine/; f->sys ENOENT: there is none */
static int
requeue_dir(struct buffer *buf, struct err *err)
{
	int fd =
	    openat(buffer_fd(buf), "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		err_sys(err, STATUS_UNSAFE, "open '%s/quarantine'", buffer_dir(buf));
	return fd;
}

static void
requeue_free(char **list, size_t n)
{
	while (n)
		free(list[--n]);
	free(list);
}

static void
add_name(char ***list, size_t *n, const char *name)
{
	*list = mem_realloc(*list, (*n + 1) * sizeof(**list));
	(*list)[(*n)++] = mem_strdup(name);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
all_names(int dir, char ***list, size_t *n)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (d == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			add_name(list, n, e->d_name);
	closedir(d);
	if (*n)
		qsort(*list, *n, sizeof(**list), by_name);
	return 0;
}

/* The files that are meant: those named, each of which must be there, or all. Fresh; *list NULL on
 * failure. */
static int
requeue_names(struct buffer *buf, int dir, const struct requeue_names *names, char ***list,
    size_t *n, struct err *err)
{
	size_t i;

	*list = NULL;
	*n = 0;
	if (!names->n && all_names(dir, list, n) == -1)
		return err_sys(err, STATUS_UNSAFE, "list '%s/quarantine'", buffer_dir(buf));
	for (i = 0; i < names->n; i++) {
		const char *name = names->name[i];

		if (strchr(name, '/') != NULL || name[0] == '.' ||
		    (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT)) {
			requeue_free(*list, *n);
			*list = NULL;
			*n = 0;
			return err_set(err, STATUS_USAGE,
			    "'%s': no file of '%s/quarantine': see --quarantine list", name,
			    buffer_dir(buf));
		}
		add_name(list, n, name);
	}
	return 0;
}

/* --- one record --------------------------------------------------------------------- */

/* The strings of a record, unescaped; the line, which may be large, has a buffer of its own. */
struct quarantine_record {
	struct bytes words, line, text;
	struct line el;
};

static struct slice
word(struct quarantine_record *r, struct slice value)
{
	size_t from = r->words.len;

	if (json_unquote(&r->words, value) == -1)
		return (struct slice){0};
	return (struct slice){r->words.p + from, r->words.len - from};
}

static int
take_member(
    struct quarantine_record *r, struct slice key, struct slice value, struct requeue_line *l)
{
	struct slice inner = {value.p + 1, value.n - 2};

	if (slice_is(key, "reason"))
		l->reason = word(r, value);
	else if (slice_is(key, "segment"))
		l->segment = word(r, value);
	else if (slice_is(key, "offset"))
		l->offset = strtoull(value.p, NULL, 10);
	else if (slice_is(key, "quarantined_at") && value.n > 2 &&
	    clock_parse(inner.p, inner.n, &l->at) == -1)
		l->at = 0;
	else if (slice_is(key, "line"))
		return json_unquote(&r->line, value) == 0;
	else if (slice_is(key, "line_base64") && value.n >= 2)
		return base64_decode(&r->line, inner.p, inner.n) == 0;
	return 0;
}

static const struct line *
as_event(struct quarantine_record *r, struct slice line)
{
	struct err why;

	if (line_parse(line.p, line.n, &r->el, &r->text, &why) == -1 ||
	    !names_legal(r->el.e.type.p, r->el.e.type.n) || !r->el.e.event_id.n)
		return NULL;
	return &r->el;
}

/* -1: it is no record of ours. */
static int
read_record(struct quarantine_record *r, struct slice s, struct requeue_line *l)
{
	struct slice key, value;
	struct json_fault fault;
	struct json_walk w;
	int lines = 0;

	r->words.len = r->line.len = 0;
	bytes_reserve(&r->words, s.n + 1); /* what points into it stays */
	if (json_check(s.p, s.n, &fault) == -1 || json_walk(&w, s) == -1)
		return -1;
	while (json_next(&w, &key, &value))
		lines += take_member(r, key, value, l);
	l->line = (struct slice){r->line.p, r->line.len};
	l->event = lines == 1 ? as_event(r, l->line) : NULL;
	return lines == 1 && l->reason.n && l->segment.n && l->segment.p[0] != '.' &&
	        memchr(l->segment.p, '/', l->segment.n) == NULL
	    ? 0
	    : -1;
}

/* --- one file --------------------------------------------------------------------------- */

/* 1: a segment that was moved whole */
static int
requeue_whole(const char *name)
{
	return strstr(name, ".bad-") != NULL;
}

/* 1: to be shown; 0: a good line of a whole segment, which was delivered. */
static int
read_item(struct quarantine_record *r, const struct segment *seg, bool whole,
    const struct reader_line *rl, struct requeue_line *l)
{
	struct err why = {.text = ""};

	*l = (struct requeue_line){.file = seg->name};
	if (!whole) {
		if (read_record(r, rl->text, l) == 0)
			return 1;
		*l = (struct requeue_line){
		    .file = seg->name, .reason = slice_of(REQUEUE_STRANGE), .line = rl->text};
		l->offset = rl->pos;
		return 1;
	}
	if (!rl->text.n || line_parse(rl->text.p, rl->text.n, &r->el, &r->text, &why) == 0)
		return 0;
	r->words.len = 0;
	bytes_adds(&r->words, why.text);
	l->reason = (struct slice){r->words.p, r->words.len};
	l->segment = slice_of(seg->stem);
	l->offset = rl->pos;
	l->line = rl->text;
	return 1;
}

static int
list_file(int dir, const char *name, requeue_fn *fn, void *arg, struct err *err)
{
	struct segment seg = {.kind = SEGMENT_OWN};
	struct quarantine_record r = {.words = {0}};
	struct reader_line rl;
	struct requeue_line l;
	struct reader *reader;
	int got = -1, stop = 0;

	snprintf(seg.name, sizeof(seg.name), "%s", name);
	snprintf(seg.stem, sizeof(seg.stem), "%.*s", (int)strcspn(name, "."), name);
	seg.gz = strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0;
	reader = reader_open(dir, &seg, 0, UINT64_MAX, 0, err);
	while (reader != NULL && !stop && (got = reader_next(reader, &rl, err)) == 1)
		if (read_item(&r, &seg, requeue_whole(name), &rl, &l))
			stop = fn(arg, &l);
	if (reader != NULL && !stop && got == -1 && err->sys == EBADMSG) {
		l = (struct requeue_line){.file = seg.name,
		    .segment = slice_of(seg.stem),
		    .reason = slice_of("damaged: cannot be read to its end")};
		stop = fn(arg, &l);
		got = 0;
	}
	reader_close(reader);
	bytes_free(&r.words);
	bytes_free(&r.line);
	bytes_free(&r.text);
	return stop ? stop : got;
}

int
requeue_list(struct buffer *buf, const struct requeue_names *names, requeue_fn *fn, void *arg,
    struct err *err)
{
	char **list;
	size_t i, n;
	int dir = requeue_dir(buf, err), r;

	if (dir == -1)
		return err->sys == ENOENT && !names->n ? 0 : -1;
	r = requeue_names(buf, dir, names, &list, &n, err);
	for (i = 0; r == 0 && i < n; i++)
		r = list_file(dir, list[i], fn, arg, err);
	requeue_free(list, n);
	close(dir);
	return r;
}

#define RETRYING ".retrying"
#define LOCK_MS 2000
#define TOGETHER 500 /* lines appended at once */
#define TOGETHER_BYTES (1u << 20)

/* One file on its way back into the buffer. */
struct retry {
	struct buffer *sp;
	int dir;
	const char *target;
	const struct append_limits *lim;
	struct requeue_result *r;
	struct quarantine *q; /* for what is no event */
	bool again;           /* an earlier run was cut off in this file */
	/* then: digests of those of the file, and how often each stands in the buffer */
	struct idset events;
	struct bytes arena; /* lines to be appended, head and tail by turns */
	size_t length[2 * TOGETHER];
	size_t n;
	struct err *f;
};

static int
list_one(struct retry *t, char *name, requeue_fn *fn,
    void *arg) /* NOLINT(readability-non-const-parameter): a list of one */
{
	return requeue_list(t->sp, &(struct requeue_names){&name, 1}, fn, arg, t->f);
}

/* --- what an earlier run may have put back ------------------------------------------- */

static int
see_event(void *arg, const struct requeue_line *l)
{
	struct retry *t = arg;
	char digest[UUID_SIZE];

	if (l->event != NULL) {
		line_digest(&l->event->e, digest);
		idset_add(&t->events, slice_of(digest));
	}
	return 0;
}

static int
count_segment(struct retry *t, const struct segment *seg)
{
	struct reader *r = reader_open(buffer_fd(t->sp), seg, 0, UINT64_MAX, 0, t->f);
	struct bytes text = {0};
	struct line el;
	struct reader_line l;
	struct err bad;
	char digest[UUID_SIZE];
	size_t *count;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &l, t->f)) == 1) {
		if (line_parse(l.text.p, l.text.n, &el, &text, &bad) == -1)
			continue;
		line_digest(&el.e, digest);
		if ((count = idset_find(&t->events, slice_of(digest))) != NULL)
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
		if (list[i].kind != SEGMENT_FOREIGN && !list[i].ignored)
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
		lines[i].head = (struct slice){p, t->length[2 * i]};
		p += t->length[2 * i];
		lines[i].tail = (struct slice){p, t->length[2 * i + 1]};
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
	struct doubt unknown = {.after = "0-0"};
	size_t *count = NULL, at = t->arena.len;
	char digest[UUID_SIZE];

	if (t->again) {
		line_digest(&el->e, digest);
		count = idset_find(&t->events, slice_of(digest));
	}
	if (count != NULL && *count) {
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

	if (l->event != NULL)
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
	t->others += l->event == NULL;
	t->strange |= slice_is(l->reason, REQUEUE_STRANGE);
	return 0;
}

/* Takes the file away from those who add to it. */
static int
set_aside(struct retry *t, const char *name, const char *aside)
{
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = -1;

	if (fd != -1 && io_lock(fd, LOCK_MS) == 0)
		r = io_rename_new(t->dir, name, aside);
	if (r == 0)
		r = fsync(t->dir);
	if (r == -1)
		err_sys(t->f, STATUS_UNSAFE, "rename '%s/quarantine/%s'", buffer_dir(t->sp), name);
	if (fd != -1)
		close(fd);
	return r;
}

/* What is no event goes to where it came from, once; then the file that was set aside is done with.
 */
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
		r = err_sys(
		    t->f, STATUS_UNSAFE, "remove '%s/quarantine/%s'", buffer_dir(t->sp), aside);
	quarantine_close(t->q);
	idset_free(&t->events);
	return r;
}

/* Counts what there is; events of a file that is ours line for line can be put back. */
static int
is_ready(struct retry *t, char *name)
{
	struct tally all = {0};

	if (list_one(t, name, tally_line, &all) == -1)
		return -1;
	t->r->kept += all.strange ? all.others + all.events : all.others;
	return all.events && !all.strange;
}

static int
retry_file(struct retry *t,
    char *name) /* NOLINT(misc-no-recursion): once, with a name that ends the other way */
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

/* --- dropping ------------------------------------------------------------------------------------
 */

static int
drop_file(struct retry *t, char *name)
{
	struct tally all = {0};
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = -1;

	if (fd != -1 && io_lock(fd, LOCK_MS) == 0 && list_one(t, name, tally_line, &all) != -1)
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
each_file(
    struct retry *t, const struct requeue_names *names, int (*fn)(struct retry *t, char *name))
{
	char **list;
	size_t i, n;
	int r;

	memset(t->r, 0, sizeof(*t->r));
	if ((t->dir = requeue_dir(t->sp, t->f)) == -1)
		return t->f->sys == ENOENT && !names->n ? 0 : -1;
	r = requeue_names(t->sp, t->dir, names, &list, &n, t->f);
	for (i = 0; r == 0 && i < n; i++)
		if (faccessat(t->dir, list[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		    errno != ENOENT) /* else done with the one before */
			r = fn(t, list[i]);
	if (r == 0 && n && fsync(t->dir) == -1)
		r = err_sys(t->f, STATUS_UNSAFE, "fsync '%s/quarantine'", buffer_dir(t->sp));
	requeue_free(list, n);
	bytes_free(&t->arena);
	close(t->dir);
	return r;
}

int
requeue_retry(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct requeue_names *names, struct requeue_result *res, struct err *err)
{
	return each_file(
	    &(struct retry){.sp = buf, .target = target, .lim = lim, .r = res, .f = err}, names,
	    retry_file);
}

int
requeue_drop(struct buffer *buf, const struct requeue_names *names, struct requeue_result *res,
    struct err *err)
{
	return each_file(&(struct retry){.sp = buf, .r = res, .f = err}, names, drop_file);
}

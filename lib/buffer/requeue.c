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

#define NOT_A_RECORD "not a quarantine record"

/* --- the files ------------------------------------------------------------------ */

/* Returns a descriptor of quarantine/; err->sys ENOENT: there is none. */
static int
open_quarantine_dir(struct buffer *buf, struct err *err)
{
	int fd = openat(buf->fd, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		err_sys(err, STATUS_UNSAFE, "open '%s/quarantine'", buf->dir);
	return fd;
}

static void
free_names(char **list, size_t n)
{
	while (n)
		free(list[--n]);
	free(list);
}

static void
append_name(char ***list, size_t *n, const char *name)
{
	*list = mem_realloc(*list, (*n + 1) * sizeof(**list));
	(*list)[(*n)++] = mem_strdup(name);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
list_quarantine_files(int dir, char ***list, size_t *n)
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
			append_name(list, n, e->d_name);
	closedir(d);
	if (*n)
		qsort(*list, *n, sizeof(**list), compare_names);
	return 0;
}

/* Lists the named files, each of which must exist, or all. *list: free with free_names; NULL on
 * failure. */
static int
choose_files(struct buffer *buf, int dir, const struct requeue_names *names, char ***list,
    size_t *n, struct err *err)
{
	size_t i;

	*list = NULL;
	*n = 0;
	if (!names->n && list_quarantine_files(dir, list, n) == -1)
		return err_sys(err, STATUS_UNSAFE, "list '%s/quarantine'", buf->dir);
	for (i = 0; i < names->n; i++) {
		const char *name = names->name[i];

		if (strchr(name, '/') != NULL || name[0] == '.' ||
		    (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT)) {
			free_names(*list, *n);
			*list = NULL;
			*n = 0;
			return err_set(err, STATUS_USAGE,
			    "'%s': no such file in '%s/quarantine'; see ebreplay --quarantine list",
			    name, buf->dir);
		}
		append_name(list, n, name);
	}
	return 0;
}

/* --- one record --------------------------------------------------------------------- */

/* The unescaped strings of one record: words holds the short ones, line the line. */
struct quarantine_record {
	struct bytes words, line, text;
	struct line parsed;
};

static struct slice
unescape_member(struct quarantine_record *r, struct slice value)
{
	size_t from = r->words.len;

	if (json_unquote(&r->words, value) == -1)
		return (struct slice){0};
	return (struct slice){r->words.p + from, r->words.len - from};
}

static int
take_record_member(
    struct quarantine_record *r, struct slice key, struct slice value, struct requeue_line *l)
{
	struct slice inner = {value.p + 1, value.n - 2};

	if (slice_is(key, "reason"))
		l->reason = unescape_member(r, value);
	else if (slice_is(key, "segment"))
		l->segment = unescape_member(r, value);
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
parse_record_event(struct quarantine_record *r, struct slice line)
{
	struct err why;

	if (line_parse(line.p, line.n, &r->parsed, &r->text, &why) == -1 ||
	    !names_legal(r->parsed.e.type.p, r->parsed.e.type.n) || !r->parsed.e.event_id.n)
		return NULL;
	return &r->parsed;
}

/* -1: not a record. */
static int
parse_record(struct quarantine_record *r, struct slice s, struct requeue_line *l)
{
	struct slice key, value;
	struct json_fault fault;
	struct json_walk w;
	int lines = 0;

	r->words.len = r->line.len = 0;
	bytes_reserve(&r->words, s.n + 1); /* it must not move: slices point into it */
	if (json_check(s.p, s.n, &fault) == -1 || json_walk(&w, s) == -1)
		return -1;
	while (json_next(&w, &key, &value))
		lines += take_record_member(r, key, value, l);
	l->line = (struct slice){r->line.p, r->line.len};
	l->event = lines == 1 ? parse_record_event(r, l->line) : NULL;
	return lines == 1 && l->reason.n && l->segment.n && l->segment.p[0] != '.' &&
	        memchr(l->segment.p, '/', l->segment.n) == NULL
	    ? 0
	    : -1;
}

/* --- one file --------------------------------------------------------------------------- */

static bool
is_whole_segment(const char *name)
{
	return strstr(name, ".bad-") != NULL;
}

/* Fills *l. 0: a good line of a whole segment, which was delivered. */
static int
read_quarantined(struct quarantine_record *r, const struct segment *seg, bool whole,
    const struct reader_line *rl, struct requeue_line *l)
{
	struct err why = {.text = ""};

	*l = (struct requeue_line){.file = seg->name};
	if (!whole) {
		if (parse_record(r, rl->text, l) == 0)
			return 1;
		*l = (struct requeue_line){
		    .file = seg->name, .reason = slice_of(NOT_A_RECORD), .line = rl->text};
		l->offset = rl->pos;
		return 1;
	}
	if (!rl->text.n || line_parse(rl->text.p, rl->text.n, &r->parsed, &r->text, &why) == 0)
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
list_quarantine_file(int dir, const char *name, requeue_fn *fn, void *arg, struct err *err)
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
		if (read_quarantined(&r, &seg, is_whole_segment(name), &rl, &l))
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
requeue_list_quarantine(struct buffer *buf, const struct requeue_names *names, requeue_fn *fn,
    void *arg, struct err *err)
{
	char **list;
	size_t i, n;
	int dir = open_quarantine_dir(buf, err), r;

	if (dir == -1)
		return err->sys == ENOENT && !names->n ? 0 : -1;
	r = choose_files(buf, dir, names, &list, &n, err);
	for (i = 0; r == 0 && i < n; i++)
		r = list_quarantine_file(dir, list[i], fn, arg, err);
	free_names(list, n);
	close(dir);
	return r;
}

#define RETRYING ".retrying"
#define LOCK_MS 2000
#define GATHER_LINES 500 /* lines appended at once */
#define GATHER_BYTES (1u << 20)

/* The state of requeue_retry or requeue_drop. */
struct requeue {
	struct buffer *buf;
	int dir;
	const char *target;
	const struct append_limits *limits;
	struct requeue_result *res;
	struct quarantine *q; /* gets the lines that are not events */
	bool rerun;           /* an earlier run was interrupted in this file: */
	/* digests of the file's events, and how often each is in the buffer */
	struct idset events;
	struct bytes gathered; /* lines to be appended, head and tail in turn */
	size_t length[2 * GATHER_LINES];
	size_t n;
	struct err *err;
};

static int
list_one_file(struct requeue *t, char *name, requeue_fn *fn,
    void *arg) /* NOLINT(readability-non-const-parameter): a list of one */
{
	return requeue_list_quarantine(t->buf, &(struct requeue_names){&name, 1}, fn, arg, t->err);
}

/* --- what an earlier run may have put back ------------------------------------------- */

static int
remember_event(void *arg, const struct requeue_line *l)
{
	struct requeue *t = arg;
	char digest[UUID_SIZE];

	if (l->event != NULL) {
		line_digest(&l->event->e, digest);
		idset_add(&t->events, slice_of(digest));
	}
	return 0;
}

static int
count_copies_in_segment(struct requeue *t, const struct segment *seg)
{
	struct reader *r = reader_open(t->buf->fd, seg, 0, UINT64_MAX, 0, t->err);
	struct bytes text = {0};
	struct line parsed;
	struct reader_line l;
	struct err bad;
	char digest[UUID_SIZE];
	size_t *count;
	int got = -1;

	while (r != NULL && (got = reader_next(r, &l, t->err)) == 1) {
		if (line_parse(l.text.p, l.text.n, &parsed, &text, &bad) == -1)
			continue;
		line_digest(&parsed.e, digest);
		if ((count = idset_find(&t->events, slice_of(digest))) != NULL)
			++*count;
	}
	reader_close(r);
	bytes_free(&text);
	return got;
}

static int
count_copies_in_buffer(struct requeue *t, char *name)
{
	struct segment *list;
	size_t i, n;
	int r = 0;

	if (list_one_file(t, name, remember_event, t) == -1)
		return -1;
	idset_sort(&t->events);
	if (segment_list(t->buf->fd, &list, &n, t->err) == -1)
		return -1;
	for (i = 0; r == 0 && i < n; i++)
		if (list[i].kind != SEGMENT_FOREIGN && !list[i].ignored)
			r = count_copies_in_segment(t, &list[i]);
	free(list);
	return r;
}

/* --- back into the buffer --------------------------------------------------------------- */

static int
append_gathered(struct requeue *t)
{
	struct append_line lines[GATHER_LINES];
	const char *p = t->gathered.p;
	size_t i;

	if (!t->n)
		return 0;
	for (i = 0; i < t->n; i++) {
		lines[i].head = (struct slice){p, t->length[2 * i]};
		p += t->length[2 * i];
		lines[i].tail = (struct slice){p, t->length[2 * i + 1]};
		p += t->length[2 * i + 1];
	}
	if (append_lines(t->buf, t->target, t->limits, lines, t->n, t->err) == -1)
		return -1;
	t->res->back += t->n;
	t->n = t->gathered.len = 0;
	return 0;
}

static int
requeue_event(struct requeue *t, const struct line *parsed)
{
	struct doubt unknown = {.after = "0-0"};
	size_t *count = NULL, at = t->gathered.len;
	char digest[UUID_SIZE];

	if (t->rerun) {
		line_digest(&parsed->e, digest);
		count = idset_find(&t->events, slice_of(digest));
	}
	if (count != NULL && *count) {
		--*count;
		t->res->back++;
		return 0;
	}
	line_head(&t->gathered, &parsed->e);
	t->length[2 * t->n] = t->gathered.len - at;
	at = t->gathered.len;
	line_tail(&t->gathered, parsed->maxlen,
	    t->rerun               ? &unknown
	        : parsed->in_doubt ? &parsed->doubt
	                           : NULL);
	t->length[2 * t->n++ + 1] = t->gathered.len - at;
	return t->n == GATHER_LINES || t->gathered.len >= GATHER_BYTES ? append_gathered(t) : 0;
}

static int
requeue_one_line(void *arg, const struct requeue_line *l)
{
	struct requeue *t = arg;
	char *segment, *reason;
	int r;

	if (l->event != NULL)
		return requeue_event(t, l->event);
	segment = mem_strndup(l->segment.p, l->segment.n);
	reason = mem_strndup(l->reason.p, l->reason.n);
	r = quarantine_add(t->q, segment, l->offset, reason, l->line, t->err);
	free(segment);
	free(reason);
	return r;
}

/* --- one file ------------------------------------------------------------------------------- */

struct tally {
	uint64_t events, others;
	bool alien; /* has a line that is not a record */
};

static int
tally_line(void *arg, const struct requeue_line *l)
{
	struct tally *t = arg;

	t->events += l->event != NULL;
	t->others += l->event == NULL;
	t->alien |= slice_is(l->reason, NOT_A_RECORD);
	return 0;
}

/* Renames the file under its lock, so that no process adds to it any more. */
static int
rename_aside(struct requeue *t, const char *name, const char *aside)
{
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = -1;

	if (fd != -1 && io_lock(fd, LOCK_MS) == 0)
		r = io_rename_new(t->dir, name, aside);
	if (r == 0)
		r = fsync(t->dir);
	if (r == -1)
		err_sys(t->err, STATUS_UNSAFE, "rename '%s/quarantine/%s'", t->buf->dir, name);
	if (fd != -1)
		close(fd);
	return r;
}

/* Puts the events of a renamed file back, returns its other lines to quarantine under their own
 * segment, once each, and removes the file. */
static int
requeue_file(struct requeue *t, char *aside, bool rerun)
{
	int r = 0;

	t->rerun = rerun;
	t->q = quarantine_open(t->buf);
	t->n = t->gathered.len = 0;
	if (rerun)
		r = count_copies_in_buffer(t, aside);
	if (r != -1)
		r = list_one_file(t, aside, requeue_one_line, t);
	if (r != -1 && (r = append_gathered(t)) == 0 && (r = quarantine_sync(t->q, t->err)) == 0 &&
	    (unlinkat(t->dir, aside, 0) == -1 || fsync(t->dir) == -1))
		r = err_sys(t->err, STATUS_UNSAFE, "remove '%s/quarantine/%s'", t->buf->dir, aside);
	quarantine_close(t->q);
	idset_free(&t->events);
	return r;
}

/* Counts the file's lines that stay. Returns whether it has events that can be put back: not when a
 * line is not a record. */
static int
has_requeueable(struct requeue *t, char *name)
{
	struct tally all = {0};

	if (list_one_file(t, name, tally_line, &all) == -1)
		return -1;
	t->res->kept += all.alien ? all.others + all.events : all.others;
	return all.events && !all.alien;
}

static int
retry_file(struct requeue *t,
    char *name) /* NOLINT(misc-no-recursion): once, with a name that ends in RETRYING */
{
	size_t n = strlen(name), tail = strlen(RETRYING);
	char *aside;
	int r;

	if (n > tail && strcmp(name + n - tail, RETRYING) == 0)
		return has_requeueable(t, name) == -1 ? -1 : requeue_file(t, name, true);
	aside = mem_alloc(n + tail + 1);
	memcpy(aside, name, n);
	memcpy(aside + n, RETRYING, tail);
	r = faccessat(t->dir, aside, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? retry_file(t, aside) : 0;
	if (r == 0 && (r = has_requeueable(t, name)) == 1 &&
	    (r = rename_aside(t, name, aside)) == 0)
		r = requeue_file(t, aside, false);
	free(aside);
	return r == -1 ? -1 : 0;
}

/* --- dropping ------------------------------------------------------------------------------------
 */

static int
drop_quarantine_file(struct requeue *t, char *name)
{
	struct tally all = {0};
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = -1;

	if (fd != -1 && io_lock(fd, LOCK_MS) == 0 && list_one_file(t, name, tally_line, &all) != -1)
		r = unlinkat(t->dir, name, 0);
	if (r == -1)
		err_sys(t->err, STATUS_UNSAFE, "remove '%s/quarantine/%s'", t->buf->dir, name);
	if (fd != -1)
		close(fd);
	if (r == 0)
		t->res->dropped += all.events + all.others;
	return r;
}

/* --- each chosen file ------------------------------------------------------------------------ */

static int
for_each_file(
    struct requeue *t, const struct requeue_names *names, int (*fn)(struct requeue *t, char *name))
{
	char **list;
	size_t i, n;
	int r;

	memset(t->res, 0, sizeof(*t->res));
	if ((t->dir = open_quarantine_dir(t->buf, t->err)) == -1)
		return t->err->sys == ENOENT && !names->n ? 0 : -1;
	r = choose_files(t->buf, t->dir, names, &list, &n, t->err);
	for (i = 0; r == 0 && i < n; i++)
		if (faccessat(t->dir, list[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		    errno != ENOENT) /* else NAME.retrying went with NAME */
			r = fn(t, list[i]);
	if (r == 0 && n && fsync(t->dir) == -1)
		r = err_sys(t->err, STATUS_UNSAFE, "fsync '%s/quarantine'", t->buf->dir);
	free_names(list, n);
	bytes_free(&t->gathered);
	close(t->dir);
	return r;
}

int
requeue_retry(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct requeue_names *names, struct requeue_result *res, struct err *err)
{
	return for_each_file(
	    &(struct requeue){.buf = buf, .target = target, .limits = lim, .res = res, .err = err},
	    names, retry_file);
}

int
requeue_drop(struct buffer *buf, const struct requeue_names *names, struct requeue_result *res,
    struct err *err)
{
	return for_each_file(
	    &(struct requeue){.buf = buf, .res = res, .err = err}, names, drop_quarantine_file);
}

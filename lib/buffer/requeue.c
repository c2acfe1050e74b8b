#include "buffer/requeue.h"

#include <sys/stat.h>

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
#include "buffer/line.h"
#include "buffer/quarantine.h"
#include "buffer/reader.h"
#include "buffer/segment.h"

#define NOT_A_RECORD "not a quarantine record"

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

/* -1: not a record. */
static int
parse_record(struct quarantine_record *r, struct slice s, struct requeue_line *l)
{
	struct slice key, value;
	struct json_fault fault;
	struct json_walk w;
	struct err why;
	int lines = 0;

	r->words.len = r->line.len = 0;
	bytes_reserve(&r->words, s.n + 1); /* it must not move: slices point into it */
	if (json_check(s.p, s.n, &fault) == -1 || json_walk(&w, s) == -1)
		return -1;
	while (json_next(&w, &key, &value))
		lines += take_record_member(r, key, value, l);
	l->line = (struct slice){r->line.p, r->line.len};
	if (lines == 1 &&
	    line_parse_checked(l->line.p, l->line.n, &r->parsed, &r->text, &why) == 0 &&
	    r->parsed.e.event_id.n)
		l->event = &r->parsed;
	return lines == 1 && l->reason.n && l->segment.n && l->segment.p[0] != '.' &&
	        memchr(l->segment.p, '/', l->segment.n) == NULL
	    ? 0
	    : -1;
}

/* --- one file --------------------------------------------------------------------------- */

/* Fills *l. 0: a good line of a whole segment, which was delivered. */
static int
read_quarantined(struct quarantine_record *r, const struct segment *seg, bool whole,
    const struct reader_line *rl, struct requeue_line *l)
{
	struct err why = {.text = ""};

	*l = (struct requeue_line){.file = seg->name};
	if (!whole && parse_record(r, rl->text, l) == 0)
		return 1;
	*l = (struct requeue_line){.file = seg->name, .offset = rl->pos, .line = rl->text};
	if (!whole) {
		l->reason = slice_of(NOT_A_RECORD);
		return 1;
	}
	if (!rl->text.n || line_parse(rl->text.p, rl->text.n, &r->parsed, &r->text, &why) == 0)
		return 0;
	r->words.len = 0;
	bytes_adds(&r->words, why.text);
	l->reason = (struct slice){r->words.p, r->words.len};
	l->segment = slice_of(seg->stem);
	return 1;
}

/* Calls fn for each line of one file, as requeue_list_quarantine. */
static int
list_quarantine_file(int dir, const char *name, requeue_fn *fn, void *arg, struct err *err)
{
	uint64_t bad;
	size_t n = strcspn(name, ".");
	bool whole = quarantine_is_whole(name, &n, &bad);
	char name_copy[SEGMENT_NAME], stem[SEGMENT_NAME];
	struct segment seg = {.name = name_copy, .stem = stem, .kind = SEGMENT_OWN};
	struct quarantine_record r = {.words = {0}};
	struct reader_line rl;
	struct requeue_line l;
	struct reader *reader;
	int got = -1, stop = 0;

	snprintf(seg.name, sizeof(name_copy), "%s", name);
	snprintf(seg.stem, sizeof(stem), "%.*s", (int)n, name);
	seg.gz = strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0;
	reader = reader_open(dir, &seg, 0, UINT64_MAX, 0, err);
	while (reader != NULL && !stop && (got = reader_next(reader, &rl, err)) == 1)
		if (read_quarantined(&r, &seg, whole, &rl, &l))
			stop = fn(arg, &l);
	if (reader != NULL && !stop && got == -1 && err->sys == EBADMSG) {
		l = (struct requeue_line){.file = seg.name,
		    .segment = slice_of(seg.stem),
		    .damaged = true,
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

/* --- each chosen file -------------------------------------------------------------------- */

/* The state of one command. */
struct requeue {
	struct buffer *buf;
	int dir; /* quarantine/ */
	struct err *err;
	/* listing */
	requeue_fn *fn;
	void *arg;
	/* retry and drop */
	const char *target;
	const struct append_limits *limits;
	struct requeue_result *result;
	struct quarantine *q;   /* gets the lines that are not events */
	struct append_own *own; /* gets the events; NULL before the first */
	bool rerun;             /* an earlier run was interrupted in this file */
	bool is_back;           /* that run put the file's events back */
	uint64_t events;
	struct bytes head, tail;
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* *list: a fresh array of fresh strings, sorted. */
static int
list_quarantine_files(int dir, char ***list, size_t *n)
{
	DIR *d = io_open_dir(dir, ".");
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.') {
			*list = mem_realloc(*list, (*n + 1) * sizeof(**list));
			(*list)[(*n)++] = mem_strdup(e->d_name);
		}
	if (d == NULL || closedir(d) == -1)
		return -1;
	if (*n)
		qsort(*list, *n, sizeof(**list), compare_names);
	return 0;
}

int
requeue_refuse_name(const char *dir, const char *name, struct err *err)
{
	return err_set(err, STATUS_USAGE,
	    "'%s': no such file in '%s/quarantine'; see ebbuffer quarantine list", name, dir);
}

/* Calls fn for each named file, each of which must exist, or for all files. */
static int
for_each_file(struct requeue *t, const struct requeue_names *names,
    int (*fn)(struct requeue *t, const char *name))
{
	char **list = NULL;
	size_t n = 0;
	int r = 0;

	t->dir = openat(t->buf->fd, "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (t->dir == -1) {
		err_sys(t->err, STATUS_UNSAFE, "open '%s/quarantine'", t->buf->dir);
		return t->err->sys == ENOENT && !names->n ? 0 : -1;
	}
	for (size_t i = 0; r == 0 && i < names->n; i++) {
		const char *name = names->name[i];

		if (strchr(name, '/') != NULL || name[0] == '.' ||
		    (faccessat(t->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT))
			r = requeue_refuse_name(t->buf->dir, name, t->err);
	}
	if (!names->n && list_quarantine_files(t->dir, &list, &n) == -1)
		r = err_sys(t->err, STATUS_UNSAFE, "list '%s/quarantine'", t->buf->dir);
	for (size_t i = 0; r == 0 && i < names->n + n; i++) {
		const char *name = n ? list[i] : names->name[i];

		/* else it is named twice */
		if (faccessat(t->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			r = fn(t, name);
	}
	while (n)
		free(list[--n]);
	free(list);
	bytes_free(&t->head);
	bytes_free(&t->tail);
	close(t->dir);
	return r;
}

static int
list_file(struct requeue *t, const char *name)
{
	return list_quarantine_file(t->dir, name, t->fn, t->arg, t->err);
}

int
requeue_list_quarantine(struct buffer *buf, const struct requeue_names *names, requeue_fn *fn,
    void *arg, struct err *err)
{
	return for_each_file(
	    &(struct requeue){.buf = buf, .fn = fn, .arg = arg, .err = err}, names, list_file);
}

/* --- back into the buffer --------------------------------------------------------------- */

#define RETRYING ".retrying"
#define LOCK_MS 2000

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

static int
requeue_event(struct requeue *t, const struct line *parsed)
{
	static const struct doubt unknown = {.after = "0-0"};
	const struct doubt *doubt = parsed->in_doubt ? &parsed->doubt : NULL;

	t->events++;
	if (t->is_back)
		return 0;
	if (t->own == NULL && (t->own = append_own_open(t->buf, t->target, t->err)) == NULL)
		return -1;
	t->head.len = t->tail.len = 0;
	line_head(&t->head, &parsed->e);
	line_tail(&t->tail, parsed->maxlen, t->rerun ? &unknown : doubt);
	return append_own_add(t->own,
	    &(struct append_line){{t->head.p, t->head.len}, {t->tail.p, t->tail.len}}, t->err);
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

/* Returns 1 when the buffer holds the segment of this name, 0 when not, -1 with err. */
static int
find_own_segment(struct requeue *t, const char *number)
{
	struct segment *list;
	size_t n;
	int found = 0;

	if (segment_list(t->buf->fd, &list, &n, t->err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		found |= list[i].kind == SEGMENT_OWN &&
		    strcmp(strrchr(list[i].stem, '-') + 1, number) == 0;
	free(list);
	return found;
}

/*
 * Puts the events of NAME.NUMBER.retrying back into a segment STEM.own-NUMBER.jsonl. Its other
 * lines return to quarantine under their own segment. Then the file is removed. A repeated run that
 * finds the segment (is_back) only has to complete the rest. One that does not find it cannot know
 * whether the segment was delivered: it marks the events as in doubt, and the next drain looks them
 * up. It takes another number, because the checkpoint may have a position in the old segment.
 */
static int
requeue_file(struct requeue *t, const char *aside, const char *number, bool rerun, bool is_back)
{
	int r;

	t->rerun = rerun;
	t->is_back = is_back;
	t->events = 0;
	t->q = quarantine_open(t->buf);
	r = list_quarantine_file(t->dir, aside, requeue_one_line, t, t->err);
	if (r == 0)
		r = t->own != NULL ? append_own_link(t->own, number, t->err)
		                   : buffer_sync(t->buf, t->err);
	append_own_close(t->own);
	t->own = NULL;
	if (r == 0 && (r = quarantine_sync(t->q, t->err)) == 0 &&
	    (unlinkat(t->dir, aside, 0) == -1 || io_sync_dir(t->dir) == -1))
		r = err_sys(t->err, STATUS_UNSAFE, "remove '%s/quarantine/%s'", t->buf->dir, aside);
	quarantine_close(t->q);
	t->result->back += r == 0 ? t->events : 0;
	return r;
}

/* -1 with errno. */
static int
open_and_lock(const struct requeue *t, const char *name)
{
	int fd = openat(t->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd != -1 && io_lock(fd, LOCK_MS) == 0)
		return fd;
	io_close(fd);
	return -1;
}

/* Renames the file under its lock, so that no process adds to it any more, and puts its events
 * back. base: the name without RETRYING. */
static int
rename_and_requeue(struct requeue *t, const char *name, const char *base, bool rerun)
{
	struct stat st = {0};
	struct bytes aside = {0};
	char number[APPEND_OWN_NUMBER];
	int fd, r;

	append_own_number(number);
	bytes_addf(&aside, "%s.%s" RETRYING, base, number);
	fstatat(t->dir, name, &st, AT_SYMLINK_NOFOLLOW);
	r = append_check_room(t->buf, t->limits, (uint64_t)st.st_size, t->err);
	if (r == 0) {
		fd = open_and_lock(t, name);
		if (fd == -1 || io_rename_new(t->dir, name, bytes_str(&aside)) == -1 ||
		    io_sync_dir(t->dir) == -1)
			r = err_sys(
			    t->err, STATUS_UNSAFE, "rename '%s/quarantine/%s'", t->buf->dir, name);
		io_close(fd);
	}
	if (r == 0)
		r = requeue_file(t, aside.p, number, rerun, false);
	bytes_free(&aside);
	return r;
}

/* A file with a line that is not a record stays. */
static int
retry_file(struct requeue *t, const char *name)
{
	size_t n = strlen(name), tail = strlen(RETRYING);
	bool rerun = n > tail && strcmp(name + n - tail, RETRYING) == 0;
	struct tally all = {0};
	char *base, *dot;
	int is_back = 0, r = -1;

	if (list_quarantine_file(t->dir, name, tally_line, &all, t->err) == -1)
		return -1;
	t->result->kept += all.others + (all.alien ? all.events : 0);
	if (all.alien || (!all.events && !rerun))
		return 0;
	base = mem_strndup(name, rerun ? n - tail : n);
	dot = rerun ? strrchr(base, '.') : NULL;
	if (dot != NULL && dot[1] && !dot[1 + strspn(dot + 1, "0123456789")]) {
		*dot = '\0';
		is_back = find_own_segment(t, dot + 1);
	}
	if (is_back == 1)
		r = requeue_file(t, name, dot + 1, true, true);
	else if (is_back == 0)
		r = rename_and_requeue(t, name, base, rerun);
	free(base);
	return r;
}

int
requeue_retry(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct requeue_names *names, struct requeue_result *result, struct err *err)
{
	memset(result, 0, sizeof(*result));
	return for_each_file(
	    &(struct requeue){
	        .buf = buf, .target = target, .limits = lim, .result = result, .err = err},
	    names, retry_file);
}

/* --- dropping ---------------------------------------------------------------------------- */

static int
drop_quarantine_file(struct requeue *t, const char *name)
{
	struct tally all = {0};
	int fd = open_and_lock(t, name), r = -1;

	if (fd != -1 && list_quarantine_file(t->dir, name, tally_line, &all, t->err) == 0)
		r = unlinkat(t->dir, name, 0) == 0 ? io_sync_dir(t->dir) : -1;
	if (r == -1)
		err_sys(t->err, STATUS_UNSAFE, "remove '%s/quarantine/%s'", t->buf->dir, name);
	io_close(fd);
	if (r == 0)
		t->result->dropped += all.events + all.others;
	return r;
}

int
requeue_drop(struct buffer *buf, const struct requeue_names *names, struct requeue_result *result,
    struct err *err)
{
	memset(result, 0, sizeof(*result));
	return for_each_file(&(struct requeue){.buf = buf, .result = result, .err = err}, names,
	    drop_quarantine_file);
}

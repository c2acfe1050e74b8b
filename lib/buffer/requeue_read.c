/* The part of requeue.h that looks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/json.h"
#include "event/names.h"
#include "buffer/reader.h"
#include "buffer/requeue.h"
#include "buffer/requeue_int.h"
#include "base/status.h"
#include "base/mem.h"
#include "base/clock.h"

/* --- the files ------------------------------------------------------------------ */

int
requeue_dir(struct buffer *buf, struct err *err)
{
	int fd = openat(buffer_fd(buf), "quarantine", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		err_sys(err, STATUS_UNSAFE, "open '%s/quarantine'", buffer_dir(buf));
	return fd;
}

void
requeue_free(char **list, size_t n)
{
	while (n)
		free(list[--n]);
	free(list);
}

static void
add_name(char ***list, size_t *n, const char *name)
{
	*list = mem_realloc(*list, (*n + 1) * sizeof **list);
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

	if (!d) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			add_name(list, n, e->d_name);
	closedir(d);
	if (*n)
		qsort(*list, *n, sizeof **list, by_name);
	return 0;
}

int
requeue_names(struct buffer *buf, int dir, const struct requeue_names *names, char ***list, size_t *n, struct err *err)
{
	size_t i;

	*list = NULL;
	*n = 0;
	if (!names->n && all_names(dir, list, n) == -1)
		return err_sys(err, STATUS_UNSAFE, "list '%s/quarantine'", buffer_dir(buf));
	for (i = 0; i < names->n; i++) {
		const char *name = names->name[i];

		if (strchr(name, '/') || name[0] == '.' ||
		    (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT)) {
			requeue_free(*list, *n);
			*list = NULL;
			*n = 0;
			return err_set(err, STATUS_USAGE, "'%s': no file of '%s/quarantine': see --quarantine list", name,
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

	if (json_text(&r->words, value) == -1)
		return (struct slice){ 0 };
	return (struct slice){ r->words.p + from, r->words.len - from };
}

static int
take_member(struct quarantine_record *r, struct slice key, struct slice value, struct requeue_line *l)
{
	struct slice inner = { value.p + 1, value.n - 2 };

	if (slice_eq(key, "reason"))
		l->reason = word(r, value);
	else if (slice_eq(key, "segment"))
		l->segment = word(r, value);
	else if (slice_eq(key, "offset"))
		l->offset = strtoull(value.p, NULL, 10);
	else if (slice_eq(key, "quarantined_at") && value.n > 2 && clock_parse(inner.p, inner.n, &l->at) == -1)
		l->at = 0;
	else if (slice_eq(key, "line"))
		return json_text(&r->line, value) == 0;
	else if (slice_eq(key, "line_base64") && value.n >= 2)
		return base64_read(&r->line, inner.p, inner.n) == 0;
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
	buf_reserve(&r->words, s.n + 1);	/* what points into it stays */
	if (json_check(s.p, s.n, &fault) == -1 || json_walk(&w, s) == -1)
		return -1;
	while (json_next(&w, &key, &value))
		lines += take_member(r, key, value, l);
	l->line = (struct slice){ r->line.p, r->line.len };
	l->event = lines == 1 ? as_event(r, l->line) : NULL;
	return lines == 1 && l->reason.n && l->segment.n && l->segment.p[0] != '.' &&
	    !memchr(l->segment.p, '/', l->segment.n) ? 0 : -1;
}

/* --- one file --------------------------------------------------------------------------- */

/* 1: to be shown; 0: a good line of a whole segment, which was delivered. */
static int
take_line(struct quarantine_record *r, const struct segment *seg, bool whole, const struct reader_line *rl, struct requeue_line *l)
{
	struct err why = { .text = "" };

	*l = (struct requeue_line){ .file = seg->name };
	if (!whole) {
		if (read_record(r, rl->text, l) == 0)
			return 1;
		*l = (struct requeue_line){ .file = seg->name, .reason = slice_of(REQUEUE_STRANGE), .line = rl->text };
		l->offset = rl->pos;
		return 1;
	}
	if (!rl->text.n || line_parse(rl->text.p, rl->text.n, &r->el, &r->text, &why) == 0)
		return 0;
	r->words.len = 0;
	bytes_adds(&r->words, why.text);
	l->reason = (struct slice){ r->words.p, r->words.len };
	l->segment = slice_of(seg->stem);
	l->offset = rl->pos;
	l->line = rl->text;
	return 1;
}

static int
list_file(int dir, const char *name, requeue_fn *fn, void *arg, struct err *err)
{
	struct segment seg = { .kind = SEGMENT_OWN };
	struct quarantine_record r = { .words = { 0 } };
	struct reader_line rl;
	struct requeue_line l;
	struct reader *reader;
	int got = -1, stop = 0;

	snprintf(seg.name, sizeof seg.name, "%s", name);
	snprintf(seg.stem, sizeof seg.stem, "%.*s", (int)strcspn(name, "."), name);
	seg.gz = strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0;
	reader = reader_open(dir, &seg, 0, UINT64_MAX, 0, err);
	while (reader && !stop && (got = reader_next(reader, &rl, err)) == 1)
		if (take_line(&r, &seg, requeue_whole(name), &rl, &l))
			stop = fn(arg, &l);
	if (reader && !stop && got == -1 && err->sys == EBADMSG) {
		l = (struct requeue_line){ .file = seg.name, .segment = slice_of(seg.stem),
		    .reason = slice_of("damaged: cannot be read to its end") };
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
requeue_whole(const char *name)
{
	return strstr(name, ".bad-") != NULL;
}

int
requeue_list(struct buffer *buf, const struct requeue_names *names, requeue_fn *fn, void *arg, struct err *err)
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

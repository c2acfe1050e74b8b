#include "buffer/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/token.h"

#define MANIFEST_MAX (64u << 20)
#define WHOLE " ." /* ends a whole line */

void
manifest_add(struct buffer *buf, const char *stem)
{
	struct bytes b = {0};
	int fd = buffer_open_state(buf, ".roster", O_RDWR | O_APPEND | O_CREAT);
	off_t size = fd == -1 ? 0 : lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (fd == -1)
		return;
	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
		bytes_addc(&b, '\n'); /* ends a torn line */
	bytes_addc(&b, '+');
	token_add(&b, stem);
	bytes_adds(&b, WHOLE "\n");
	if (write(fd, b.p, b.len) == -1) {
		/* Loses the alarm, not an event. */
	}
	bytes_free(&b);
	close(fd);
}

/*
 * Parses the next whole line at *p: 1, or 0 at the end. Skips torn and empty lines. A line that
 * lacks only its newline, which the next manifest_add appends, is whole.
 */
static int
next_manifest_line(char **p, char **state, char **stem)
{
	char *end, *next;

	for (; **p; *p = next) {
		end = strchrnul(*p, '\n');
		next = *end ? end + 1 : end;
		if (end - *p > 3 && memcmp(end - 2, WHOLE, 2) == 0 && strchr("+x!", **p) != NULL) {
			*end = '\0';
			*state = *p;
			*stem = *p + 1;
			*p = next;
			end = *stem;
			*stem = token_next(&end);
			return 1;
		}
	}
	return 0;
}

static int
compare_stem_key(const void *key, const void *item)
{
	return strcmp(key, *(char *const *)item);
}

static int
compare_stems(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Overwrites the states of n sorted stems, durably: after a power cut, a segment that is unlinked
 * must not be recorded as present.
 */
static int
write_states(struct buffer *buf, const char *const *stems, size_t n, const char *to)
{
	char *text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL), *p = text, *state, *name;
	int fd = -1, r = 0;

	if (text == NULL)
		return errno == ENOENT ? 0 : -1;
	while (r == 0 && next_manifest_line(&p, &state, &name)) {
		if (*state == 'x' ||
		    bsearch(name, stems, n, sizeof(*stems), compare_stem_key) == NULL)
			continue;
		if ((fd == -1 && (fd = buffer_open_state(buf, ".roster", O_WRONLY)) == -1) ||
		    pwrite(fd, to, 1, state - text) != 1)
			r = -1;
	}
	if (fd != -1 && r == 0)
		r = fdatasync(fd);
	if (fd != -1)
		close(fd);
	free(text);
	return r;
}

int
manifest_mark_removed(struct buffer *buf, const char **stems, size_t n, struct err *err)
{
	if (n == 0)
		return 0;
	qsort(stems, n, sizeof(*stems), compare_stems);
	return write_states(buf, stems, n, "x") == 0
	    ? 0
	    : err_sys(err, STATUS_UNSAFE, "write '%s/.roster'", buf->dir);
}

static bool
has_only_removed(struct buffer *buf)
{
	char *text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL), *p = text, *state, *stem;
	bool removed = true;

	while (text != NULL && removed && next_manifest_line(&p, &state, &stem))
		removed = *state == 'x';
	free(text);
	return removed;
}

void
manifest_clear(struct buffer *buf, bool all)
{
	int fd;

	if ((!all && !has_only_removed(buf)) ||
	    (fd = buffer_open_state(buf, ".roster", O_WRONLY)) == -1)
		return;
	if (ftruncate(fd, 0) == -1) {
		/* All its stems are removed: nothing counts as missing. */
	}
	close(fd);
}

static char
state_of_stem(struct buffer *buf, const char *stem)
{
	char *text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL), *p = text, *state, *name,
	     found = 0;

	while (text != NULL && next_manifest_line(&p, &state, &name))
		if (strcmp(name, stem) == 0)
			found = *state;
	free(text);
	return found;
}

/* The list may be older than the manifest: a stem is not missing when its file was created since,
 * or delivered and removed. */
static bool
is_stem_missing(struct buffer *buf, const char *stem)
{
	static const char *const ends[] = {".jsonl", ".suspect.jsonl", ".jsonl.gz"};
	char name[SEGMENT_NAME + 32];

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(name, sizeof(name), "%s%s", stem, ends[i]);
		if (faccessat(buf->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return false;
	}
	return state_of_stem(buf, stem) != 'x';
}

void
manifest_list_vanished(
    struct buffer *buf, const struct segment *list, size_t n, char ***stems, size_t *count)
{
	char *text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL), *p = text, *state, *stem;
	const char **have;
	size_t cap = 0;

	*stems = NULL;
	*count = 0;
	if (text == NULL)
		return;
	have = mem_realloc(NULL, (n + 1) * sizeof(*have));
	for (size_t i = 0; i < n; i++)
		have[i] = list[i].stem;
	qsort(have, n, sizeof(*have), compare_stems);
	while (next_manifest_line(&p, &state, &stem)) {
		if (*state == 'x' ||
		    (n && bsearch(stem, have, n, sizeof(*have), compare_stem_key) != NULL) ||
		    !is_stem_missing(buf, stem))
			continue;
		if (*count == cap)
			*stems = mem_realloc(*stems, (cap = cap ? cap * 2 : 8) * sizeof(**stems));
		(*stems)[(*count)++] = mem_strdup(stem);
	}
	free(have);
	free(text);
}

/* --- segments that came back --------------------------------------------------------- */

#define RETURNED ".own-0"

bool
manifest_is_returned(const char *stem)
{
	size_t n = strlen(stem);

	return n > strlen(RETURNED) && strcmp(stem + n - strlen(RETURNED), RETURNED) == 0;
}

static bool
has_vanished(struct buffer *buf)
{
	char *text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL), *p = text, *state, *stem;
	bool any = false;

	while (text != NULL && !any && next_manifest_line(&p, &state, &stem))
		any = *state == '!';
	free(text);
	return any;
}

static int
separate_returned(struct buffer *buf, const struct segment *s, struct err *err)
{
	char name[SEGMENT_NAME + 32];

	snprintf(name, sizeof(name), "%s" RETURNED ".jsonl%s", s->stem, s->gz ? ".gz" : "");
	if (renameat(buf->fd, s->name, buf->fd, name) == -1)
		return err_sys(err, STATUS_UNSAFE, "rename '%s/%s'", buf->dir, s->name);
	if (manifest_mark_removed(buf, &(const char *){s->stem}, 1, err) == -1)
		return -1;
	*strstr(name, ".jsonl") = '\0';
	manifest_add(buf, name);
	return buffer_sync(buf, err);
}

/* Removes the old stem after a run that was interrupted between the rename and that. */
static int
finish_separation(struct buffer *buf, const struct segment *s, struct err *err)
{
	char stem[SEGMENT_NAME];

	if (!manifest_is_returned(s->stem))
		return 0;
	snprintf(stem, sizeof(stem), "%.*s", (int)(strlen(s->stem) - strlen(RETURNED)), s->stem);
	if (state_of_stem(buf, stem) != '!')
		return 0;
	if (!state_of_stem(buf, s->stem))
		manifest_add(buf, s->stem);
	return manifest_mark_removed(buf, &(const char *){stem}, 1, err);
}

int
manifest_reconcile(struct buffer *buf, struct err *err)
{
	struct segment *list;
	char **gone;
	size_t i, n;
	int r = 0;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	manifest_list_vanished(buf, list, n, &gone, &i);
	while (i) {
		write_states(buf, &(const char *){gone[--i]}, 1, "!");
		free(gone[i]);
	}
	free(gone);
	/* A drain passes a segment that is ignored for now (a hard link): it came back when it is a
	 * segment again. */
	for (i = 0; i < n; i++)
		if (list[i].ignored && list[i].kind == SEGMENT_CHAIN)
			write_states(buf, &(const char *){list[i].stem}, 1, "!");
	n = has_vanished(buf) ? n : 0;
	for (i = 0; r == 0 && i < n; i++)
		r = finish_separation(buf, &list[i], err);
	for (i = 0; r == 0 && i < n; i++)
		if (list[i].kind == SEGMENT_CHAIN && !list[i].ignored &&
		    state_of_stem(buf, list[i].stem) == '!')
			r = separate_returned(buf, &list[i], err);
	free(list);
	return r;
}

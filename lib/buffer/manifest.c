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
#include "buffer/token.h"

#define WHOLE " ." /* ends a whole line */

void
manifest_add(struct buffer *buf, const char *stem)
{
	struct bytes b = {0};
	int fd = io_open_own(buf->fd, ".roster", O_RDWR | O_APPEND | O_CREAT);
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

/* Walks through the lines of the manifest. */
struct manifest {
	char *text, *next;
	char *state, *stem; /* of the current line, within text */
};

/* -1 with errno when it cannot be read; it then counts as empty. */
static int
open_manifest(struct manifest *m, struct buffer *buf)
{
	*m = (struct manifest){.text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL)};
	m->next = m->text;
	return m->text != NULL ? 0 : -1;
}

/* Skips torn and empty lines. A line that lacks only its newline, which the next manifest_add
 * appends, is whole. Frees the text at the end. */
static bool
next_manifest_line(struct manifest *m)
{
	while (m->next != NULL && *m->next != '\0') {
		char *line = m->next, *end = strchrnul(line, '\n');

		m->next = *end ? end + 1 : end;
		if (end - line > 3 && memcmp(end - 2, WHOLE, 2) == 0 && strchr("+x!", *line)) {
			*end = '\0';
			m->state = line++;
			m->stem = token_next(&line);
			return true;
		}
	}
	free(m->text);
	m->text = m->next = NULL;
	return false;
}

/* Returns the last of these states that a stem has, or with NULL any; 0: it has none of them. */
static char
find_state(struct buffer *buf, const char *stem, const char *states)
{
	struct manifest m;
	char found = 0;

	open_manifest(&m, buf);
	while (next_manifest_line(&m))
		if (strchr(states, *m.state) != NULL && (stem == NULL || strcmp(m.stem, stem) == 0))
			found = *m.state;
	return found;
}

static int
compare_stems(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Overwrites the states of n stems, which it sorts, durably: after a power cut, a segment that is
 * unlinked must not be recorded as present.
 */
static int
write_states(struct buffer *buf, const char **stems, size_t n, const char *to)
{
	struct manifest m;
	int fd = -1, r = 0;

	if (n == 0)
		return 0;
	if (open_manifest(&m, buf) == -1)
		return errno == ENOENT ? 0 : -1;
	qsort(stems, n, sizeof(*stems), compare_stems);
	while (next_manifest_line(&m)) {
		if (r == -1 || *m.state == 'x' ||
		    bsearch(&m.stem, stems, n, sizeof(*stems), compare_stems) == NULL)
			continue;
		if ((fd == -1 && (fd = io_open_own(buf->fd, ".roster", O_WRONLY)) == -1) ||
		    pwrite(fd, to, 1, m.state - m.text) != 1)
			r = -1;
	}
	if (fd != -1 && r == 0)
		r = fdatasync(fd);
	io_close(fd);
	return r;
}

int
manifest_mark_removed(struct buffer *buf, const char **stems, size_t n, struct err *err)
{
	return write_states(buf, stems, n, "x") == 0
	    ? 0
	    : err_sys(err, STATUS_UNSAFE, "write '%s/.roster'", buf->dir);
}

void
manifest_clear(struct buffer *buf, bool all)
{
	int fd;

	if ((!all && find_state(buf, NULL, "+!")) ||
	    (fd = io_open_own(buf->fd, ".roster", O_WRONLY)) == -1)
		return;
	if (ftruncate(fd, 0) == -1) {
		/* All its stems are removed: nothing counts as missing. */
	}
	close(fd);
}

/* The list may be older than the manifest: a stem is not missing when its file was created since,
 * or delivered and removed. */
static bool
is_stem_missing(struct buffer *buf, const char *stem)
{
	static const char *const ends[] = {
	    ".jsonl", ".suspect.jsonl", ".jsonl.gz", ".suspect.jsonl.gz"};
	char name[SEGMENT_NAME + 32];

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(name, sizeof(name), "%s%s", stem, ends[i]);
		if (faccessat(buf->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return false;
	}
	return find_state(buf, stem, "+x!") != 'x';
}

size_t
manifest_list_vanished(struct buffer *buf, const struct segment *list, size_t n, char ***stems)
{
	struct manifest m;
	const char **have = mem_alloc((n + 1) * sizeof(*have));
	size_t count = 0;

	if (stems != NULL)
		*stems = NULL;
	for (size_t i = 0; i < n; i++)
		have[i] = list[i].stem;
	qsort(have, n, sizeof(*have), compare_stems);
	open_manifest(&m, buf);
	while (next_manifest_line(&m)) {
		if (*m.state == 'x' ||
		    bsearch(&m.stem, have, n, sizeof(*have), compare_stems) != NULL ||
		    !is_stem_missing(buf, m.stem))
			continue;
		if (stems != NULL) {
			*stems = mem_realloc(*stems, (count + 1) * sizeof(**stems));
			(*stems)[count] = mem_strdup(m.stem);
		}
		count++;
	}
	free(have);
	return count;
}

/* --- segments that came back --------------------------------------------------------- */

#define RETURNED ".own-0"

bool
manifest_is_returned(const char *stem)
{
	size_t n = strlen(stem);

	return n > strlen(RETURNED) && strcmp(stem + n - strlen(RETURNED), RETURNED) == 0;
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

	snprintf(stem, sizeof(stem), "%.*s", (int)(strlen(s->stem) - strlen(RETURNED)), s->stem);
	if (find_state(buf, stem, "+x!") != '!')
		return 0;
	if (!find_state(buf, s->stem, "+x!"))
		manifest_add(buf, s->stem);
	return manifest_mark_removed(buf, &(const char *){stem}, 1, err);
}

int
manifest_reconcile(struct buffer *buf, struct err *err)
{
	struct segment *list;
	char **gone;
	size_t n, count;
	int r = 0;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	count = manifest_list_vanished(buf, list, n, &gone);
	while (count) {
		write_states(buf, &(const char *){gone[--count]}, 1, "!");
		free(gone[count]);
	}
	free(gone);
	/* A drain passes what is ignored for now (a hard link): when that is a segment again, it
	 * came back. */
	for (size_t i = 0; i < n; i++)
		if (list[i].ignored && list[i].kind == SEGMENT_CHAIN)
			write_states(buf, &(const char *){list[i].stem}, 1, "!");
	n = find_state(buf, NULL, "!") ? n : 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (manifest_is_returned(list[i].stem))
			r = finish_separation(buf, &list[i], err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (list[i].kind == SEGMENT_CHAIN && !list[i].ignored &&
		    find_state(buf, list[i].stem, "+x!") == '!')
			r = separate_returned(buf, &list[i], err);
	free(list);
	return r;
}

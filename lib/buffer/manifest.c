#include "buffer/manifest.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/token.h"

#define WHOLE " ."    /* ends a whole line */
#define FORGOTTEN "-" /* as the state of a line: it is skipped */

/* Appends lines. */
static void
append_lines_to_manifest(struct buffer *buf, const struct bytes *lines)
{
	struct bytes b = {0};
	int fd = io_open_own(buf->fd, ".roster", O_RDWR | O_APPEND | O_CREAT);
	off_t size = fd == -1 ? 0 : lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (fd == -1)
		return;
	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
		bytes_addc(&b, '\n'); /* ends a torn line */
	bytes_add(&b, lines->p, lines->len);
	if (write(fd, b.p, b.len) == -1) {
		/* Loses the alarm, not an event. */
	}
	bytes_free(&b);
	close(fd);
}

#define NOT_SHRUNK UINT64_MAX

/* left: NOT_SHRUNK, or how long it is now. */
static void
format_size(struct bytes *b, const char *stem, uint64_t size, uint64_t left)
{
	bytes_addc(b, '=');
	token_add(b, stem);
	bytes_addf(b, " %" PRIu64, size);
	if (left != NOT_SHRUNK)
		bytes_addf(b, " %" PRIu64, left);
	bytes_adds(b, WHOLE "\n");
}

void
manifest_add(struct buffer *buf, const char *stem, uint64_t size)
{
	struct bytes b = {0};

	bytes_addc(&b, '+');
	token_add(&b, stem);
	bytes_adds(&b, WHOLE "\n");
	if (size)
		format_size(&b, stem, size, NOT_SHRUNK);
	append_lines_to_manifest(buf, &b);
	bytes_free(&b);
}

static void
note_size(struct buffer *buf, const char *stem, uint64_t size, uint64_t left)
{
	struct bytes b = {0};

	format_size(&b, stem, size, left);
	append_lines_to_manifest(buf, &b);
	bytes_free(&b);
}

void
manifest_note_size(struct buffer *buf, const char *stem, uint64_t size)
{
	note_size(buf, stem, size, NOT_SHRUNK);
}

/* Walks through the lines of the manifest. */
struct manifest {
	char *text, *next;
	char *state, *stem, *rest; /* of the current line, within text */
};

/* -1 with errno when it cannot be read; it then counts as empty. */
static int
open_manifest(struct manifest *m, struct buffer *buf)
{
	*m = (struct manifest){.text = io_read_file(buf->fd, ".roster", MANIFEST_MAX, NULL)};
	m->next = m->text;
	return m->text != NULL ? 0 : -1;
}

/* Finds the next line with one of these states. Skips torn and empty ones. A line that lacks only
 * its newline, which the next manifest_add appends, is whole. Frees the text at the end. */
static bool
next_line_in_state(struct manifest *m, const char *states)
{
	while (m->next != NULL && *m->next != '\0') {
		char *line = m->next, *end = strchrnul(line, '\n');

		m->next = *end ? end + 1 : end;
		if (end - line > 3 && memcmp(end - 2, WHOLE, 2) == 0 && strchr(states, *line)) {
			*end = '\0';
			m->state = line++;
			m->stem = token_next(&line);
			m->rest = line;
			return true;
		}
	}
	free(m->text);
	m->text = m->next = NULL;
	return false;
}

static bool
next_manifest_line(struct manifest *m)
{
	return next_line_in_state(m, "+x!");
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
 * Overwrites those of the states `from` that n stems have, which it sorts, durably: after a power
 * cut, a segment that is unlinked must not be recorded as present.
 */
static int
write_states(struct buffer *buf, const char **stems, size_t n, const char *from, const char *to)
{
	struct manifest m;
	int fd = -1, r = 0;

	if (n == 0)
		return 0;
	if (open_manifest(&m, buf) == -1)
		return errno == ENOENT ? 0 : -1;
	qsort(stems, n, sizeof(*stems), compare_stems);
	while (next_line_in_state(&m, from)) {
		if (r == -1 || bsearch(&m.stem, stems, n, sizeof(*stems), compare_stems) == NULL)
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

/* --- how long segments are -------------------------------------------------------------- */

/* What the manifest has of each segment, sorted by stem. */
struct sizes {
	struct known_size {
		char *stem;
		uint64_t size, left; /* left: NOT_SHRUNK, or how long it is now */
		size_t order;
	} * known;
	size_t n, nshrunk;
};

static int
compare_known_sizes(const void *pa, const void *pb)
{
	const struct known_size *a = pa, *b = pb;
	int r = strcmp(a->stem, b->stem);

	return r ? r : a->order < b->order ? -1 : a->order > b->order;
}

static void
load_sizes(struct buffer *buf, struct sizes *s)
{
	struct manifest m;
	size_t kept = 0;
	char *end;

	*s = (struct sizes){0};
	open_manifest(&m, buf);
	while (next_line_in_state(&m, "=")) {
		if ((s->n & (s->n - 1)) == 0) /* 0 or a power of two: the array is full */
			s->known = mem_realloc(s->known, (s->n ? 2 * s->n : 1) * sizeof(*s->known));
		s->known[s->n] = (struct known_size){.stem = mem_strdup(m.stem),
		    .size = strtoull(token_next(&m.rest), NULL, 10),
		    .left = NOT_SHRUNK,
		    .order = s->n};
		end = token_next(&m.rest);
		if (*end != '.')
			s->known[s->n].left = strtoull(end, NULL, 10);
		s->n++;
	}
	if (s->n)
		qsort(s->known, s->n, sizeof(*s->known), compare_known_sizes);
	for (size_t i = 0; i < s->n; i++)
		if (i + 1 < s->n && strcmp(s->known[i].stem, s->known[i + 1].stem) == 0)
			free(s->known[i].stem);
		else
			s->known[kept++] = s->known[i];
	s->n = kept;
	for (size_t i = 0; i < s->n; i++)
		s->nshrunk += s->known[i].left != NOT_SHRUNK;
}

static void
free_sizes(struct sizes *s)
{
	while (s->n)
		free(s->known[--s->n].stem);
	free(s->known);
}

static int
compare_stem_to_size(const void *stem, const void *known)
{
	return strcmp(stem, ((const struct known_size *)known)->stem);
}

static const struct known_size *
find_size(const struct sizes *s, const char *stem)
{
	return s->n ? bsearch(stem, s->known, s->n, sizeof(*s->known), compare_stem_to_size) : NULL;
}

static bool
is_recorded_as_shrunk(const struct sizes *s, const char *stem)
{
	const struct known_size *k = s->nshrunk ? find_size(s, stem) : NULL;

	return k != NULL && k->left != NOT_SHRUNK;
}

/* Returns how long a segment that exists must be at least. hints: trusted for their own boot only,
 * because a power cut may take what was not synced. */
static uint64_t
least_size(const struct sizes *s, const struct buffer_hints *hints, const char *stem)
{
	const struct known_size *k = find_size(s, stem);
	uint64_t size = k != NULL ? k->size : 0;
	char boot[40];

	if (hints->size > size && strcmp(hints->stem, stem) == 0) {
		buffer_boot_id(boot);
		size = strcmp(boot, hints->boot) == 0 ? hints->size : size;
	}
	return size;
}

/* What is_shorter compares the segments with. */
struct lengths {
	struct buffer *buf;
	struct sizes sizes;
	struct buffer_hints hints;
	const struct positions *edited; /* see struct checkpoint; or NULL */
	uint64_t least, now;            /* of the last segment */
};

static void
load_lengths(struct lengths *l, struct buffer *buf, const struct positions *edited)
{
	*l = (struct lengths){.buf = buf, .edited = edited};
	load_sizes(buf, &l->sizes);
	buffer_read_hints(buf, &l->hints);
}

/* Looks again at a segment that seems too short: a publisher may have appended since it was listed.
 */
static bool
is_shorter(struct lengths *l, const struct segment *seg)
{
	const struct position *e = l->edited != NULL ? positions_find(l->edited, seg->stem) : NULL;
	struct stat st;

	if (seg->gz || seg->ignored || seg->kind == SEGMENT_PLAIN)
		return false;
	l->least = least_size(&l->sizes, &l->hints, seg->stem);
	if (e != NULL && e->pos > l->least)
		l->least = e->pos;
	if (seg->size >= l->least || fstatat(l->buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	l->now = (uint64_t)st.st_size;
	return l->now < l->least;
}

/* Records which segments shrank, or are as long as before again. */
static void
note_shrunk(
    struct buffer *buf, const struct segment *list, size_t n, const struct positions *edited)
{
	struct lengths l;

	load_lengths(&l, buf, edited);
	for (size_t i = 0; i < n; i++) {
		bool shorter = is_shorter(&l, &list[i]);
		const struct known_size *k = shorter || (l.sizes.nshrunk && !list[i].gz)
		    ? find_size(&l.sizes, list[i].stem)
		    : NULL;

		if (shorter && (k == NULL || k->left != l.now))
			note_size(buf, list[i].stem, l.least, l.now);
		else if (!shorter && k != NULL && k->left != NOT_SHRUNK)
			note_size(buf, list[i].stem, k->size, NOT_SHRUNK);
	}
	free_sizes(&l.sizes);
}

static const struct segment *
find_listed(const struct segment *list, size_t n, const char *stem)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].stem, stem) == 0)
			return &list[i];
	return NULL;
}

size_t
manifest_list_shrunk(
    struct buffer *buf, const struct segment *list, size_t n, struct manifest_shrunk **shrunk)
{
	struct lengths l;
	struct manifest_shrunk *out;
	size_t count = 0;

	load_lengths(&l, buf, NULL);
	*shrunk = out = mem_alloc((n + l.sizes.nshrunk + 1) * sizeof(*out));
	for (size_t i = 0; i < n; i++)
		if (is_shorter(&l, &list[i])) {
			snprintf(out[count].stem, sizeof(out->stem), "%s", list[i].stem);
			out[count].from = l.least;
			out[count++].to = l.now;
		}
	/* those that were delivered or compressed since */
	for (size_t i = 0; l.sizes.nshrunk && i < l.sizes.n; i++) {
		const struct known_size *k = &l.sizes.known[i];
		const struct segment *seg =
		    k->left != NOT_SHRUNK ? find_listed(list, n, k->stem) : NULL;

		if (k->left == NOT_SHRUNK || (seg != NULL && !seg->gz && !seg->ignored) ||
		    find_state(buf, k->stem, "+x!") == 'x')
			continue;
		snprintf(out[count].stem, sizeof(out->stem), "%s", k->stem);
		out[count].from = k->size;
		out[count++].to = k->left;
	}
	free_sizes(&l.sizes);
	return count;
}

int
manifest_mark_removed(struct buffer *buf, const char **stems, size_t n, struct err *err)
{
	struct sizes sizes = {0};
	size_t shrunk = 0;
	int r;

	if (n)
		load_sizes(buf, &sizes);
	for (size_t i = 0; sizes.nshrunk && i < n; i++)
		if (is_recorded_as_shrunk(&sizes, stems[i])) {
			const char *stem = stems[i];

			stems[i] = stems[shrunk];
			stems[shrunk++] = stem;
		}
	free_sizes(&sizes);
	r = write_states(buf, stems, shrunk, "+!", "!");
	if (r == 0)
		r = write_states(buf, stems + shrunk, n - shrunk, "+!", "x");
	return r == 0 ? 0 : err_sys(err, STATUS_UNSAFE, "write '%s/.roster'", buf->dir);
}

void
manifest_clear(struct buffer *buf)
{
	int fd;

	if (find_state(buf, NULL, "+!") || (fd = io_open_own(buf->fd, ".roster", O_WRONLY)) == -1)
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

static size_t
list_missing(struct buffer *buf, const struct segment *list, size_t n, char ***stems)
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

size_t
manifest_list_vanished(struct buffer *buf, const struct segment *list, size_t n, char ***stems)
{
	struct sizes sizes;
	char **missing;
	size_t count = list_missing(buf, list, n, &missing), kept = 0;

	if (count)
		load_sizes(buf, &sizes);
	for (size_t i = 0; i < count; i++)
		if (is_recorded_as_shrunk(&sizes, missing[i]))
			free(missing[i]);
		else
			missing[kept++] = missing[i];
	if (count)
		free_sizes(&sizes);
	if (stems != NULL) {
		*stems = missing;
		return kept;
	}
	for (size_t i = 0; i < kept; i++)
		free(missing[i]);
	free(missing);
	return kept;
}

int
manifest_forget_vanished(struct buffer *buf, struct err *err)
{
	struct segment *list;
	const char **stems;
	char **gone;
	size_t n, count;
	int r;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	count = list_missing(buf, list, n, &gone);
	stems = mem_alloc((count + 1) * sizeof(*stems));
	for (size_t i = 0; i < count; i++)
		stems[i] = gone[i];
	r = write_states(buf, stems, count, "+!=", FORGOTTEN);
	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "write '%s/.roster'", buf->dir);
	while (count)
		free(gone[--count]);
	free(gone);
	free(stems);
	free(list);
	if (r == 0 && segment_any(buf->fd) == 0)
		manifest_clear(buf);
	return r;
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
	manifest_add(buf, name, 0);
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
		manifest_add(buf, s->stem, 0);
	return manifest_mark_removed(buf, &(const char *){stem}, 1, err);
}

/* Returns the stem before which no segment of the chain has an undelivered line; NULL: none. */
static const char *
find_lowest_position(const struct checkpoint *cp)
{
	const char *lowest = cp->positions.chain.stem;

	for (size_t i = 0; lowest != NULL && i < cp->nlagging; i++) {
		const char *stem = cp->lagging[i]->positions.chain.stem;

		if (stem != NULL && strcmp(stem, lowest) < 0)
			lowest = stem;
	}
	return lowest;
}

/* The stems that the manifest has in any state, sorted. */
struct known_stems {
	char **stems;
	size_t n;
	const char *oldest; /* of the chain; NULL: none */
};

static void
load_known_stems(struct buffer *buf, struct known_stems *k)
{
	struct manifest m;

	*k = (struct known_stems){0};
	open_manifest(&m, buf);
	while (next_manifest_line(&m)) {
		if ((k->n & (k->n - 1)) == 0) /* 0 or a power of two: the array is full */
			k->stems = mem_realloc(k->stems, (k->n ? 2 * k->n : 1) * sizeof(*k->stems));
		k->stems[k->n++] = mem_strdup(m.stem);
	}
	if (k->n)
		qsort(k->stems, k->n, sizeof(*k->stems), compare_stems);
	for (size_t i = 0; i < k->n && k->oldest == NULL; i++)
		if (segment_is_chain(k->stems[i]))
			k->oldest = k->stems[i];
}

static void
free_known_stems(struct known_stems *k)
{
	while (k->n)
		free(k->stems[--k->n]);
	free(k->stems);
}

/* True for a segment of the chain before its position. A segment that was passed whole, without a
 * size (a discard does that), does not come back by itself. */
static bool
is_passed(const struct segment *s, const struct checkpoint *cp)
{
	const struct position *at = &cp->positions.chain;
	int cmp = at->stem != NULL ? strcmp(s->stem, at->stem) : 1;

	return s->kind == SEGMENT_CHAIN && !s->ignored &&
	    (cmp < 0 || (cmp == 0 && at->pos == UINT64_MAX));
}

/*
 * Renames segments of the chain before its position that the manifest does not know: a drain did
 * not see them. Where a type lags, the manifest has to know an older one: else it was lost itself.
 */
static int
separate_unknown(struct buffer *buf, const struct checkpoint *cp, const struct segment *list,
    size_t n, struct err *err)
{
	const char *lowest = find_lowest_position(cp);
	struct known_stems k;
	size_t i = 0;
	int r = 0;

	while (i < n && !is_passed(&list[i], cp))
		i++;
	if (i == n)
		return 0;
	load_known_stems(buf, &k);
	for (; r == 0 && i < n; i++) {
		const char *stem = list[i].stem;

		if (is_passed(&list[i], cp) &&
		    (k.n == 0 ||
		        bsearch(&stem, k.stems, k.n, sizeof(*k.stems), compare_stems) == NULL) &&
		    (cp->nlagging == 0 || strcmp(stem, lowest) < 0 ||
		        (k.oldest != NULL && strcmp(k.oldest, stem) < 0)))
			r = separate_returned(buf, &list[i], err);
	}
	free_known_stems(&k);
	return r;
}

int
manifest_reconcile(struct buffer *buf, const struct checkpoint *cp, struct err *err)
{
	struct segment *list;
	char **gone;
	size_t n, count, returned;
	int r = 0;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	note_shrunk(buf, list, n, &cp->edited);
	count = list_missing(buf, list, n, &gone);
	while (count) {
		write_states(buf, &(const char *){gone[--count]}, 1, "+!", "!");
		free(gone[count]);
	}
	free(gone);
	/* A drain passes what is ignored for now (a hard link): when that is a segment again, it
	 * came back. */
	for (size_t i = 0; i < n; i++)
		if (list[i].ignored && list[i].kind == SEGMENT_CHAIN)
			write_states(buf, &(const char *){list[i].stem}, 1, "+!", "!");
	returned = find_state(buf, NULL, "!") ? n : 0;
	for (size_t i = 0; r == 0 && i < returned; i++)
		if (manifest_is_returned(list[i].stem))
			r = finish_separation(buf, &list[i], err);
	for (size_t i = 0; r == 0 && i < returned; i++)
		if (list[i].kind == SEGMENT_CHAIN && !list[i].ignored &&
		    find_state(buf, list[i].stem, "+x!") == '!')
			r = separate_returned(buf, &list[i], err);
	if (r == 0)
		r = separate_unknown(buf, cp, list, n, err);
	free(list);
	return r;
}

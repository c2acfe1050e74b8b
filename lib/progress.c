#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "buf.h"
#include "progress.h"
#include "status.h"
#include "util.h"
#include "word.h"

#define HEAD 80			/* of a slot: one line of fixed length */
#define SLOT 65536u		/* the smallest slot */
#define SLOT_MAX (64u << 20)

/* --- marks ------------------------------------------------------------------- */

void
mark_set(struct mark *m, const char *stem, uint64_t pos, uint64_t limit)
{
	if (!m->stem || strcmp(m->stem, stem) != 0) {
		free(m->stem);
		m->stem = util_strdup(stem);
	}
	m->pos = pos;
	m->limit = limit;
}

void
mark_clear(struct mark *m)
{
	free(m->stem);
	memset(m, 0, sizeof *m);
}

int
mark_cmp(const struct mark *a, const char *stem, uint64_t pos)
{
	int r = a->stem ? strcmp(a->stem, stem) : -1;

	return r ? r : a->pos < pos ? -1 : a->pos > pos;
}

struct mark *
marks_find(struct marks *m, const char *stem)
{
	size_t i;

	for (i = 0; i < m->files; i++)
		if (strcmp(m->file[i].stem, stem) == 0)
			return &m->file[i];
	return NULL;
}

struct mark *
marks_get(struct marks *m, const char *stem)
{
	struct mark *k = marks_find(m, stem);

	if (k)
		return k;
	m->file = util_realloc(m->file, (m->files + 1) * sizeof *m->file);
	k = &m->file[m->files++];
	memset(k, 0, sizeof *k);
	k->stem = util_strdup(stem);
	return k;
}

void
marks_drop(struct marks *m, const char *stem)
{
	struct mark *k = marks_find(m, stem);

	if (!k)
		return;
	free(k->stem);
	*k = m->file[--m->files];
}

void
marks_clear(struct marks *m)
{
	size_t i;

	mark_clear(&m->chain);
	for (i = 0; i < m->files; i++)
		free(m->file[i].stem);
	free(m->file);
	memset(m, 0, sizeof *m);
}

void
marks_copy(struct marks *to, const struct marks *from)
{
	size_t i;

	memset(to, 0, sizeof *to);
	if (from->chain.stem)
		mark_set(&to->chain, from->chain.stem, from->chain.pos, 0);
	for (i = 0; i < from->files; i++)
		mark_set(marks_get(to, from->file[i].stem), from->file[i].stem, from->file[i].pos,
		    from->file[i].limit);
}

int
marks_none(const struct marks *m)
{
	return !m->chain.stem && m->files == 0;
}

/* --- lists ---------------------------------------------------------------------- */

static int
same(const char *s, const char *p, size_t n)
{
	return strlen(s) == n && memcmp(s, p, n) == 0;	/* p may hold NULs */
}

struct late *
progress_late(struct progress *p, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < p->lates; i++)
		if (same(p->late[i].type, type, n))
			return &p->late[i];
	return NULL;
}

struct late *
progress_add_late(struct progress *p, const char *type, size_t n)
{
	struct late *l = NULL;

	if (p->lates && same(p->late[p->lates - 1].type, type, n))
		return &p->late[p->lates - 1];	/* the lines of a state file stand together */
	if ((l = progress_late(p, type, n)))
		return l;
	p->late = util_realloc(p->late, (p->lates + 1) * sizeof *p->late);
	l = &p->late[p->lates++];
	memset(l, 0, sizeof *l);
	l->type = util_strndup(type, n);
	l->reason = util_strdup("");
	return l;
}

void
progress_drop_late(struct progress *p, struct late *l)
{
	free(l->type);
	free(l->reason);
	marks_clear(&l->at);
	*l = p->late[--p->lates];
}

struct sent *
intent_sent(struct intent *in, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < in->types; i++)
		if (same(in->sent[i].type, type, n))
			return &in->sent[i];
	return NULL;
}

void
intent_clear(struct intent *in)
{
	size_t i;

	marks_clear(&in->upto);
	for (i = 0; i < in->types; i++)
		free(in->sent[i].type);
	free(in->sent);
	memset(in, 0, sizeof *in);
}

static struct floor *
find_floor(const struct progress *p, const char *type, const char *id, size_t n)
{
	size_t i;

	for (i = 0; i < p->floors; i++)
		if (same(p->floor[i].id, id, n) && strcmp(p->floor[i].type, type) == 0)
			return &p->floor[i];
	return NULL;
}

static void
drop_floor(struct progress *p, struct floor *f)
{
	free(f->type);
	free(f->id);
	memmove(f, f + 1, (size_t)(p->floor + p->floors - (f + 1)) * sizeof *f);
	p->floors--;
}

void
progress_set_floor(struct progress *p, const char *type, const char *id, const char *entry)
{
	struct floor *f = find_floor(p, type, id, strlen(id));

	if (f)
		drop_floor(p, f);
	else if (p->floors == FLOORS)
		drop_floor(p, p->floor);
	p->floor = util_realloc(p->floor, (p->floors + 1) * sizeof *p->floor);
	f = &p->floor[p->floors++];
	f->type = util_strdup(type);
	f->id = util_strdup(id);
	snprintf(f->entry, sizeof f->entry, "%s", entry);
}

const char *
progress_floor(const struct progress *p, const char *type, const char *id, size_t n)
{
	const struct floor *f = find_floor(p, type, id, n);

	return f ? f->entry : NULL;
}

void
progress_drop_floors(struct progress *p)
{
	while (p->floors) {
		p->floors--;
		free(p->floor[p->floors].type);
		free(p->floor[p->floors].id);
	}
	free(p->floor);
	p->floor = NULL;
}

int
progress_is_done(const struct progress *p, const char *stem, uint64_t pos)
{
	size_t i;

	for (i = 0; i < p->dones; i++)
		if (p->done[i].pos == pos && strcmp(p->done[i].stem, stem) == 0)
			return 1;
	return 0;
}

void
progress_add_done(struct progress *p, const char *stem, uint64_t pos)
{
	if (progress_is_done(p, stem, pos))
		return;
	p->done = util_realloc(p->done, (p->dones + 1) * sizeof *p->done);
	p->done[p->dones].stem = util_strdup(stem);
	p->done[p->dones++].pos = pos;
}

struct broken *
progress_broken(struct progress *p, const char *stem)
{
	size_t i;

	for (i = 0; i < p->brokens; i++)
		if (strcmp(p->broken[i].stem, stem) == 0)
			return &p->broken[i];
	return NULL;
}

struct broken *
progress_add_broken(struct progress *p, const char *stem)
{
	struct broken *b = progress_broken(p, stem);

	if (!b) {
		p->broken = util_realloc(p->broken, (p->brokens + 1) * sizeof *p->broken);
		b = &p->broken[p->brokens++];
		b->stem = util_strdup(stem);
		b->lines = 0;
	}
	b->lines++;
	return b;
}

static int
passed(const struct marks *m, bool chain, const char *stem, uint64_t pos, int *has)
{
	const struct mark *k = chain ? &m->chain : marks_find((struct marks *)(uintptr_t)m, stem);

	*has = k && k->stem;
	return *has && (chain ? mark_cmp(k, stem, pos) > 0 : k->pos > pos);
}

int
progress_delivered(struct progress *p, const char *type, size_t n, bool chain, const char *stem, uint64_t pos)
{
	struct late *l = p->lates ? progress_late(p, type, n) : NULL;
	int has = 0, over = 0;

	if (l)
		over = passed(&l->at, chain, stem, pos, &has);
	if (!has)
		over = passed(&p->marks, chain, stem, pos, &has);
	return over || (p->dones && progress_is_done(p, stem, pos));
}

void
progress_forget(struct progress *p, const char *stem)
{
	struct broken *b = progress_broken(p, stem);
	size_t i;

	marks_drop(&p->marks, stem);
	for (i = 0; i < p->lates; i++)
		marks_drop(&p->late[i].at, stem);
	for (i = p->dones; i-- > 0; )
		if (strcmp(p->done[i].stem, stem) == 0) {
			free(p->done[i].stem);
			p->done[i] = p->done[--p->dones];
		}
	if (b) {
		free(b->stem);
		*b = p->broken[--p->brokens];
	}
}

void
progress_free(struct progress *p)
{
	while (p->lates)
		progress_drop_late(p, &p->late[0]);
	while (p->dones)
		free(p->done[--p->dones].stem);
	while (p->brokens)
		free(p->broken[--p->brokens].stem);
	progress_drop_floors(p);
	free(p->late);
	free(p->done);
	free(p->broken);
	marks_clear(&p->marks);
	intent_clear(&p->intent);
	memset(p, 0, sizeof *p);
}

/* --- text ------------------------------------------------------------------------- */

static void
put_word(struct buf *b, const char *s)
{
	buf_addc(b, ' ');
	word_put(b, s);
}

static void
put_mark(struct buf *b, const char *what, const char *type, const struct mark *m)
{
	if (!m->stem)
		return;
	buf_adds(b, what);
	if (type)
		put_word(b, type);
	put_word(b, m->stem);
	buf_addf(b, " %" PRIu64 " %" PRIu64 "\n", m->pos, m->limit);
}

static void
put_marks(struct buf *b, const char *chain, const char *file, const char *type, const struct marks *m)
{
	size_t i;

	put_mark(b, chain, type, &m->chain);
	for (i = 0; i < m->files; i++)
		put_mark(b, file, type, &m->file[i]);
}

static void
put_sent(struct buf *b, const char *what, const struct sent *s, size_t n)
{
	for (; n--; s++) {
		buf_adds(b, what);
		put_word(b, s->type);
		put_word(b, s->after);
		buf_addc(b, '\n');
	}
}

static void
put_intent(struct buf *b, const struct intent *in)
{
	if (!in->on)
		return;
	buf_adds(b, "going");
	put_word(b, in->run_id);
	buf_addf(b, " %" PRId64, in->client);
	put_word(b, in->addr);
	buf_addc(b, '\n');
	put_marks(b, "upto-chain", "upto", NULL, &in->upto);
	put_sent(b, "sent", in->sent, in->types);
}

/* Without what can be had again, or matters only to identities given twice, where there is no room. */
static void
put_all(struct buf *b, const struct progress *p, bool whole)
{
	size_t i;

	if (p->lost)
		buf_adds(b, "lost\n");
	buf_addf(b, "claims %" PRIu64 "\n", p->claims);
	put_marks(b, "chain", "file", NULL, &p->marks);
	for (i = 0; i < p->lates; i++) {
		buf_adds(b, "late");
		put_word(b, p->late[i].type);
		buf_addf(b, " %" PRId64, p->late[i].tried);
		put_word(b, whole || !*p->late[i].reason ? p->late[i].reason : "held");
		buf_addc(b, '\n');
		put_marks(b, "late-chain", "late-file", p->late[i].type, &p->late[i].at);
	}
	for (i = 0; i < p->dones; i++) {
		buf_adds(b, "done");
		put_word(b, p->done[i].stem);
		buf_addf(b, " %" PRIu64 "\n", p->done[i].pos);
	}
	for (i = 0; i < p->brokens; i++) {
		buf_adds(b, "broken");
		put_word(b, p->broken[i].stem);
		buf_addf(b, " %" PRIu64 "\n", p->broken[i].lines);
	}
	for (i = 0; whole && i < p->floors; i++) {
		buf_adds(b, "floor");
		put_word(b, p->floor[i].type);
		put_word(b, p->floor[i].entry);
		put_word(b, p->floor[i].id);
		buf_addc(b, '\n');
	}
	put_intent(b, &p->intent);
}

static uint64_t
number(char **line)
{
	return strtoull(word_take(line), NULL, 10);
}

static void
take_mark(struct mark *m, const char *stem, char **line)
{
	uint64_t pos = number(line), limit = number(line);

	mark_set(m, stem, pos, limit);
}

static void
take_late(struct progress *p, const char *what, char *line)
{
	const char *type = word_take(&line), *stem;
	struct late *l = progress_add_late(p, type, strlen(type));

	if (strcmp(what, "late") == 0) {
		l->tried = (int64_t)number(&line);
		free(l->reason);
		l->reason = util_strdup(word_take(&line));
		return;
	}
	stem = word_take(&line);
	take_mark(strcmp(what, "late-chain") == 0 ? &l->at.chain : marks_get(&l->at, stem), stem, &line);
}

static void
take_sent(struct sent **list, size_t *n, char *line)
{
	struct sent *s;

	*list = util_realloc(*list, (*n + 1) * sizeof **list);
	s = &(*list)[(*n)++];
	s->type = util_strdup(word_take(&line));
	snprintf(s->after, sizeof s->after, "%s", word_take(&line));
}

static void
take_floor(struct progress *p, char *line)
{
	const char *type = word_take(&line), *entry = word_take(&line), *id = word_take(&line);

	if (*id)
		progress_set_floor(p, type, id, entry);
}

static void
take_line(struct progress *p, char *line)
{
	const char *what = word_take(&line), *stem;
	struct intent *in = &p->intent;

	if (strcmp(what, "lost") == 0)
		p->lost = true;
	else if (strcmp(what, "claims") == 0)
		p->claims = number(&line);
	else if (strncmp(what, "late", 4) == 0)
		take_late(p, what, line);
	else if (strcmp(what, "sent") == 0)
		take_sent(&in->sent, &in->types, line);
	else if (strcmp(what, "floor") == 0)
		take_floor(p, line);
	else if (strcmp(what, "going") == 0) {
		in->on = true;
		snprintf(in->run_id, sizeof in->run_id, "%s", word_take(&line));
		in->client = (int64_t)number(&line);
		snprintf(in->addr, sizeof in->addr, "%s", word_take(&line));
	} else {
		stem = word_take(&line);
		if (strcmp(what, "chain") == 0)
			take_mark(&p->marks.chain, stem, &line);
		else if (strcmp(what, "file") == 0)
			take_mark(marks_get(&p->marks, stem), stem, &line);
		else if (strcmp(what, "upto-chain") == 0)
			take_mark(&in->upto.chain, stem, &line);
		else if (strcmp(what, "upto") == 0)
			take_mark(marks_get(&in->upto, stem), stem, &line);
		else if (strcmp(what, "done") == 0)
			progress_add_done(p, stem, number(&line));
		else if (strcmp(what, "broken") == 0) {
			progress_add_broken(p, stem)->lines = number(&line);
		}
	}
}

/* --- the file ------------------------------------------------------------------------ */

static int
parse_head(const char *head, uint64_t *seq, uint64_t *len, unsigned *crc)
{
	return sscanf(head, "eventbus-progress 1 seq %20" SCNu64 " len %10" SCNu64 " crc %8x", seq, len, crc)
	    == 3 ? 0 : -1;
}

static int
unreadable(struct spool *sp, int fd, struct fail *f)
{
	fail_errno(f, STATUS_UNSAFE, "read '%s/.progress'", spool_dir(sp));
	if (fd != -1)
		close(fd);
	return -1;
}

/* *fd is -1 when there is none, or something else by that name; *size is that of a slot, 0 when there are none. -1: there may be
 * one that cannot be looked at just now. */
static int
open_file(struct spool *sp, int flags, int *fd, off_t *size, struct fail *f)
{
	struct stat st;

	*size = 0;
	*fd = spool_state(sp, ".progress", flags);
	if (*fd == -1 && (errno == ENOENT || errno == EINVAL || errno == ELOOP || errno == ENXIO || errno == EISDIR))
		return 0;
	if (*fd == -1 || fstat(*fd, &st) == -1)
		return unreadable(sp, *fd, f);
	*size = st.st_size >= 2 * (off_t)SLOT ? st.st_size / 2 : 0;
	return 0;
}

/* The text of one slot when it is whole, a fresh string, else NULL; *seq is its number. -1: it cannot be read. */
static int
read_slot(int fd, off_t at, off_t size, char **text, uint64_t *seq)
{
	char head[HEAD + 1] = "";
	ssize_t got = pread(fd, head, HEAD, at);
	uint64_t len;
	unsigned crc;

	if (got != HEAD || parse_head(head, seq, &len, &crc) == -1 || len > (uint64_t)size - HEAD)
		return got == -1 ? -1 : 0;
	*text = util_alloc(len + 1);
	got = pread(fd, *text, len, at + HEAD);
	if (got == (ssize_t)len &&
	    crc32(crc32(0, (const unsigned char *)head + 20, 25), (unsigned char *)*text, (unsigned)len) == crc)
		return 0;
	free(*text);
	*text = NULL;
	return got == -1 ? -1 : 0;
}

/* No slot is whole: right in a file that was only prepared, else somebody took or tore it. Without .lock we never appended here. */
static bool
was_lost(struct spool *sp, int fd, off_t size)
{
	char head[HEAD];

	if (size && pread(fd, head, HEAD, 0) == HEAD && head[0] == '\n' && pread(fd, head, HEAD, size) == HEAD &&
	    head[0] == '\n')
		return false;
	return faccessat(spool_fd(sp), ".lock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
progress_load(struct spool *sp, struct progress *p, struct fail *f)
{
	uint64_t seq[2] = { 0, 0 };
	char *text[2] = { NULL, NULL }, *line, *end;
	off_t size;
	int fd, pick;

	memset(p, 0, sizeof *p);
	if (open_file(sp, O_RDONLY, &fd, &size, f) == -1)
		return -1;
	if (size && (read_slot(fd, 0, size, &text[0], &seq[0]) == -1 || read_slot(fd, size, size, &text[1], &seq[1]) == -1)) {
		free(text[0]);
		return unreadable(sp, fd, f);
	}
	if (!text[0] && !text[1])
		p->lost = was_lost(sp, fd, size);
	if (fd != -1)
		close(fd);
	pick = !text[0] || (text[1] && seq[1] > seq[0]);
	if (text[pick]) {
		p->seq = seq[pick];
		for (line = text[pick]; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			take_line(p, line);
		}
	}
	free(text[0]);
	free(text[1]);
	return 0;
}

/* head and text in one buffer, head first. */
static void
build_slot(struct buf *b, struct progress *p, bool whole)
{
	char head[HEAD + 1];
	int n;

	memset(head, ' ', HEAD);
	buf_add(b, head, HEAD);
	put_all(b, p, whole);
	n = snprintf(head, sizeof head, "eventbus-progress 1 seq %020" PRIu64 " len %010zu", p->seq, b->len - HEAD);
	snprintf(head + n, sizeof head - (size_t)n, " crc %08lx%*s", crc32(crc32(0, (unsigned char *)head + 20, 25),
	    (unsigned char *)b->p + HEAD, (unsigned)(b->len - HEAD)), HEAD - n - 14, "");
	head[HEAD - 1] = '\n';
	memcpy(b->p, head, HEAD);
}

/* Room for two slots of `size`, written and not only promised, with b in the slot of its number. */
static int
make_file(struct spool *sp, const struct buf *b, uint64_t seq, size_t size, struct fail *f)
{
	struct buf all = { 0 };
	int r;

	buf_reserve(&all, 2 * size);
	memset(all.p, '\n', 2 * size);
	all.len = 2 * size;
	if (b)
		memcpy(all.p + (seq % 2 ? size : 0), b->p, b->len);
	r = spool_put(sp, ".progress", all.p, all.len, f);
	buf_free(&all);
	return r;
}

int
progress_prepare(struct spool *sp, struct fail *f)
{
	off_t size;
	int fd;

	if (open_file(sp, O_RDONLY, &fd, &size, f) == -1)
		return -1;
	if (fd != -1)
		close(fd);
	return size ? 0 : make_file(sp, NULL, 0, SLOT, f);
}

static int
write_slot(struct spool *sp, int fd, const struct buf *b, off_t at, struct fail *f)
{
	if (pwrite(fd, b->p, b->len, at) == (ssize_t)b->len && fdatasync(fd) == 0)
		return 0;
	return fail_errno(f, STATUS_UNSAFE, "write '%s/.progress'", spool_dir(sp));
}

int
progress_store(struct spool *sp, struct progress *p, struct fail *f)
{
	struct buf b = { 0 };
	size_t want = SLOT;
	off_t size;
	int fd, r;

	if (open_file(sp, O_WRONLY, &fd, &size, f) == -1)
		return -1;
	p->seq++;
	build_slot(&b, p, true);
	if (size && b.len <= (size_t)size)
		r = write_slot(sp, fd, &b, p->seq % 2 ? size : 0, f);
	else if (b.len > SLOT_MAX)
		r = fail_set(f, STATUS_UNSAFE, "progress of buffer '%s' is larger than %u bytes", spool_dir(sp), SLOT_MAX);
	else {
		while (want < b.len)
			want *= 2;
		r = make_file(sp, &b, p->seq, want, f);
	}
	if (r == -1 && f->sys == ENOSPC && size) {	/* no room to grow: the marks come first */
		b.len = 0;
		build_slot(&b, p, false);
		if (b.len <= (size_t)size)
			r = write_slot(sp, fd, &b, p->seq % 2 ? size : 0, f);
	}
	if (fd != -1)
		close(fd);
	buf_free(&b);
	return r;
}

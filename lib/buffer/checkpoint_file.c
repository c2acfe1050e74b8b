/* The part of checkpoint.h that is the file: two slots, written in turn. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/token.h"
#include "buffer/checkpoint.h"

static void
put_word(struct bytes *b, const char *s)
{
	bytes_addc(b, ' ');
	token_add(b, s);
}

static void
put_mark(struct bytes *b, const char *what, const char *type, const struct position *m)
{
	if (m->stem == NULL)
		return;
	bytes_adds(b, what);
	if (type != NULL)
		put_word(b, type);
	put_word(b, m->stem);
	bytes_addf(b, " %" PRIu64 " %" PRIu64 "\n", m->pos, m->limit);
}

static void
put_marks(struct bytes *b, const char *chain, const char *file, const char *type,
    const struct positions *m)
{
	size_t i;

	put_mark(b, chain, type, &m->chain);
	for (i = 0; i < m->nfiles; i++)
		put_mark(b, file, type, &m->files[i]);
}

static void
put_sent(struct bytes *b, const char *what, const struct intent_type *s, size_t n)
{
	for (; n--; s++) {
		bytes_adds(b, what);
		put_word(b, s->type);
		put_word(b, s->after);
		bytes_addc(b, '\n');
	}
}

static void
put_intent(struct bytes *b, const struct intent *in)
{
	if (!in->active)
		return;
	bytes_adds(b, "going");
	put_word(b, in->run_id);
	bytes_addf(b, " %" PRId64, in->client);
	put_word(b, in->addr);
	bytes_addc(b, '\n');
	put_marks(b, "upto-chain", "upto", NULL, &in->upto);
	put_sent(b, "sent", in->sent, in->nsent);
}

/* Appends all lines; not whole: without what can be had again, or matters only to events that are
 * equal, where there is no room. */
static void
checkpoint_text_put(struct bytes *b, const struct checkpoint *p, bool whole)
{
	size_t i;

	if (p->lost)
		bytes_adds(b, "lost\n");
	bytes_addf(b, "claims %" PRIu64 "\n", p->adopted);
	put_marks(b, "chain", "file", NULL, &p->positions);
	for (i = 0; i < p->nlagging; i++) {
		bytes_adds(b, "late");
		put_word(b, p->lagging[i].type);
		bytes_addf(b, " %" PRId64, p->lagging[i].tried);
		put_word(b, whole || !*p->lagging[i].reason ? p->lagging[i].reason : "held");
		bytes_addc(b, '\n');
		put_marks(
		    b, "late-chain", "late-file", p->lagging[i].type, &p->lagging[i].positions);
	}
	for (i = 0; i < p->ndelivered; i++) {
		bytes_adds(b, "done");
		put_word(b, p->delivered[i].stem);
		bytes_addf(b, " %" PRIu64 "\n", p->delivered[i].pos);
	}
	for (i = 0; i < p->nbad; i++) {
		bytes_adds(b, "broken");
		put_word(b, p->bad[i].stem);
		bytes_addf(b, " %" PRIu64 "\n", p->bad[i].lines);
	}
	for (i = 0; whole && i < p->nmatched; i++) {
		bytes_adds(b, "spent");
		put_word(b, p->matched[i].type);
		put_word(b, p->matched[i].entry);
		bytes_addc(b, '\n');
	}
	put_intent(b, &p->intent);
}

static uint64_t
number(char **line)
{
	return strtoull(token_next(line), NULL, 10);
}

static void
take_mark(struct position *m, const char *stem, char **line)
{
	uint64_t pos = number(line), limit = number(line);

	position_set(m, stem, pos, limit);
}

static void
take_late(struct checkpoint *p, const char *what, char *line)
{
	const char *type = token_next(&line), *stem;
	struct lagging_type *l = checkpoint_add_lagging(p, type, strlen(type));

	if (strcmp(what, "late") == 0) {
		l->tried = (int64_t)number(&line);
		free(l->reason);
		l->reason = mem_strdup(token_next(&line));
		return;
	}
	stem = token_next(&line);
	take_mark(strcmp(what, "late-chain") == 0 ? &l->positions.chain
	                                          : positions_find_or_add(&l->positions, stem),
	    stem, &line);
}

static void
take_sent(struct intent_type **list, size_t *n, char *line)
{
	struct intent_type *s;

	*list = mem_realloc(*list, (*n + 1) * sizeof(**list));
	s = &(*list)[(*n)++];
	s->type = mem_strdup(token_next(&line));
	snprintf(s->after, sizeof(s->after), "%s", token_next(&line));
}

static void
take_spent(struct checkpoint *p, char *line)
{
	const char *type = token_next(&line), *entry = token_next(&line);

	if (*entry)
		checkpoint_add_matched(p, type, entry);
}

/* Takes one line, without its newline, which is cut up. What is not known is passed over. */
static void
checkpoint_text_take(struct checkpoint *p, char *line)
{
	const char *what = token_next(&line), *stem;
	struct intent *in = &p->intent;

	if (strcmp(what, "lost") == 0)
		p->lost = true;
	else if (strcmp(what, "claims") == 0)
		p->adopted = number(&line);
	else if (strncmp(what, "late", 4) == 0)
		take_late(p, what, line);
	else if (strcmp(what, "sent") == 0)
		take_sent(&in->sent, &in->nsent, line);
	else if (strcmp(what, "spent") == 0)
		take_spent(p, line);
	else if (strcmp(what, "going") == 0) {
		in->active = true;
		snprintf(in->run_id, sizeof(in->run_id), "%s", token_next(&line));
		in->client = (int64_t)number(&line);
		snprintf(in->addr, sizeof(in->addr), "%s", token_next(&line));
	} else {
		stem = token_next(&line);
		if (strcmp(what, "chain") == 0)
			take_mark(&p->positions.chain, stem, &line);
		else if (strcmp(what, "file") == 0)
			take_mark(positions_find_or_add(&p->positions, stem), stem, &line);
		else if (strcmp(what, "upto-chain") == 0)
			take_mark(&in->upto.chain, stem, &line);
		else if (strcmp(what, "upto") == 0)
			take_mark(positions_find_or_add(&in->upto, stem), stem, &line);
		else if (strcmp(what, "done") == 0)
			checkpoint_add_delivered(p, stem, number(&line));
		else if (strcmp(what, "broken") == 0) {
			checkpoint_add_bad(p, stem)->lines = number(&line);
		}
	}
}

#define HEAD 80     /* of a slot: one line of fixed length */
#define SLOT 65536u /* the smallest slot */
#define SLOT_MAX (64u << 20)

static int
parse_head(const char *head, uint64_t *seq, uint64_t *len, unsigned *crc)
{
	/* NOLINTNEXTLINE(cert-err34-c): what does not fit becomes what fails its crc */
	return sscanf(head, "eventbus-progress 1 seq %20" SCNu64 " len %10" SCNu64 " crc %8x", seq,
	           len, crc) == 3
	    ? 0
	    : -1;
}

static int
unreadable(struct buffer *buf, int fd, struct err *err)
{
	err_sys(err, STATUS_UNSAFE, "read '%s/.progress'", buffer_dir(buf));
	if (fd != -1)
		close(fd);
	return -1;
}

/* *fd is -1 when there is none, or something else by that name; *size is that of a slot, 0 when
 * there are none. -1: there may be one that cannot be looked at just now. */
static int
open_file(struct buffer *buf, int flags, int *fd, off_t *size, struct err *err)
{
	struct stat st;

	*size = 0;
	*fd = buffer_open_state(buf, ".progress", flags);
	if (*fd == -1 &&
	    (errno == ENOENT || errno == EINVAL || errno == ELOOP || errno == ENXIO ||
	        errno == EISDIR))
		return 0;
	if (*fd == -1 || fstat(*fd, &st) == -1)
		return unreadable(buf, *fd, err);
	*size = st.st_size >= 2 * (off_t)SLOT ? st.st_size / 2 : 0;
	return 0;
}

/* The text of one slot when it is whole, a fresh string, else NULL; *seq is its number. -1: it
 * cannot be read. */
static int
read_slot(int fd, off_t at, off_t size, char **text, uint64_t *seq)
{
	char head[HEAD + 1] = "";
	ssize_t got = pread(fd, head, HEAD, at);
	uint64_t len;
	unsigned crc;

	if (got != HEAD || parse_head(head, seq, &len, &crc) == -1 || len > (uint64_t)size - HEAD)
		return got == -1 ? -1 : 0;
	*text = mem_alloc(len + 1);
	got = pread(fd, *text, len, at + HEAD);
	if (got == (ssize_t)len &&
	    crc32(crc32(0, (const unsigned char *)head + 20, 25), (unsigned char *)*text,
	        (unsigned)len) == crc)
		return 0;
	free(*text);
	*text = NULL;
	return got == -1 ? -1 : 0;
}

/* No slot is whole: right in a file that was only prepared, else somebody took or tore it. Without
 * .lock we never appended here. */
static bool
was_lost(struct buffer *buf, int fd, off_t size)
{
	char head[HEAD];

	if (size && pread(fd, head, HEAD, 0) == HEAD && head[0] == '\n' &&
	    pread(fd, head, HEAD, size) == HEAD && head[0] == '\n')
		return false;
	return faccessat(buffer_fd(buf), ".lock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
checkpoint_load(struct buffer *buf, struct checkpoint *p, struct err *err)
{
	uint64_t seq[2] = {0, 0};
	char *text[2] = {NULL, NULL}, *line, *end;
	off_t size;
	int fd, pick;

	memset(p, 0, sizeof(*p));
	if (open_file(buf, O_RDONLY, &fd, &size, err) == -1)
		return -1;
	if (size &&
	    (read_slot(fd, 0, size, &text[0], &seq[0]) == -1 ||
	        read_slot(fd, size, size, &text[1], &seq[1]) == -1)) {
		free(text[0]);
		return unreadable(buf, fd, err);
	}
	if (text[0] == NULL && text[1] == NULL)
		p->lost = was_lost(buf, fd, size);
	if (fd != -1)
		close(fd);
	pick = text[0] == NULL || (text[1] != NULL && seq[1] > seq[0]);
	if (text[pick] != NULL) {
		p->seq = seq[pick];
		for (line = text[pick]; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			*end = '\0';
			checkpoint_text_take(p, line);
		}
	}
	free(text[0]);
	free(text[1]);
	return 0;
}

/* head and text in one buffer, head first. */
static void
build_slot(struct bytes *b, struct checkpoint *p, bool whole)
{
	char head[HEAD + 1];
	int n;

	memset(head, ' ', HEAD);
	bytes_add(b, head, HEAD);
	checkpoint_text_put(b, p, whole);
	n = snprintf(head, sizeof(head), "eventbus-progress 1 seq %020" PRIu64 " len %010zu",
	    p->seq, b->len - HEAD);
	snprintf(head + n, sizeof(head) - (size_t)n, " crc %08lx%*s",
	    crc32(crc32(0, (unsigned char *)head + 20, 25), (unsigned char *)b->p + HEAD,
	        (unsigned)(b->len - HEAD)),
	    HEAD - n - 14, "");
	head[HEAD - 1] = '\n';
	memcpy(b->p, head, HEAD);
}

/* Room for two slots of `size`, written and not only promised, with b in the slot of its number. */
static int
make_file(struct buffer *buf, const struct bytes *b, uint64_t seq, size_t size, struct err *err)
{
	struct bytes all = {0};
	int r;

	bytes_reserve(&all, 2 * size);
	memset(all.p, '\n', 2 * size);
	all.len = 2 * size;
	if (b != NULL)
		memcpy(all.p + (seq % 2 ? size : 0), b->p, b->len);
	r = buffer_write_state(buf, ".progress", all.p, all.len, err);
	bytes_free(&all);
	return r;
}

int
checkpoint_preallocate(struct buffer *buf, struct err *err)
{
	off_t size;
	int fd;

	if (open_file(buf, O_RDONLY, &fd, &size, err) == -1)
		return -1;
	if (fd != -1)
		close(fd);
	return size ? 0 : make_file(buf, NULL, 0, SLOT, err);
}

static int
write_slot(struct buffer *buf, int fd, const struct bytes *b, off_t at, struct err *err)
{
	if (pwrite(fd, b->p, b->len, at) == (ssize_t)b->len && fdatasync(fd) == 0)
		return 0;
	return err_sys(err, STATUS_UNSAFE, "write '%s/.progress'", buffer_dir(buf));
}

int
checkpoint_store(struct buffer *buf, struct checkpoint *p, struct err *err)
{
	struct bytes b = {0};
	size_t want = SLOT;
	off_t size;
	int fd, r;

	if (open_file(buf, O_WRONLY, &fd, &size, err) == -1)
		return -1;
	p->seq++;
	build_slot(&b, p, true);
	if (size && b.len <= (size_t)size)
		r = write_slot(buf, fd, &b, p->seq % 2 ? size : 0, err);
	else if (b.len > SLOT_MAX)
		r = err_set(err, STATUS_UNSAFE, "progress of buffer '%s' is larger than %u bytes",
		    buffer_dir(buf), SLOT_MAX);
	else {
		while (want < b.len)
			want *= 2;
		r = make_file(buf, &b, p->seq, want, err);
	}
	/* no room to grow: the marks come first */
	if (r == -1 && err->sys == ENOSPC && size) {
		b.len = 0;
		build_slot(&b, p, false);
		if (b.len <= (size_t)size)
			r = write_slot(buf, fd, &b, p->seq % 2 ? size : 0, err);
	}
	if (fd != -1)
		close(fd);
	bytes_free(&b);
	return r;
}

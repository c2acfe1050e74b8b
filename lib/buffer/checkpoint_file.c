/*
 * checkpoint_file: the file .progress, two slots written in turn. Declared in checkpoint.h.
 *
 * A slot is a header and lines of tokens (base/token.h). The first one of a line tells its kind.
 * Earlier names, kept for compatibility, are: "claims" the number of the last file adopted, "late"
 * a lagging type, "done" a delivered line, "broken" a bad segment, "going" the intent.
 */
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
append_word(struct bytes *b, const char *s)
{
	bytes_addc(b, ' ');
	token_add(b, s);
}

static void
append_position(struct bytes *b, const char *what, const char *type, const struct position *at)
{
	if (at->stem == NULL)
		return;
	bytes_adds(b, what);
	if (type != NULL)
		append_word(b, type);
	append_word(b, at->stem);
	bytes_addf(b, " %" PRIu64 " %" PRIu64 "\n", at->pos, at->limit);
}

static void
append_positions(struct bytes *b, const char *chain, const char *file, const char *type,
    const struct positions *at)
{
	append_position(b, chain, type, &at->chain);
	for (size_t i = 0; i < at->nfiles; i++)
		append_position(b, file, type, &at->files[i]);
}

static void
append_sent_types(struct bytes *b, const char *what, const struct intent_type *s, size_t n)
{
	for (; n--; s++) {
		bytes_adds(b, what);
		append_word(b, s->type);
		append_word(b, s->after);
		bytes_addc(b, '\n');
	}
}

static void
append_intent(struct bytes *b, const struct intent *in)
{
	if (!in->active)
		return;
	bytes_adds(b, "going");
	append_word(b, in->run_id);
	bytes_addf(b, " %" PRId64, in->client);
	append_word(b, in->addr);
	bytes_addc(b, '\n');
	append_positions(b, "upto-chain", "upto", NULL, &in->upto);
	append_sent_types(b, "sent", in->types, in->ntypes);
}

/* Appends all lines. Without `whole`, when space is short, it leaves out the reasons, which the
 * next attempt gives again. */
static void
append_checkpoint(struct bytes *b, const struct checkpoint *cp, bool whole)
{
	if (cp->lost)
		bytes_adds(b, "lost\n");
	bytes_addf(b, "claims %" PRIu64 "\n", cp->adopted);
	append_positions(b, "chain", "file", NULL, &cp->positions);
	for (size_t i = 0; i < cp->nlagging; i++) {
		bytes_adds(b, "late");
		append_word(b, cp->lagging[i].type);
		bytes_addf(b, " %" PRId64, cp->lagging[i].tried);
		append_word(b, whole || !*cp->lagging[i].reason ? cp->lagging[i].reason : "held");
		bytes_addc(b, '\n');
		append_positions(
		    b, "late-chain", "late-file", cp->lagging[i].type, &cp->lagging[i].positions);
	}
	for (size_t i = 0; i < cp->ndelivered; i++) {
		bytes_adds(b, "done");
		append_word(b, cp->delivered[i].stem);
		bytes_addf(b, " %" PRIu64 "\n", cp->delivered[i].pos);
	}
	for (size_t i = 0; i < cp->nbad; i++) {
		bytes_adds(b, "broken");
		append_word(b, cp->bad[i].stem);
		bytes_addf(b, " %" PRIu64 "\n", cp->bad[i].lines);
	}
	append_intent(b, &cp->intent);
}

static uint64_t
parse_number(char **line)
{
	return strtoull(token_next(line), NULL, 10);
}

static void
parse_position(struct position *at, const char *stem, char **line)
{
	uint64_t pos = parse_number(line), limit = parse_number(line);

	position_set(at, stem, pos, limit);
}

static void
parse_lagging_type(struct checkpoint *cp, const char *what, char *line)
{
	const char *type = token_next(&line), *stem;
	struct lagging_type *l = checkpoint_add_lagging(cp, type, strlen(type));

	if (strcmp(what, "late") == 0) {
		l->tried = (int64_t)parse_number(&line);
		free(l->reason);
		l->reason = mem_strdup(token_next(&line));
		return;
	}
	stem = token_next(&line);
	parse_position(strcmp(what, "late-chain") == 0 ? &l->positions.chain
	                                               : positions_find_or_add(&l->positions, stem),
	    stem, &line);
}

static void
parse_sent_type(struct intent_type **list, size_t *n, char *line)
{
	struct intent_type *s;

	*list = mem_realloc(*list, (*n + 1) * sizeof(**list));
	s = &(*list)[(*n)++];
	s->type = mem_strdup(token_next(&line));
	snprintf(s->after, sizeof(s->after), "%s", token_next(&line));
}

/* Parses one line, without its newline, in place. Ignores unknown kinds. */
static void
parse_checkpoint_line(struct checkpoint *cp, char *line)
{
	const char *what = token_next(&line), *stem;
	struct intent *in = &cp->intent;

	if (strcmp(what, "lost") == 0)
		cp->lost = true;
	else if (strcmp(what, "claims") == 0)
		cp->adopted = parse_number(&line);
	else if (strncmp(what, "late", 4) == 0)
		parse_lagging_type(cp, what, line);
	else if (strcmp(what, "sent") == 0)
		parse_sent_type(&in->types, &in->ntypes, line);
	else if (strcmp(what, "going") == 0) {
		in->active = true;
		snprintf(in->run_id, sizeof(in->run_id), "%s", token_next(&line));
		in->client = (int64_t)parse_number(&line);
		snprintf(in->addr, sizeof(in->addr), "%s", token_next(&line));
	} else {
		stem = token_next(&line);
		if (strcmp(what, "chain") == 0)
			parse_position(&cp->positions.chain, stem, &line);
		else if (strcmp(what, "file") == 0)
			parse_position(positions_find_or_add(&cp->positions, stem), stem, &line);
		else if (strcmp(what, "upto-chain") == 0)
			parse_position(&in->upto.chain, stem, &line);
		else if (strcmp(what, "upto") == 0)
			parse_position(positions_find_or_add(&in->upto, stem), stem, &line);
		else if (strcmp(what, "done") == 0)
			checkpoint_add_delivered(cp, stem, parse_number(&line));
		else if (strcmp(what, "broken") == 0) {
			checkpoint_count_bad_line(cp, stem)->lines = parse_number(&line);
		}
	}
}

#define SLOT_HEADER 80  /* bytes: one line of fixed length */
#define SLOT_MIN 65536u /* the smallest slot */
#define SLOT_MAX (64u << 20)

static int
parse_slot_header(const char *head, uint64_t *seq, uint64_t *len, unsigned *crc)
{
	/* NOLINTNEXTLINE(cert-err34-c): an overflow gives a number that fails the crc */
	return sscanf(head, "eventbus-progress 1 seq %20" SCNu64 " len %10" SCNu64 " crc %8x", seq,
	           len, crc) == 3
	    ? 0
	    : -1;
}

static int
fail_checkpoint_read(struct buffer *buf, int fd, struct err *err)
{
	err_sys(err, STATUS_UNSAFE, "read '%s/.progress'", buf->dir);
	if (fd != -1)
		close(fd);
	return -1;
}

/* *fd is -1 when there is no file, or not a regular one. *size is that of a slot, 0 without slots.
 * -1: the file cannot be opened now. */
static int
open_checkpoint_file(struct buffer *buf, int flags, int *fd, off_t *size, struct err *err)
{
	struct stat st;

	*size = 0;
	*fd = buffer_open_state(buf, ".progress", flags);
	if (*fd == -1 &&
	    (errno == ENOENT || errno == EINVAL || errno == ELOOP || errno == ENXIO ||
	        errno == EISDIR))
		return 0;
	if (*fd == -1 || fstat(*fd, &st) == -1)
		return fail_checkpoint_read(buf, *fd, err);
	*size = st.st_size >= 2 * (off_t)SLOT_MIN ? st.st_size / 2 : 0;
	return 0;
}

/* Reads one slot. *text: a fresh string, NULL when the slot is not valid. *seq: its sequence
 * number. -1: the file cannot be read. */
static int
read_checkpoint_slot(int fd, off_t at, off_t size, char **text, uint64_t *seq)
{
	char head[SLOT_HEADER + 1] = "";
	ssize_t got = pread(fd, head, SLOT_HEADER, at);
	uint64_t len;
	unsigned crc;

	if (got != SLOT_HEADER || parse_slot_header(head, seq, &len, &crc) == -1 ||
	    len > (uint64_t)size - SLOT_HEADER)
		return got == -1 ? -1 : 0;
	*text = mem_alloc(len + 1);
	got = pread(fd, *text, len, at + SLOT_HEADER);
	if (got == (ssize_t)len &&
	    crc32(crc32(0, (const unsigned char *)head + 20, 25), (unsigned char *)*text,
	        (unsigned)len) == crc)
		return 0;
	free(*text);
	*text = NULL;
	return got == -1 ? -1 : 0;
}

/* Called when no slot is valid. That is right in a preallocated file; else the checkpoint was lost,
 * unless nothing was ever appended (no .lock). */
static bool
is_checkpoint_lost(struct buffer *buf, int fd, off_t size)
{
	char head[SLOT_HEADER];

	if (size && pread(fd, head, SLOT_HEADER, 0) == SLOT_HEADER && head[0] == '\n' &&
	    pread(fd, head, SLOT_HEADER, size) == SLOT_HEADER && head[0] == '\n')
		return false;
	return faccessat(buf->fd, ".lock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int
checkpoint_load(struct buffer *buf, struct checkpoint *cp, struct err *err)
{
	uint64_t seq[2] = {0, 0};
	char *text[2] = {NULL, NULL}, *line, *end;
	off_t size;
	int fd, pick;

	memset(cp, 0, sizeof(*cp));
	if (open_checkpoint_file(buf, O_RDONLY, &fd, &size, err) == -1)
		return -1;
	if (size &&
	    (read_checkpoint_slot(fd, 0, size, &text[0], &seq[0]) == -1 ||
	        read_checkpoint_slot(fd, size, size, &text[1], &seq[1]) == -1)) {
		free(text[0]);
		return fail_checkpoint_read(buf, fd, err);
	}
	if (text[0] == NULL && text[1] == NULL)
		cp->lost = is_checkpoint_lost(buf, fd, size);
	if (fd != -1)
		close(fd);
	pick = text[0] == NULL || (text[1] != NULL && seq[1] > seq[0]);
	if (text[pick] != NULL) {
		cp->seq = seq[pick];
		for (line = text[pick]; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			*end = '\0';
			parse_checkpoint_line(cp, line);
		}
	}
	free(text[0]);
	free(text[1]);
	return 0;
}

/* Appends the header and the text of a slot. */
static void
build_checkpoint_slot(struct bytes *b, struct checkpoint *cp, bool whole)
{
	char head[SLOT_HEADER + 1];
	int n;

	memset(head, ' ', SLOT_HEADER);
	bytes_add(b, head, SLOT_HEADER);
	append_checkpoint(b, cp, whole);
	n = snprintf(head, sizeof(head), "eventbus-progress 1 seq %020" PRIu64 " len %010zu",
	    cp->seq, b->len - SLOT_HEADER);
	snprintf(head + n, sizeof(head) - (size_t)n, " crc %08lx%*s",
	    crc32(crc32(0, (unsigned char *)head + 20, 25), (unsigned char *)b->p + SLOT_HEADER,
	        (unsigned)(b->len - SLOT_HEADER)),
	    SLOT_HEADER - n - 14, "");
	head[SLOT_HEADER - 1] = '\n';
	memcpy(b->p, head, SLOT_HEADER);
}

/* Creates the file with two slots of `size` bytes, written and not only allocated, and b in the
 * slot of seq. */
static int
create_checkpoint_file(
    struct buffer *buf, const struct bytes *b, uint64_t seq, size_t size, struct err *err)
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

	if (open_checkpoint_file(buf, O_RDONLY, &fd, &size, err) == -1)
		return -1;
	if (fd != -1)
		close(fd);
	return size ? 0 : create_checkpoint_file(buf, NULL, 0, SLOT_MIN, err);
}

static int
write_checkpoint_slot(struct buffer *buf, int fd, const struct bytes *b, off_t at, struct err *err)
{
	if (pwrite(fd, b->p, b->len, at) == (ssize_t)b->len && fdatasync(fd) == 0)
		return 0;
	return err_sys(err, STATUS_UNSAFE, "write '%s/.progress'", buf->dir);
}

int
checkpoint_store(struct buffer *buf, struct checkpoint *cp, struct err *err)
{
	struct bytes b = {0};
	size_t want = SLOT_MIN;
	off_t size;
	int fd, r;

	if (open_checkpoint_file(buf, O_WRONLY, &fd, &size, err) == -1)
		return -1;
	cp->seq++;
	build_checkpoint_slot(&b, cp, true);
	if (size && b.len <= (size_t)size)
		r = write_checkpoint_slot(buf, fd, &b, cp->seq % 2 ? size : 0, err);
	else if (b.len > SLOT_MAX)
		r = err_set(err, STATUS_UNSAFE, "checkpoint of buffer '%s' exceeds %u bytes",
		    buf->dir, SLOT_MAX);
	else {
		while (want < b.len)
			want *= 2;
		r = create_checkpoint_file(buf, &b, cp->seq, want, err);
	}
	/* no space to grow: the positions matter most */
	if (r == -1 && err->sys == ENOSPC && size) {
		b.len = 0;
		build_checkpoint_slot(&b, cp, false);
		if (b.len <= (size_t)size)
			r = write_checkpoint_slot(buf, fd, &b, cp->seq % 2 ? size : 0, err);
	}
	if (fd != -1)
		close(fd);
	bytes_free(&b);
	return r;
}

/*
 * checkpoint_file: the file .progress, two slots of fixed size, written in turn, each with a
 * sequence number and a CRC. Declared in checkpoint.h.
 *
 * A slot is a header and lines of tokens (buffer/token.h). The first one of a line tells its kind.
 * Earlier names, kept for compatibility, are: "claims" the number of the last file adopted, "late"
 * a lagging type, "done" a delivered line, "broken" a bad segment, "going" the intent.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/checkpoint.h"
#include "buffer/segment.h"
#include "buffer/token.h"

/* Appends one line: its kind, then for each 'w' of `form` a token and for each 'n' a uint64_t. */
static void
append_line(struct bytes *b, const char *kind, const char *form, ...)
{
	va_list ap;

	va_start(ap, form);
	bytes_adds(b, kind);
	for (; *form; form++) {
		bytes_addc(b, ' ');
		if (*form == 'w')
			token_add(b, va_arg(ap, const char *));
		else
			bytes_addu(b, va_arg(ap, uint64_t));
	}
	va_end(ap);
	bytes_addc(b, '\n');
}

static void
append_position(struct bytes *b, const char *kind, const char *type, const struct position *at)
{
	if (at->stem == NULL)
		return;
	if (type != NULL)
		append_line(b, kind, "wwnnn", type, at->stem, at->pos, at->limit, at->mark);
	else
		append_line(b, kind, "wnnn", at->stem, at->pos, at->limit, at->mark);
}

static void
append_positions(struct bytes *b, const char *chain, const char *file, const char *type,
    const struct positions *at)
{
	append_position(b, chain, type, &at->chain);
	for (size_t i = 0; i < at->nfiles; i++)
		append_position(b, file, type, &at->files[i]);
}

/* Appends all lines. Without `whole`, when space is short, it leaves out the reasons, which the
 * next attempt gives again. */
static void
append_checkpoint(struct bytes *b, const struct checkpoint *cp, bool whole)
{
	const struct intent *in = &cp->intent;

	if (cp->lost)
		append_line(b, "lost", "");
	if (cp->home.inode)
		append_line(b, "home", "nnn", cp->home.inode, (uint64_t)cp->home.changed,
		    (uint64_t)cp->home.before);
	append_line(b, "claims", "n", cp->adopted);
	append_positions(b, "chain", "file", NULL, &cp->positions);
	for (size_t i = 0; i < cp->nlagging; i++) {
		const struct lagging_type *l = cp->lagging[i];

		append_line(b, "late", "wnw", l->type, (uint64_t)l->tried,
		    whole || !*l->reason ? l->reason : "held");
		append_positions(b, "late-chain", "late-file", l->type, &l->positions);
	}
	append_positions(b, "", "done", NULL, &cp->delivered);
	append_positions(b, "", "aside", NULL, &cp->aside);
	if (cp->aside_reason != NULL)
		append_line(b, "aside-reason", "w", cp->aside_reason);
	append_positions(b, "", "broken", NULL, &cp->bad);
	append_positions(b, "", "edited", NULL, &cp->edited);
	if (!in->active)
		return;
	append_line(b, "going", "wnw", in->run_id, (uint64_t)in->client, in->addr);
	append_positions(b, "upto-chain", "upto", NULL, &in->upto);
	for (size_t i = 0; i < in->ntypes; i++)
		append_line(b, "sent", "ww", in->types[i].type, in->types[i].after);
}

static uint64_t
parse_number(char **line)
{
	return strtoull(token_next(line), NULL, 10);
}

/* Parses STEM POS LIMIT MARK into the position of a file, or of the chain. */
static void
parse_position(struct positions *ps, bool chain, char **line)
{
	const char *stem = token_next(line);
	uint64_t pos = parse_number(line), limit = parse_number(line);

	positions_set(ps, chain, stem, pos, limit)->mark = parse_number(line);
}

static void
parse_lagging_type(struct checkpoint *cp, const char *kind, char *line)
{
	const char *type = token_next(&line);
	struct lagging_type *l = checkpoint_add_lagging(cp, type, strlen(type));

	if (strcmp(kind, "late") == 0) {
		l->tried = (int64_t)parse_number(&line);
		free(l->reason);
		l->reason = mem_strdup(token_next(&line));
	} else {
		parse_position(&l->positions, strcmp(kind, "late-chain") == 0, &line);
	}
}

/* Parses POS LIMIT MARK into one more position of a segment. */
static void
parse_line_place(struct positions *ps, const char *stem, char *line)
{
	struct position *p = positions_add(ps, stem, parse_number(&line));

	p->limit = parse_number(&line);
	p->mark = parse_number(&line);
}

static void
parse_home(struct checkpoint_home *home, char *line)
{
	home->inode = parse_number(&line);
	home->changed = (int64_t)parse_number(&line);
	home->before = (int64_t)parse_number(&line);
}

/* Parses one line, without its newline, in place. Ignores unknown kinds. */
static void
parse_checkpoint_line(struct checkpoint *cp, char *line)
{
	const char *kind = token_next(&line), *word;
	struct intent *in = &cp->intent;
	struct intent_type *s;

	if (strcmp(kind, "lost") == 0)
		cp->lost = true;
	else if (strcmp(kind, "home") == 0)
		parse_home(&cp->home, line);
	else if (strcmp(kind, "claims") == 0)
		cp->adopted = parse_number(&line);
	else if (strcmp(kind, "chain") == 0 || strcmp(kind, "file") == 0)
		parse_position(&cp->positions, *kind == 'c', &line);
	else if (strcmp(kind, "broken") == 0)
		parse_position(&cp->bad, false, &line);
	else if (strcmp(kind, "edited") == 0)
		parse_position(&cp->edited, false, &line);
	else if (strcmp(kind, "late") == 0 || strncmp(kind, "late-", 5) == 0)
		parse_lagging_type(cp, kind, line);
	else if (strcmp(kind, "upto-chain") == 0 || strcmp(kind, "upto") == 0)
		parse_position(&in->upto, kind[4] == '-', &line);
	else if (strcmp(kind, "sent") == 0) {
		in->types = mem_realloc(in->types, (in->ntypes + 1) * sizeof(*in->types));
		s = &in->types[in->ntypes++];
		s->type = mem_strdup(token_next(&line));
		snprintf(s->after, sizeof(s->after), "%s", token_next(&line));
	} else {
		word = token_next(&line);
		if (strcmp(kind, "done") == 0)
			parse_line_place(&cp->delivered, word, line);
		else if (strcmp(kind, "aside") == 0)
			parse_line_place(&cp->aside, word, line);
		else if (strcmp(kind, "aside-reason") == 0) {
			free(cp->aside_reason);
			cp->aside_reason = mem_strdup(word);
		} else if (strcmp(kind, "going") == 0) {
			in->active = true;
			snprintf(in->run_id, sizeof(in->run_id), "%s", word);
			in->client = (int64_t)parse_number(&line);
			snprintf(in->addr, sizeof(in->addr), "%s", token_next(&line));
		}
	}
}

#define SLOT_HEADER 80  /* bytes: one line of fixed length */
#define SLOT_MIN 65536u /* the smallest slot */
#define SLOT_MAX (64u << 20)

/* *fd is -1 when there is no file, or not a regular one. *size is that of a slot, 0 without slots.
 * -1: the file cannot be opened now. */
static int
open_checkpoint_file(struct buffer *buf, int flags, int *fd, off_t *size, struct err *err)
{
	struct stat st;

	*size = 0;
	*fd = io_open_own(buf->fd, ".progress", flags);
	if (*fd == -1 &&
	    (errno == ENOENT || errno == EINVAL || errno == ELOOP || errno == ENXIO ||
	        errno == EISDIR))
		return 0;
	if (*fd == -1 || fstat(*fd, &st) == -1) {
		err_sys(err, STATUS_UNSAFE, "read '%s/.progress'", buf->dir);
		io_close(*fd);
		return -1;
	}
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

	if (got != SLOT_HEADER)
		return got == -1 ? -1 : 0;
	/* NOLINTNEXTLINE(cert-err34-c): an overflow gives a number that fails the crc */
	if (sscanf(head, "eventbus-progress 1 seq %20" SCNu64 " len %10" SCNu64 " crc %8x", seq,
	        &len, &crc) != 3 ||
	    len > (uint64_t)size - SLOT_HEADER)
		return 0;
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

/* Called when no slot is valid: no drain has begun if there is no segment of ours. */
static bool
is_checkpoint_lost(struct buffer *buf)
{
	struct segment *list;
	struct err err;
	size_t n;
	bool lost = segment_list(buf->fd, &list, &n, &err) == -1;

	for (size_t i = 0; i < n; i++)
		lost |= list[i].kind != SEGMENT_PLAIN;
	free(list);
	return lost;
}

/* --- copies of the buffer ------------------------------------------------------------- */

static int64_t
nanoseconds(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns whether the checkpoint was stored beside this .replay. */
static bool
is_at_home(struct buffer *buf, const struct checkpoint_home *home)
{
	struct stat st, progress;
	int64_t changed;

	if (home->inode == 0 || fstat(buf->replay_fd, &st) == -1)
		return home->inode == 0;
	changed = nanoseconds(st.st_ctim);
	/* `before`: a power cut took the session's change of .replay, which is not synced, and left
	 * its checkpoint */
	if (st.st_ino != home->inode || changed == home->changed || changed == home->before)
		return st.st_ino == home->inode;
	/* a session was cut off before its first store */
	return nanoseconds(st.st_mtim) == home->changed &&
	    fstatat(buf->fd, ".progress", &progress, AT_SYMLINK_NOFOLLOW) == 0 &&
	    nanoseconds(progress.st_ctim) <= changed;
}

/* Changes .replay, and records that. Needs no free space. */
static void
record_home(struct checkpoint *cp, int replay_fd)
{
	struct checkpoint_home *home = &cp->home;
	int64_t known = cp->copied ? 0 : home->changed;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
	    {.tv_sec = (time_t)(known / 1000000000), .tv_nsec = (long)(known % 1000000000)}};
	struct stat st;

	if (replay_fd == -1 || home->current || fstat(replay_fd, &st) == -1)
		return;
	home->before = nanoseconds(st.st_ctim);
	if (futimens(replay_fd, times) == -1 || fstat(replay_fd, &st) == -1)
		return; /* the recorded ctime is still right */
	home->inode = st.st_ino;
	home->changed = nanoseconds(st.st_ctim);
	home->current = true;
}

/* --- loading and storing ---------------------------------------------------------------- */

int
checkpoint_load(struct buffer *buf, struct checkpoint *cp, struct err *err)
{
	uint64_t seq[2] = {0, 0};
	char *text[2] = {NULL, NULL}, *line, *end;
	off_t size;
	int fd, pick, r = 0;

	memset(cp, 0, sizeof(*cp));
	if (open_checkpoint_file(buf, O_RDONLY, &fd, &size, err) == -1)
		return -1;
	if (size &&
	    (read_checkpoint_slot(fd, 0, size, &text[0], &seq[0]) == -1 ||
	        read_checkpoint_slot(fd, size, size, &text[1], &seq[1]) == -1))
		r = err_sys(err, STATUS_UNSAFE, "read '%s/.progress'", buf->dir);
	else if (text[0] == NULL && text[1] == NULL)
		cp->lost = is_checkpoint_lost(buf);
	io_close(fd);
	pick = text[0] == NULL || (text[1] != NULL && seq[1] > seq[0]);
	if (r == 0 && text[pick] != NULL) {
		cp->seq = seq[pick];
		for (line = text[pick]; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			*end = '\0';
			parse_checkpoint_line(cp, line);
		}
	}
	free(text[0]);
	free(text[1]);
	if (buf->replay_fd != -1 && !is_at_home(buf, &cp->home))
		cp->lost = cp->copied = true;
	return r;
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
create_checkpoint_file(struct buffer *buf, const struct bytes *b, uint64_t seq, size_t size,
    bool replace, struct err *err)
{
	struct bytes all = {0};
	int r;

	bytes_reserve(&all, 2 * size);
	memset(all.p, '\n', 2 * size);
	all.len = 2 * size;
	memcpy(all.p + (seq % 2 ? size : 0), b->p, b->len);
	r = (replace ? buffer_write_state : buffer_create_state)(
	    buf, ".progress", all.p, all.len, err);
	bytes_free(&all);
	return r;
}

/* Returns 1 when .progress has slots, 0 when not, -1 with err. */
static int
has_checkpoint_file(struct buffer *buf, struct err *err)
{
	off_t size;
	int fd;

	if (open_checkpoint_file(buf, O_RDONLY, &fd, &size, err) == -1)
		return -1;
	io_close(fd);
	return size != 0;
}

int
checkpoint_preallocate(struct buffer *buf, int replay_fd, bool lost, struct err *err)
{
	struct checkpoint cp = {.seq = 1, .lost = lost};
	struct bytes b = {0};
	int has = has_checkpoint_file(buf, err), r;

	if (has != 0)
		return has == 1 ? 0 : -1;
	record_home(&cp, replay_fd);
	build_checkpoint_slot(&b, &cp, true);
	/* never over a file that a drain has made meanwhile */
	r = create_checkpoint_file(buf, &b, cp.seq, SLOT_MIN, false, err);
	if (r == -1 && err->sys == EEXIST) {
		has = has_checkpoint_file(buf, err);
		r = has == 0 ? create_checkpoint_file(buf, &b, cp.seq, SLOT_MIN, true, err)
		             : has - 1;
	}
	bytes_free(&b);
	return r == -1 ? -1 : 0;
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
	record_home(cp, buf->replay_fd);
	build_checkpoint_slot(&b, cp, true);
	if (size && b.len <= (size_t)size)
		r = write_checkpoint_slot(buf, fd, &b, cp->seq % 2 ? size : 0, err);
	else if (b.len > SLOT_MAX)
		r = err_set(err, STATUS_UNSAFE, "checkpoint of buffer '%s' exceeds %u bytes",
		    buf->dir, SLOT_MAX);
	else {
		while (want < b.len)
			want *= 2;
		r = create_checkpoint_file(buf, &b, cp->seq, want, true, err);
	}
	/* no space to grow: the positions matter most */
	if (r == -1 && err->sys == ENOSPC && size) {
		b.len = 0;
		build_checkpoint_slot(&b, cp, false);
		if (b.len <= (size_t)size)
			r = write_checkpoint_slot(buf, fd, &b, cp->seq % 2 ? size : 0, err);
	}
	io_close(fd);
	bytes_free(&b);
	return r;
}

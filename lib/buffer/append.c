#include "buffer/append.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"
#include "base/uuid.h"
#include "buffer/checkpoint.h"
#include "buffer/manifest.h"
#include "buffer/reader.h"
#include "buffer/segment.h"

/* One call of append_lines. */
struct appender {
	struct buffer *buf;
	const char *target;
	const struct append_limits *lim;
	const struct append_line *lines;
	size_t n;
	struct buffer_hints hints; /* while the writers' lock is held */
	/* the segment being written */
	struct segment seg;
	char name[SEGMENT_NAME], stem[SEGMENT_NAME]; /* its own */
	int fd;
	uint64_t size;
	bool fresh;
};

#define TRAILER_MAX 80 /* bytes that append_format adds to head and tail, at most */

void
append_format(struct bytes *out, const struct append_line *l, int64_t stamp)
{
	char when[CLOCK_SIZE], crc[8];
	size_t start = out->len;

	clock_format(stamp, when);
	bytes_add(out, l->head.p, l->head.n);
	bytes_adds(out, ",\"buffered_at\":\"");
	bytes_adds(out, when);
	bytes_addc(out, '"');
	bytes_add(out, l->tail.p, l->tail.n);
	num_put_hex8(crc, (uint32_t)crc32_z(0, (const Bytef *)out->p + start, out->len - start));
	bytes_adds(out, ",\"crc\":\"");
	bytes_add(out, crc, sizeof(crc));
	bytes_adds(out, "\"}\n");
}

static size_t
line_bytes(const struct append_line *l)
{
	return l->head.n + l->tail.n + TRAILER_MAX;
}

static int64_t
format_lines(struct bytes *out, const struct append_line *lines, size_t n, int64_t last)
{
	int64_t now = clock_now();
	size_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += line_bytes(&lines[i]);
	bytes_reserve(out, all);
	for (size_t i = 0; i < n; i++) {
		last = now > last ? now : last + 1;
		append_format(out, &lines[i], last);
	}
	return last;
}

/* --- limits --------------------------------------------------------------------- */

/* Refuses a line that a reader would refuse. */
static int
check_length(struct buffer *buf, const struct append_line *l, struct err *err)
{
	if (line_bytes(l) <= READER_LINE_MAX)
		return 0;
	return err_set(err, STATUS_UNSAFE, "buffer '%s': a line exceeds %" PRIu64 " bytes",
	    buf->dir, READER_LINE_MAX);
}

int
append_check_room(
    struct buffer *buf, const struct append_limits *lim, uint64_t more, struct err *err)
{
	struct segment *list;
	struct statvfs vfs;
	size_t n;

	if (lim->min_free && fstatvfs(buf->fd, &vfs) == 0 && vfs.f_blocks &&
	    (uint64_t)vfs.f_bavail * vfs.f_frsize < lim->min_free + more)
		return err_set(err, STATUS_UNSAFE,
		    "buffer '%s': fewer than %" PRIu64 " bytes would stay free (--min-free)",
		    buf->dir, lim->min_free);
	if (!lim->buffer_max)
		return 0;
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		more += list[i].size;
	free(list);
	if (more > lim->buffer_max)
		return err_set(err, STATUS_UNSAFE,
		    "buffer '%s' is full (--buffer-max %" PRIu64
		    " bytes): run ebreplay when Redis is back",
		    buf->dir, lim->buffer_max);
	return 0;
}

/* --- the last buffered_at of segments written without the lock --------------------------- */

/* Holds the highest such stamp, us. Later stamps must exceed it, whatever the clock. */
#define OWN_STAMP ".own-stamp"

static int64_t
read_own_stamp(struct buffer *buf)
{
	char *s = io_read_file(buf->fd, OWN_STAMP, 32, NULL);
	int64_t stamp = s != NULL ? strtoll(s, NULL, 10) : 0;

	free(s);
	return stamp;
}

static void
write_own_stamp(struct buffer *buf, int64_t stamp)
{
	char text[32];
	int fd = io_open_own(buf->fd, OWN_STAMP, O_WRONLY | O_CREAT), n;

	if (fd == -1)
		return;
	n = snprintf(text, sizeof(text), "%020" PRId64 "\n", stamp);
	if (pwrite(fd, text, (size_t)n, 0) == -1) {
		/* Needed only when the clock is set back. */
	}
	close(fd);
}

/* A stamp beyond CLOCK_LAST is damage and is ignored. */
static int64_t
later_stamp(int64_t a, int64_t b)
{
	a = a > CLOCK_LAST ? 0 : a;
	b = b > CLOCK_LAST ? 0 : b;
	return a > b ? a : b;
}

/* --- choosing and creating the segment ---------------------------------------------- */

/* Opens the segment that the hints name, when it is as they describe it, or longer: its writer died
 * before it updated them. Returns whether it did; else another has to be started. */
static bool
open_hinted_segment(struct appender *a, const char *boot)
{
	const struct buffer_hints *hints = &a->hints;
	struct stat st;

	snprintf(a->name, sizeof(a->name), "%s.jsonl", hints->stem);
	if (!hints->inode || strcmp(hints->boot, boot) != 0 ||
	    !segment_day_is_current(hints->stem, clock_now()) ||
	    segment_parse(a->name, a->stem, &a->seg) == -1)
		return false;
	a->fd =
	    openat(a->buf->fd, a->name, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (a->fd == -1)
		return false;
	if (fstat(a->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == geteuid() && st.st_ino == hints->inode &&
	    (uint64_t)st.st_size >= hints->size && (uint64_t)st.st_size < a->lim->segment_max) {
		a->size = (uint64_t)st.st_size;
		a->fresh = false;
		return true;
	}
	close(a->fd);
	a->fd = -1;
	return false;
}

/* Creates the files of a drain, which must not need free space. lost: see checkpoint_preallocate.
 */
static int
create_drain_files(struct buffer *buf, bool lost, struct err *err)
{
	int fd = io_open_own(buf->fd, ".replay", O_RDWR | O_CREAT), r;

	if (fd == -1)
		return err_sys(err, STATUS_UNSAFE, "create '%s/.replay'", buf->dir);
	r = checkpoint_preallocate(buf, fd, lost, err);
	close(fd);
	if (r == 0 && mkdirat(buf->fd, "quarantine", 0700) == -1 && errno != EEXIST)
		r = err_sys(err, STATUS_UNSAFE, "create '%s/quarantine'", buf->dir);
	return r;
}

/*
 * Chooses a stem above those in the hints, the directory and the checkpoint. A line before the
 * checkpoint's position counts as delivered; and after a power cut the hints, which are not synced,
 * may be lost and the clock may be behind. Returns whether there are segments, or -1 with err.
 * *lost: the checkpoint was lost.
 */
static int
choose_stem(
    struct buffer *buf, const struct buffer_hints *hints, char out[64], bool *lost, struct err *err)
{
	struct segment *list = NULL;
	struct checkpoint cp;
	const char *last = hints->stem, *passed;
	size_t n;
	int found = checkpoint_load(buf, &cp, err);

	if (found == 0)
		found = segment_list(buf->fd, &list, &n, err);
	if (found == 0) {
		passed = cp.positions.chain.stem;
		if (passed != NULL && strncmp(passed, last, 33) > 0)
			last = passed;
		for (size_t i = 0; i < n; i++) {
			found |= segment_may_hold(&list[i]);
			if ((list[i].kind == SEGMENT_CHAIN || list[i].kind == SEGMENT_OWN) &&
			    strncmp(list[i].stem, last, 33) > 0)
				last = list[i].stem;
		}
		segment_next_stem(last, clock_now(), out);
	}
	*lost = cp.lost;
	checkpoint_free(&cp);
	free(list);
	return found;
}

/* What precedes each new segment: its stem, the target, the files of a drain. */
static int
prepare_segment(struct buffer *buf, const char *target, struct buffer_hints *hints, char stem[64],
    struct err *err)
{
	bool lost;
	int has_segments = choose_stem(buf, hints, stem, &lost, err);

	if (has_segments == -1 || buffer_bind_target(buf, target, has_segments, err) == -1 ||
	    create_drain_files(buf, lost, err) == -1)
		return -1;
	/* an empty buffer forgets a clock that was ahead */
	hints->stamp = has_segments ? later_stamp(hints->stamp, read_own_stamp(buf)) : 0;
	return 0;
}

/* Records how long the segment is to which nothing is appended any more. It is synced first, so
 * that a power cut cannot make it shorter. */
static void
note_closed_segment(struct buffer *buf, const struct buffer_hints *hints, const char *boot)
{
	char name[SEGMENT_NAME];
	struct stat st;
	uint64_t size = strcmp(hints->boot, boot) == 0 ? hints->size : 0;
	int fd;

	snprintf(name, sizeof(name), "%s.jsonl", hints->stem);
	if (!*hints->stem || (fd = io_open_own(buf->fd, name, O_RDONLY)) == -1)
		return;
	if (fstat(fd, &st) == 0 && fdatasync(fd) == 0)
		manifest_note_size(
		    buf, hints->stem, size > (uint64_t)st.st_size ? size : (uint64_t)st.st_size);
	close(fd);
}

static int
create_segment(struct appender *a, const char *boot, struct err *err)
{
	struct buffer_hints *hints = &a->hints;
	char stem[64];
	struct stat st;

	if (prepare_segment(a->buf, a->target, hints, stem, err) == -1)
		return -1;
	note_closed_segment(a->buf, hints, boot);
	if (hints->stamp == 0)
		unlinkat(a->buf->fd, OWN_STAMP, 0);
	snprintf(a->name, sizeof(a->name), "%s.jsonl", stem);
	segment_parse(a->name, a->stem, &a->seg);
	a->fd = io_open_own(a->buf->fd, a->name, O_RDWR | O_APPEND | O_CREAT | O_EXCL);
	if (a->fd == -1 || fstat(a->fd, &st) == -1) {
		err_sys(err, STATUS_UNSAFE, "create '%s/%s'", a->buf->dir, a->name);
		io_close(a->fd);
		return -1;
	}
	if (buffer_sync(a->buf, err) == -1) {
		close(a->fd);
		unlinkat(a->buf->fd, a->name, 0);
		return -1;
	}
	memcpy(hints->stem, stem, sizeof(stem));
	hints->inode = st.st_ino;
	hints->size = 0;
	a->size = 0;
	a->fresh = true;
	return 0;
}

/* True when a writer died in the middle of a line, which then has to be ended as a bad line. */
static bool
has_torn_end(const struct appender *a)
{
	char c;

	return a->size > 0 && pread(a->fd, &c, 1, (off_t)a->size - 1) == 1 && c != '\n';
}

/* --- writing -------------------------------------------------------------------- */

/* Writes all of b, or truncates the segment to its former size. Under the writers' lock. */
static int
write_or_truncate(struct appender *a, const struct bytes *b, struct err *err)
{
	if (io_write_all(a->fd, b->p, b->len) == 0) {
		a->size += b->len;
		return 0;
	}
	err_sys(err, STATUS_UNSAFE, "write '%s/%s'", a->buf->dir, a->seg.name);
	if (ftruncate(a->fd, (off_t)a->size) == -1)
		err_sys(err, STATUS_UNSAFE, "write and truncate '%s/%s'", a->buf->dir, a->seg.name);
	return -1;
}

/* Writes the lines into the hinted segment, or with `fresh` into a new one. */
static int
write_lines(struct appender *a, bool fresh, struct err *err)
{
	struct buffer_hints *hints = &a->hints;
	char boot[40];
	struct bytes b = {0};
	struct err ignored;
	int r = -1;

	buffer_boot_id(boot);
	if (!fresh && open_hinted_segment(a, boot)) {
		if (buffer_bind_target(a->buf, a->target, true, err) == -1)
			goto out;
		hints->stamp = later_stamp(hints->stamp, read_own_stamp(a->buf));
	} else if (create_segment(a, boot, err) == -1)
		return -1;
	memcpy(hints->boot, boot, sizeof(boot));
	if (has_torn_end(a))
		bytes_addc(&b, '\n');
	hints->stamp = format_lines(&b, a->lines, a->n, hints->stamp);
	/* The generation grows before the write: buffer_fingerprint may change too early, never too
	 * late. */
	hints->generation++;
	if (buffer_write_hints(a->buf, hints, err) == -1 ||
	    (a->fresh && buffer_sync_hints(a->buf, err) == -1) ||
	    write_or_truncate(a, &b, err) == -1) {
		/* no later append uses this segment */
		if (a->fresh)
			unlinkat(a->buf->fd, a->seg.name, 0);
		hints->inode = 0;
		goto out;
	}
	if (a->fresh)
		manifest_add(a->buf, a->seg.stem, 0);
	hints->size = a->size;
	r = 0;
out:
	bytes_free(&b);
	/* On failure the next writer starts another segment. */
	buffer_write_hints(a->buf, hints, &ignored);
	if (r == -1)
		close(a->fd);
	return r;
}

/* --- a segment of its own, without the writers' lock ------------------------------------ */

#define OWN_CHUNK (1u << 20)

struct append_own {
	struct buffer *buf;
	char stem[64], tmp[64];
	int fd;
	int64_t stamp;      /* of the last line */
	uint64_t lines;     /* so far */
	uint64_t written;   /* bytes */
	struct bytes chunk; /* not yet written */
};

struct append_own *
append_own_open(struct buffer *buf, const char *target, struct err *err)
{
	struct append_own *own = mem_alloc(sizeof(*own));
	struct buffer_hints hints;

	own->buf = buf;
	own->fd = -1;
	buffer_read_hints(buf, &hints);
	if (prepare_segment(buf, target, &hints, own->stem, err) == -1)
		goto fail;
	own->stamp = hints.stamp;
	own->fd = io_create_unique(buf->fd, ".own-", own->tmp, sizeof(own->tmp));
	if (own->fd != -1)
		return own;
	err_sys(err, STATUS_UNSAFE, "create '%s/.own-*'", buf->dir);
fail:
	append_own_close(own);
	return NULL;
}

static int
write_own_chunk(struct append_own *own, struct err *err)
{
	if (io_write_all(own->fd, own->chunk.p, own->chunk.len) == -1)
		return err_sys(err, STATUS_UNSAFE, "write '%s/%s'", own->buf->dir, own->tmp);
	own->written += own->chunk.len;
	own->chunk.len = 0;
	return 0;
}

int
append_own_add(struct append_own *own, const struct append_line *line, struct err *err)
{
	if (check_length(own->buf, line, err) == -1)
		return -1;
	own->stamp = format_lines(&own->chunk, line, 1, own->stamp);
	own->lines++;
	return own->chunk.len < OWN_CHUNK ? 0 : write_own_chunk(own, err);
}

void
append_own_number(char out[APPEND_OWN_NUMBER])
{
	snprintf(out, APPEND_OWN_NUMBER, "%" PRId64 "%020" PRIu64, clock_now(), uuid_random_bits());
}

int
append_own_link(struct append_own *own, const char *number, struct err *err)
{
	struct buffer *buf = own->buf;
	char name[SEGMENT_NAME];
	int r;

	if (own->lines == 0)
		return 0;
	write_own_stamp(buf, own->stamp);
	snprintf(name, sizeof(name), "%s.own-%s.jsonl", own->stem, number);
	if (write_own_chunk(own, err) == -1)
		return -1;
	r = fdatasync(own->fd);
	if (close(own->fd) == -1)
		r = -1;
	own->fd = -1;
	if (r == -1 || io_rename_new(buf->fd, own->tmp, name) == -1)
		return err_sys(err, STATUS_UNSAFE, "write '%s/%s'", buf->dir, name);
	own->tmp[0] = '\0';
	name[strlen(name) - strlen(".jsonl")] = '\0';
	manifest_add(buf, name, own->written);
	return buffer_sync(buf, err);
}

void
append_own_close(struct append_own *own)
{
	if (own == NULL)
		return;
	io_close(own->fd);
	if (own->tmp[0] != '\0')
		unlinkat(own->buf->fd, own->tmp, 0);
	bytes_free(&own->chunk);
	free(own);
}

/* The hints do not get the stem: after its delivery it may be chosen again within the same second.
 * Time and random bits make the name unique. */
static int
write_own_segment(const struct appender *a, struct err *err)
{
	struct append_own *own = append_own_open(a->buf, a->target, err);
	char number[APPEND_OWN_NUMBER];
	int r = own != NULL ? 0 : -1;

	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = append_own_add(own, &a->lines[i], err);
	if (r == 0) {
		append_own_number(number);
		r = append_own_link(own, number, err);
	}
	append_own_close(own);
	return r;
}

/* --- durability ---------------------------------------------------------------------- */

/*
 * After a failed fdatasync(2) the kernel may have dropped the data and reports success next time.
 * The name of the segment records that, durably, before the lines are written to another.
 */
static int
mark_suspect(struct appender *a, struct err *err)
{
	static const char *const ends[] = {"", ".gz"}; /* it may have been compressed meanwhile */
	char from[SEGMENT_NAME + 8], to[SEGMENT_NAME];

	for (size_t i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s%s", a->seg.name, ends[i]);
		snprintf(to, sizeof(to), "%.200s.suspect.jsonl%s", a->seg.stem, ends[i]);
		if (renameat(a->buf->fd, from, a->buf->fd, to) == -1 && errno != ENOENT)
			return err_sys(err, STATUS_UNSAFE, "rename '%s/%s'", a->buf->dir, from);
	}
	if (strcmp(a->hints.stem, a->seg.stem) == 0) {
		a->hints.inode = 0;
		buffer_write_hints(a->buf, &a->hints, err);
	}
	return buffer_sync(a->buf, err);
}

static int
sync_segment(struct appender *a, struct err *err)
{
	int r = fdatasync(a->fd);

	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "fdatasync '%s/%s'", a->buf->dir, a->seg.name);
	if (close(a->fd) == -1 && r == 0)
		r = err_sys(err, STATUS_UNSAFE, "close '%s/%s'", a->buf->dir, a->seg.name);
	return r;
}

/* As line_tail writes a doubt of which nothing is known: the event is looked up in all of its
 * stream. */
#define UNKNOWN_DOUBT ",\"doubt\":{\"run_id\":\"\",\"client\":0,\"addr\":\"\",\"after\":\"0-0\"}"

/* Returns the lines, a fresh array, with a doubt where they have none: their segment was not yet
 * suspect, and a drain may have delivered and removed it. text: gets their tails. */
static struct append_line *
doubt_lines(const struct append_line *lines, size_t n, struct bytes *text)
{
	struct append_line *out = mem_alloc((n + 1) * sizeof(*out));
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		struct slice tail = lines[i].tail;

		out[i] = (struct append_line){lines[i].head, {NULL, text->len}};
		bytes_add(text, tail.p, tail.n);
		if (tail.n == 0 || memmem(tail.p, tail.n, "\"doubt\":", 8) == NULL)
			bytes_adds(text, UNKNOWN_DOUBT);
		out[i].tail.n = text->len - out[i].tail.n;
	}
	for (size_t i = 0; i < n; at += out[i++].tail.n)
		out[i].tail.p = text->p + at;
	return out;
}

/*
 * Marks the segment suspect and writes the lines to another. The writers' lock is held until those
 * are durable, so that a drain that finds a suspect line finds its copy too.
 */
static int
append_to_another(struct appender *a, struct err *err)
{
	struct append_line *lines;
	struct bytes text = {0};
	int r;

	if (buffer_lock(a->buf, a->lim->lock_ms, &a->hints, err) == -1)
		return -1;
	a->lines = lines = doubt_lines(a->lines, a->n, &text);
	r = mark_suspect(a, err);
	for (int tries = 0; r == 0; tries++) {
		if ((r = write_lines(a, true, err)) == -1 || (r = sync_segment(a, err)) == 0)
			break;
		r = mark_suspect(a, err);
		if (r == 0 && tries == 1)
			r = err_set(
			    err, STATUS_UNSAFE, "fdatasync in '%s' keeps failing", a->buf->dir);
	}
	buffer_unlock(a->buf);
	bytes_free(&text);
	free(lines);
	return r;
}

int
append_lines(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct append_line *lines, size_t n, struct err *err)
{
	struct appender a = {
	    .buf = buf, .target = target, .lim = lim, .lines = lines, .n = n, .fd = -1};
	uint64_t more = 0;
	int r = -1;

	for (size_t i = 0; i < n; i++) {
		if (check_length(buf, &lines[i], err) == -1)
			return -1;
		more += line_bytes(&lines[i]);
	}
	if (append_check_room(buf, lim, more, err) == -1)
		return -1;
	if (lim->lock_ms < 0)
		return write_own_segment(&a, err);
	/* A write that fails in one segment may succeed in a new one. */
	for (int tries = 0; r == -1 && tries < 2; tries++) {
		if (buffer_lock(buf, lim->lock_ms, &a.hints, err) == -1)
			return err->sys == EWOULDBLOCK ? write_own_segment(&a, err) : -1;
		r = write_lines(&a, tries > 0, err);
		buffer_unlock(buf);
		if (r == -1 && (a.fresh || err->status == STATUS_CONFIG))
			return -1;
	}
	/* The order is fixed: sync without the lock. */
	if (r == -1 || sync_segment(&a, err) == 0)
		return r;
	return append_to_another(&a, err);
}

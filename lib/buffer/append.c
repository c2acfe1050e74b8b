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
#include "base/num.h"
#include "base/status.h"
#include "buffer/checkpoint.h"
#include "buffer/manifest.h"
#include "buffer/reader.h"
#include "buffer/segment.h"

/* The segment being written. */
struct open_segment {
	struct segment seg;
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

static int64_t
format_lines(struct bytes *out, const struct append_line *lines, size_t n, int64_t last)
{
	int64_t now = clock_now();
	size_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += lines[i].head.n + lines[i].tail.n + TRAILER_MAX;
	bytes_reserve(out, all);
	for (size_t i = 0; i < n; i++) {
		last = now > last ? now : last + 1;
		append_format(out, &lines[i], last);
	}
	return last;
}

/* --- limits --------------------------------------------------------------------- */

/* Refuses lines that a reader would refuse. */
static int
check_lengths(struct buffer *buf, const struct append_line *lines, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (lines[i].head.n + lines[i].tail.n + TRAILER_MAX > READER_LINE_MAX)
			return err_set(err, STATUS_UNSAFE,
			    "buffer '%s': a line exceeds %" PRIu64 " bytes", buf->dir,
			    READER_LINE_MAX);
	return 0;
}

static int
check_limits(struct buffer *buf, const struct append_limits *lim, const struct append_line *lines,
    size_t count, struct err *err)
{
	struct segment *list;
	struct statvfs vfs;
	uint64_t more = 0, total;
	size_t n;

	if (!lim->min_free && !lim->buffer_max)
		return 0;
	for (size_t i = 0; i < count; i++)
		more += lines[i].head.n + lines[i].tail.n + TRAILER_MAX;
	total = more;

	if (lim->min_free && fstatvfs(buf->fd, &vfs) == 0 &&
	    (uint64_t)vfs.f_bavail * vfs.f_frsize < lim->min_free + more)
		return err_set(err, STATUS_UNSAFE,
		    "buffer '%s': fewer than %" PRIu64 " bytes would stay free (--min-free)",
		    buf->dir, lim->min_free);
	if (!lim->buffer_max)
		return 0;
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		total += list[i].size;
	free(list);
	if (total > lim->buffer_max)
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
	int fd = buffer_open_state(buf, OWN_STAMP, O_WRONLY | O_CREAT), n;

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

static void
read_boot_id(char out[40])
{
	char *s = io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, NULL);

	snprintf(out, 40, "%.36s", s != NULL ? s : "unknown");
	free(s);
}

/* Opens the segment that the hints name, when it is as they describe it, or longer: its writer died
 * before it updated them. 1, or 0 when another has to be started. */
static int
open_hinted_segment(struct buffer *buf, const struct append_limits *lim,
    const struct buffer_hints *hints, const char *boot, struct open_segment *file)
{
	struct stat st;
	char name[SEGMENT_NAME];

	if (!hints->inode || strcmp(hints->boot, boot) != 0 ||
	    !segment_day_is_current(hints->stem, clock_now()))
		return 0;
	snprintf(name, sizeof(name), "%s.jsonl", hints->stem);
	if (segment_parse(name, &file->seg) == -1)
		return 0;
	file->fd = openat(buf->fd, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (file->fd == -1)
		return 0;
	if (fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == geteuid() && st.st_ino == hints->inode &&
	    (uint64_t)st.st_size >= hints->size && (uint64_t)st.st_size < lim->segment_max) {
		file->size = (uint64_t)st.st_size;
		file->fresh = false;
		return 1;
	}
	close(file->fd);
	file->fd = -1;
	return 0;
}

/*
 * Chooses a stem above those in the hints, the directory and the checkpoint. A line before the
 * checkpoint's position counts as delivered; and after a power cut the hints, which are not synced,
 * may be lost and the clock may be behind.
 */
static int
choose_stem(struct buffer *buf, const struct buffer_hints *hints, char out[64], bool *has_segments,
    struct err *err)
{
	struct segment *list;
	struct checkpoint cp;
	const char *last = hints->stem, *passed;
	size_t n;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	if (checkpoint_load(buf, &cp, err) == -1) {
		free(list);
		return -1;
	}
	passed = cp.positions.chain.stem;
	if (passed != NULL && strncmp(passed, last, 33) > 0)
		last = passed;
	*has_segments = false;
	for (size_t i = 0; i < n; i++) {
		*has_segments |= !list[i].ignored;
		if ((list[i].kind == SEGMENT_CHAIN || list[i].kind == SEGMENT_OWN) &&
		    strncmp(list[i].stem, last, 33) > 0)
			last = list[i].stem;
	}
	segment_next_stem(last, clock_now(), out);
	checkpoint_free(&cp);
	free(list);
	return 0;
}

/* Creates the files of a drain, which must not need free space. */
static int
create_drain_files(struct buffer *buf, struct err *err)
{
	int fd = buffer_open_state(buf, ".replay", O_RDWR | O_CREAT);

	if (fd == -1)
		return err_sys(err, STATUS_UNSAFE, "create '%s/.replay'", buf->dir);
	close(fd);
	if (mkdirat(buf->fd, "quarantine", 0700) == -1 && errno != EEXIST)
		return err_sys(err, STATUS_UNSAFE, "create '%s/quarantine'", buf->dir);
	return checkpoint_preallocate(buf, err);
}

static int
create_segment(struct buffer *buf, const char *target, struct buffer_hints *hints,
    struct open_segment *file, struct err *err)
{
	char stem[64], name[SEGMENT_NAME];
	struct stat st;
	bool has_segments;

	if (choose_stem(buf, hints, stem, &has_segments, err) == -1 ||
	    buffer_bind_target(buf, target, has_segments, err) == -1 ||
	    create_drain_files(buf, err) == -1)
		return -1;
	if (!has_segments) { /* an empty buffer forgets a clock that was ahead */
		hints->stamp = 0;
		unlinkat(buf->fd, OWN_STAMP, 0);
	}
	snprintf(name, sizeof(name), "%s.jsonl", stem);
	segment_parse(name, &file->seg);
	file->fd = openat(
	    buf->fd, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd == -1 || fstat(file->fd, &st) == -1) {
		err_sys(err, STATUS_UNSAFE, "create '%s/%s'", buf->dir, name);
		if (file->fd != -1)
			close(file->fd);
		return -1;
	}
	if (buffer_sync(buf, err) == -1) {
		close(file->fd);
		unlinkat(buf->fd, name, 0);
		return -1;
	}
	memcpy(hints->stem, stem, sizeof(stem));
	hints->inode = st.st_ino;
	hints->size = 0;
	file->size = 0;
	file->fresh = true;
	return 0;
}

/* True when a writer died in the middle of a line, which then has to be ended as a bad line. */
static bool
has_torn_end(const struct open_segment *file)
{
	char c;

	return file->size > 0 && pread(file->fd, &c, 1, (off_t)file->size - 1) == 1 && c != '\n';
}

/* --- writing -------------------------------------------------------------------- */

/* Writes all of b, or truncates the segment to its former size. Under the writers' lock. */
static int
write_or_truncate(
    struct buffer *buf, struct open_segment *file, const struct bytes *b, struct err *err)
{
	if (io_write_all(file->fd, b->p, b->len) == 0) {
		file->size += b->len;
		return 0;
	}
	err_sys(err, STATUS_UNSAFE, "write '%s/%s'", buf->dir, file->seg.name);
	if (ftruncate(file->fd, (off_t)file->size) == -1)
		err_sys(err, STATUS_UNSAFE, "write and truncate '%s/%s'", buf->dir, file->seg.name);
	return -1;
}

/* After a failed write: unlinks a new segment; no later append uses this one. */
static void
abandon_segment(struct buffer *buf, struct buffer_hints *hints, struct open_segment *file)
{
	if (file->fresh)
		unlinkat(buf->fd, file->seg.name, 0);
	hints->inode = 0;
}

static int
write_lines(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct append_line *lines, size_t n, bool fresh, struct buffer_hints *hints,
    struct open_segment *file, struct err *err)
{
	char boot[40];
	struct bytes b = {0};
	struct err ignored;
	int r = -1;

	read_boot_id(boot);
	if (!fresh && open_hinted_segment(buf, lim, hints, boot, file)) {
		if (buffer_bind_target(buf, target, true, err) == -1)
			goto out;
	} else if (create_segment(buf, target, hints, file, err) == -1)
		return -1;
	memcpy(hints->boot, boot, sizeof(boot));
	if (has_torn_end(file))
		bytes_addc(&b, '\n');
	hints->stamp = format_lines(&b, lines, n, later_stamp(hints->stamp, read_own_stamp(buf)));
	/* The generation grows before the write: buffer_fingerprint may change too early, never too
	 * late. */
	hints->generation++;
	if (buffer_write_hints(buf, hints, err) == -1 ||
	    (file->fresh && buffer_sync_hints(buf, err) == -1) ||
	    write_or_truncate(buf, file, &b, err) == -1) {
		abandon_segment(buf, hints, file);
		goto out;
	}
	if (file->fresh)
		manifest_add(buf, file->seg.stem);
	hints->size = file->size;
	r = 0;
out:
	bytes_free(&b);
	/* On failure the next writer starts another segment. */
	buffer_write_hints(buf, hints, &ignored);
	if (r == -1)
		close(file->fd);
	return r;
}

/* --- a segment of its own, without the writers' lock ------------------------------------ */

static int
write_own_segment(struct buffer *buf, const char *target, const struct append_line *lines, size_t n,
    struct err *err)
{
	char stem[64], tmp[64], name[SEGMENT_NAME];
	struct buffer_hints hints;
	struct bytes b = {0};
	int64_t stamp;
	bool has_segments;
	int fd = -1, r = -1;

	buffer_read_hints(buf, &hints);
	snprintf(tmp, sizeof(tmp), ".own-%ld", (long)getpid());
	if (choose_stem(buf, &hints, stem, &has_segments, err) == -1 ||
	    buffer_bind_target(buf, target, has_segments, err) == -1 ||
	    create_drain_files(buf, err) == -1)
		return -1;
	stamp = format_lines(
	    &b, lines, n, has_segments ? later_stamp(hints.stamp, read_own_stamp(buf)) : 0);
	write_own_stamp(buf, stamp);
	/* The hints do not get this stem: after its delivery it may be chosen again within the same
	 * second. Stamp and process ID make the name unique. */
	snprintf(name, sizeof(name), "%s.own-%" PRId64 "%07ld.jsonl", stem, stamp, (long)getpid());
	unlinkat(buf->fd, tmp, 0);
	fd = buffer_open_state(buf, tmp, O_WRONLY | O_CREAT | O_EXCL);
	if (fd == -1 || io_write_all(fd, b.p, b.len) == -1 || fdatasync(fd) == -1 ||
	    close(fd) == -1) {
		err_sys(err, STATUS_UNSAFE, "write '%s/%s'", buf->dir, tmp);
		goto out;
	}
	if (renameat(buf->fd, tmp, buf->fd, name) == -1) {
		err_sys(err, STATUS_UNSAFE, "write '%s/%s'", buf->dir, name);
		goto out;
	}
	name[strlen(name) - strlen(".jsonl")] = '\0';
	manifest_add(buf, name);
	r = buffer_sync(buf, err);
out:
	if (r == -1)
		unlinkat(buf->fd, tmp, 0);
	bytes_free(&b);
	return r;
}

/* --- durability ---------------------------------------------------------------------- */

/*
 * After a failed fdatasync(2) the kernel may have dropped the data and reports success next time.
 * The name of the segment records that, durably, before the lines are written to another.
 */
static int
mark_suspect(struct buffer *buf, struct buffer_hints *hints, const struct open_segment *file,
    struct err *err)
{
	char name[SEGMENT_NAME];

	snprintf(name, sizeof(name), "%.200s.suspect.jsonl", file->seg.stem);
	if (renameat(buf->fd, file->seg.name, buf->fd, name) == -1 && errno != ENOENT)
		return err_sys(err, STATUS_UNSAFE, "rename '%s/%s'", buf->dir, file->seg.name);
	if (strcmp(hints->stem, file->seg.stem) == 0) {
		hints->inode = 0;
		buffer_write_hints(buf, hints, err);
	}
	return buffer_sync(buf, err);
}

static int
sync_segment(struct buffer *buf, struct open_segment *file, struct err *err)
{
	int r = fdatasync(file->fd);

	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "fdatasync '%s/%s'", buf->dir, file->seg.name);
	if (close(file->fd) == -1 && r == 0)
		r = err_sys(err, STATUS_UNSAFE, "close '%s/%s'", buf->dir, file->seg.name);
	return r;
}

/*
 * Marks the segment suspect and writes the lines to another. The writers' lock is held until those
 * are durable, so that a drain that finds a suspect line finds its copy too.
 */
static int
append_to_another(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct append_line *lines, size_t n, struct open_segment *file, struct err *err)
{
	struct buffer_hints hints;
	int tries, r;

	if (buffer_lock(buf, lim->lock_ms, &hints, err) == -1)
		return -1;
	r = mark_suspect(buf, &hints, file, err);
	for (tries = 0; r == 0; tries++) {
		if ((r = write_lines(buf, target, lim, lines, n, true, &hints, file, err)) == -1 ||
		    (r = sync_segment(buf, file, err)) == 0)
			break;
		r = mark_suspect(buf, &hints, file, err);
		if (r == 0 && tries == 1)
			r = err_set(
			    err, STATUS_UNSAFE, "fdatasync in '%s' keeps failing", buf->dir);
	}
	buffer_unlock(buf);
	return r;
}

int
append_lines(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct append_line *lines, size_t n, struct err *err)
{
	struct buffer_hints hints;
	struct open_segment file = {.fd = -1};
	int tries, r = -1;

	if (check_lengths(buf, lines, n, err) == -1 || check_limits(buf, lim, lines, n, err) == -1)
		return -1;
	/* A write that fails in one segment may succeed in a new one. */
	for (tries = 0; r == -1 && tries < 2; tries++) {
		if (buffer_lock(buf, lim->lock_ms, &hints, err) == -1)
			return err->sys == EWOULDBLOCK
			    ? write_own_segment(buf, target, lines, n, err)
			    : -1;
		r = write_lines(buf, target, lim, lines, n, tries > 0, &hints, &file, err);
		buffer_unlock(buf);
		if (r == -1 && (file.fresh || err->status == STATUS_CONFIG))
			return -1;
	}
	/* The order is fixed: sync without the lock. */
	if (r == -1 || sync_segment(buf, &file, err) == 0)
		return r;
	return append_to_another(buf, target, lim, lines, n, &file, err);
}

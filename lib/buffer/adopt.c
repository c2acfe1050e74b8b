#include "buffer/adopt.h"

#include <sys/stat.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/manifest.h"

#define NAME_KEPT 190 /* bytes of the old stem that stay in the new name */
#define REST_MS 60000 /* where the file system does not tell who has a file open */
#define EMPTY_PAUSE_MS \
	100 /* between the rename and the removal: who has found the file opens it \
	     */

#define NEW_NAME (SEGMENT_NAME + 32)

static void
format_adopted_name(const char *stem, uint64_t number, char out[NEW_NAME])
{
	/* A checksum replaces what does not fit of a long name, and keeps it unique. */
	if (strlen(stem) > NAME_KEPT)
		snprintf(out, NEW_NAME, "%.*s~%08lx.claimed-%06" PRIu64 ".jsonl", NAME_KEPT, stem,
		    crc32(0, (const unsigned char *)stem, (unsigned)strlen(stem)), number);
	else
		snprintf(out, NEW_NAME, "%s.claimed-%06" PRIu64 ".jsonl", stem, number);
}

static void
add_to_manifest(struct buffer *buf, char *name, uint64_t size)
{
	name[strlen(name) - strlen(".jsonl")] = '\0';
	manifest_add(buf, name, size);
}

static int
adopt_file(struct buffer *buf, const struct segment *seg, uint64_t number, struct err *err)
{
	char name[NEW_NAME];

	format_adopted_name(seg->stem, number, name);
	if (io_rename_new(buf->fd, seg->name, name) == -1)
		return errno == ENOENT || errno == EEXIST
		    ? 0
		    : err_sys(err, STATUS_UNSAFE, "adopt '%s/%s'", buf->dir, seg->name);
	add_to_manifest(buf, name, seg->size);
	return 1;
}

/* Returns how long ago, in ms, the file was written to or, with `any`, changed in any way. A time
 * to come counts as long ago. */
static int64_t
file_age_ms(const struct stat *st, bool any)
{
	const struct timespec *at = any ? &st->st_ctim : &st->st_mtim;
	int64_t age = clock_now() / 1000 - ((int64_t)at->tv_sec * 1000 + at->tv_nsec / 1000000);

	return age < 0 ? INT64_MAX : age;
}

/* The time in ms until an adopted file has settled. The rename and each write set its ctime. One of
 * which lines were delivered has settled before. */
static int64_t
remaining_settle_ms(struct buffer *buf, const struct checkpoint *cp, const struct segment *seg)
{
	struct stat st;
	int64_t age;

	if (seg->kind != SEGMENT_ADOPTED || seg->size == 0 ||
	    positions_find(&cp->positions, seg->stem) != NULL ||
	    fstatat(buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	age = file_age_ms(&st, true);
	return age >= ADOPT_SETTLE ? 0 : ADOPT_SETTLE - age;
}

/* None was adopted yet, or the number was lost: older files may stand in quarantine/. */
static void
begin_numbers(struct checkpoint *cp)
{
	if (!cp->adopted)
		cp->adopted = (uint64_t)(clock_now() / 1000000);
}

int
adopt_files(struct buffer *buf, struct checkpoint *cp, bool empty, int64_t *settle_ms,
    size_t *adopted, struct err *err)
{
	struct segment *list;
	size_t n;
	int r = 0, failed = 0;

	*adopted = 0;
	*settle_ms = 0;
	begin_numbers(cp);
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int64_t ms = remaining_settle_ms(buf, cp, &list[i]);

		if (ms > *settle_ms)
			*settle_ms = ms;
		if (list[i].kind != SEGMENT_PLAIN || list[i].ignored ||
		    (list[i].size == 0 && !empty))
			continue;
		r = adopt_file(buf, &list[i], ++cp->adopted, err);
		failed |= r == -1;
		if (r == 1) {
			++*adopted;
			*settle_ms = ADOPT_SETTLE;
		}
	}
	free(list);
	return *adopted && buffer_sync(buf, err) == -1 ? -1 : failed;
}

/* --- a file that is still open --------------------------------------------------------- */

/* A read lease is granted only while no process has the file open for writing. On NFS its refusal
 * says nothing. The signal of a lease that is broken must not end the process. */
bool
adopt_is_written(struct buffer *buf, const struct segment *seg)
{
	int fd = io_open_own(buf->fd, seg->name, O_RDONLY);
	struct statfs fs;
	struct stat st;
	bool written = true;

	if (fd == -1)
		return errno != ENOENT;
	fcntl(fd, F_SETSIG, SIGURG);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		written = false;
	} else if (errno != EAGAIN || (fstatfs(fd, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC)) {
		written = fstat(fd, &st) == -1 || file_age_ms(&st, false) < REST_MS;
	}
	close(fd);
	return written;
}

/* --- empty files ------------------------------------------------------------------------- */

/* Returns the time in ms until an empty file of this kind has rested; -1 for any other file. */
static int64_t
remaining_rest_ms(struct buffer *buf, const struct segment *seg, enum segment_kind kind)
{
	struct stat st;
	int64_t age;

	if (seg->kind != kind || seg->ignored ||
	    fstatat(buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1 || st.st_size > 0)
		return -1;
	age = file_age_ms(&st, false);
	return age >= ADOPT_SETTLE ? 0 : ADOPT_SETTLE - age;
}

static void
sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Returns the time in ms until all of them have rested; -1: there is none. */
static int64_t
find_empty_files(struct buffer *buf, struct err *err)
{
	struct segment *list;
	int64_t longest = -1, ms;
	size_t n;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (list[i].ignored || segment_may_hold(&list[i]))
			continue;
		ms = remaining_rest_ms(buf, &list[i], list[i].kind);
		longest = ms > longest ? ms : longest;
	}
	free(list);
	return longest;
}

/* Renames them: a process that has the name then makes another file. Returns how many, or -1. */
static int
adopt_empty_files(struct buffer *buf, struct checkpoint *cp, struct err *err)
{
	struct segment *list;
	size_t n;
	int r = 0, adopted = 0;

	begin_numbers(cp);
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (size_t i = 0; r != -1 && i < n; i++)
		if (remaining_rest_ms(buf, &list[i], SEGMENT_PLAIN) == 0) {
			r = adopt_file(buf, &list[i], ++cp->adopted, err);
			adopted += r == 1;
		}
	free(list);
	if (r == -1 || adopted == 0)
		return r == -1 ? -1 : 0;
	if (buffer_sync(buf, err) == -1 ||
	    checkpoint_preallocate(buf, buf->replay_fd, cp->lost, err) == -1 ||
	    checkpoint_store(buf, cp, err) == -1)
		return -1;
	return adopted;
}

static int
unlink_empty_files(struct buffer *buf, const struct checkpoint *cp, struct err *err)
{
	struct segment *list;
	const char **stems;
	size_t n, chosen = 0;
	int r;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	stems = mem_alloc((n + 1) * sizeof(*stems));
	for (size_t i = 0; i < n; i++)
		if (remaining_rest_ms(buf, &list[i], SEGMENT_ADOPTED) == 0 &&
		    positions_find(&cp->positions, list[i].stem) == NULL &&
		    !adopt_is_written(buf, &list[i]) &&
		    remaining_rest_ms(buf, &list[i], SEGMENT_ADOPTED) == 0) {
			list[chosen] = list[i];
			stems[chosen] = list[chosen].stem;
			chosen++;
		}
	r = manifest_mark_removed(buf, stems, chosen, err);
	for (size_t i = 0; r == 0 && i < chosen; i++)
		if (segment_unlink(buf->fd, &list[i]) == -1)
			r = err_sys(err, STATUS_UNSAFE, "remove '%s/%s'", buf->dir, list[i].name);
	if (r == 0 && chosen > 0)
		r = buffer_sync(buf, err);
	free(stems);
	free(list);
	return r;
}

int
adopt_remove_empty(struct buffer *buf, struct err *err)
{
	struct checkpoint cp = {0};
	int64_t rest_ms = find_empty_files(buf, err);
	int r;

	if (rest_ms == -1)
		return 0;
	sleep_ms(rest_ms);
	if (buffer_replay_lock(buf, err) == -1)
		return err->sys == EWOULDBLOCK ? 0 : -1;
	r = checkpoint_load(buf, &cp, err);
	if (r == 0)
		r = adopt_empty_files(buf, &cp, err);
	if (r > 0)
		sleep_ms(EMPTY_PAUSE_MS);
	if (r != -1)
		r = unlink_empty_files(buf, &cp, err);
	checkpoint_free(&cp);
	buffer_replay_unlock(buf);
	return r;
}

/* --- on the user's command --------------------------------------------------------------- */

/* Opens the directory of a file: the buffer when it has a file of this name, else as the path says.
 * *name: the last part of the path. */
static int
open_directory_of(struct buffer *buf, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	char *dir;
	int fd;

	*name = slash != NULL ? slash + 1 : path;
	if (slash == NULL && fstatat(buf->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return fcntl(buf->fd, F_DUPFD_CLOEXEC, 3);
	dir = slash != NULL ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return fd;
}

/* Returns why the file cannot be adopted, or NULL. */
static const char *
refuse_file(struct buffer *buf, int dirfd, const char *name)
{
	char copy[SEGMENT_NAME], stem[SEGMENT_NAME];
	struct stat st, here, there;
	struct segment seg;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	if (st.st_uid != geteuid())
		return "it belongs to another user";
	if (strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0)
		return "it is compressed";
	snprintf(copy, sizeof(copy), "%s", name);
	if (fstat(buf->fd, &here) == 0 && fstat(dirfd, &there) == 0 &&
	    here.st_ino == there.st_ino && here.st_dev == there.st_dev &&
	    (name[0] == '.' || (segment_parse(copy, stem, &seg) == 0 && seg.kind != SEGMENT_PLAIN)))
		return "it is a file of the buffer already";
	return NULL;
}

static int
move_named_file(struct buffer *buf, int dirfd, const char *name, uint64_t number, struct err *err)
{
	char stem[SEGMENT_NAME + 16], to[NEW_NAME];
	size_t n = strlen(name);

	if (n > 6 && strcmp(name + n - 6, ".jsonl") == 0)
		n -= 6;
	snprintf(stem, sizeof(stem), "%s%.*s", strncmp(name, "buffer_", 7) == 0 ? "" : "buffer_",
	    (int)n, name);
	format_adopted_name(stem, number, to);
	if (faccessat(buf->fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EEXIST;
	else if (renameat(dirfd, name, buf->fd, to) == 0) {
		add_to_manifest(buf, to, 0);
		return io_sync_dir(dirfd) == 0 ? buffer_sync(buf, err)
		                               : err_sys(err, STATUS_UNSAFE, "fsync the directory");
	}
	if (errno == EXDEV)
		return err_set(err, STATUS_USAGE,
		    "'%s' is on another file system than buffer '%s': copy it there first", name,
		    buf->dir);
	return err_sys(err, STATUS_UNSAFE, "adopt '%s'", name);
}

int
adopt_named_file(struct buffer *buf, const char *path, struct err *err)
{
	struct checkpoint cp = {0};
	const char *name, *why;
	int dirfd = open_directory_of(buf, path, &name), r;

	why = dirfd == -1 ? strerror(errno) : refuse_file(buf, dirfd, name);
	if (why != NULL) {
		io_close(dirfd);
		return err_set(err, STATUS_USAGE, "'%s' cannot be adopted: %s", path, why);
	}
	/* the number first: it must not be used again */
	r = checkpoint_load(buf, &cp, err);
	begin_numbers(&cp);
	cp.adopted++;
	if (r == 0 && (r = checkpoint_preallocate(buf, buf->replay_fd, cp.lost, err)) == 0)
		r = checkpoint_store(buf, &cp, err);
	if (r == 0)
		r = move_named_file(buf, dirfd, name, cp.adopted, err);
	checkpoint_free(&cp);
	close(dirfd);
	return r;
}

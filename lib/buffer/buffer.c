#include "buffer/buffer.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/segment.h"

#define STALE_AGE 3600 /* seconds */
#define HINTS_SIZE 512 /* overwritten in place: at most one disk block */

/* --- opening ------------------------------------------------------------------ */

/* Root does not write to another user's buffer: the process becomes that user, for good. */
static int
become_owner(const struct stat *st, const char *dir, struct err *err)
{
	gid_t gid = st->st_gid;

	if (setgroups(1, &gid) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(st->st_uid, st->st_uid, st->st_uid) == -1)
		return err_sys(err, STATUS_UNSAFE, "change to uid %ld, the owner of buffer '%s'",
		    (long)st->st_uid, dir);
	return 0;
}

static int
check_directory(int fd, const char *dir, struct err *err)
{
	uid_t uid = geteuid();
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, STATUS_UNSAFE, "stat buffer '%s'", dir);
	if (st.st_mode & 022)
		return err_set(err, STATUS_CONFIG,
		    "buffer '%s' is writable by others (mode %04o): "
		    "run chmod go-w, or choose another with -b",
		    dir, (unsigned)st.st_mode & 07777);
	if (st.st_uid != uid && uid != 0)
		return err_set(err, STATUS_CONFIG,
		    "buffer '%s' belongs to uid %ld, not to uid %ld: give another with -b", dir,
		    (long)st.st_uid, (long)uid);
	if (st.st_uid != uid && become_owner(&st, dir, err) == -1)
		return -1;
	if (st.st_uid == 0 || (st.st_mode & 0500) == 0500)
		return 0;
	errno = EACCES; /* opened as root, or not searchable */
	return err_sys(err, STATUS_UNSAFE, "open buffer '%s'", dir);
}

static int
open_buffer_dir(const char *dir, bool create, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 && errno == ENOENT && create) {
		if (io_make_dirs(dir) == -1)
			return err_sys(err, STATUS_UNSAFE, "create buffer '%s'", dir);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd == -1)
		return err_sys(
		    err, errno == ENOTDIR ? STATUS_CONFIG : STATUS_UNSAFE, "open buffer '%s'", dir);
	if (check_directory(fd, dir, err) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

struct buffer *
buffer_open(const char *dir, bool create, struct err *err)
{
	struct buffer *buf;
	int fd = open_buffer_dir(dir, create, err);

	if (fd == -1)
		return NULL;
	buf = mem_alloc(sizeof(*buf));
	buf->dir = mem_strdup(dir);
	buf->fd = fd;
	buf->lock_fd = buf->replay_fd = -1;
	return buf;
}

bool
buffer_may_hold(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct segment *list = NULL;
	struct err err;
	size_t n = 0;
	bool held;

	if (fd == -1)
		return errno != ENOENT && errno != ENOTDIR;
	held = segment_list(fd, &list, &n, &err) == -1 || n > 0;
	free(list);
	close(fd);
	return held;
}

void
buffer_close(struct buffer *buf)
{
	if (buf == NULL)
		return;
	io_close(buf->lock_fd);
	io_close(buf->replay_fd);
	close(buf->fd);
	free(buf->dir);
	free(buf);
}

const char *
buffer_warning(const struct buffer *buf)
{
	struct statfs fs;

	if (fstatfs(buf->fd, &fs) == -1)
		return NULL;
	switch ((unsigned long)fs.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
		return "is on a network file system, where appending is not atomic: use a local "
		       "disk";
	case TMPFS_MAGIC: return "is on tmpfs: its events are lost at a reboot";
	}
	return NULL;
}

/* --- state files ------------------------------------------------------------- */

int
buffer_sync(struct buffer *buf, struct err *err)
{
	return io_sync_dir(buf->fd) == 0
	    ? 0
	    : err_sys(err, STATUS_UNSAFE, "fsync buffer '%s'", buf->dir);
}

static int
write_state(
    struct buffer *buf, const char *name, const void *p, size_t n, bool replace, struct err *err)
{
	char prefix[64], tmp[96];
	bool done;
	int fd;

	snprintf(prefix, sizeof(prefix), "%s.", name);
	fd = io_create_unique(buf->fd, prefix, tmp, sizeof(tmp));
	done = fd != -1 && io_write_all(fd, p, n) == 0 && fsync(fd) == 0;
	if (fd != -1 && close(fd) == -1)
		done = false;
	/* where the kernel or the file system lacks RENAME_NOREPLACE, an existing file is replaced
	 */
	if (done && !replace && io_rename_new(buf->fd, tmp, name) == 0)
		return buffer_sync(buf, err);
	if (done && (replace || errno != EEXIST) && renameat(buf->fd, tmp, buf->fd, name) == 0)
		return buffer_sync(buf, err);
	err_sys(err, STATUS_UNSAFE, "%s '%s/%s'", fd == -1 ? "create" : "write", buf->dir,
	    fd == -1 ? name : tmp);
	if (fd != -1)
		unlinkat(buf->fd, tmp, 0);
	return -1;
}

int
buffer_write_state(struct buffer *buf, const char *name, const void *p, size_t n, struct err *err)
{
	return write_state(buf, name, p, n, true, err);
}

int
buffer_create_state(struct buffer *buf, const char *name, const void *p, size_t n, struct err *err)
{
	return write_state(buf, name, p, n, false, err);
}

/* --- locks --------------------------------------------------------------------- */

static void
parse_hints(int fd, struct buffer_hints *hints)
{
	char text[HINTS_SIZE + 1];
	ssize_t n = fd == -1 ? -1 : pread(fd, text, HINTS_SIZE, 0);

	memset(hints, 0, sizeof(*hints));
	if (n <= 0)
		return;
	text[n] = '\0';
	/* NOLINTNEXTLINE(cert-err34-c): wrong hints cost one look at the files */
	if (sscanf(text,
	        "generation %" SCNu64 " stamp %" SCNd64 " inode %" SCNu64 " size %" SCNu64
	        " boot %39s segment %63s",
	        &hints->generation, &hints->stamp, &hints->inode, &hints->size, hints->boot,
	        hints->stem) < 5)
		memset(hints, 0, sizeof(*hints));
}

/* For a lock that no other process holds: a file system without flock(2), or one that fails. */
static int
fail_lock(const struct buffer *buf, const char *name, struct err *err)
{
	err_sys(err, STATUS_UNSAFE,
	    "the file system cannot lock '%s/%s'; move the buffer to a local disk", buf->dir, name);
	err->sys = ENOLCK;
	return -1;
}

int
buffer_check_writable(struct buffer *buf, struct err *err)
{
	if (faccessat(buf->fd, ".", W_OK | X_OK, 0) == -1)
		return err_sys(err, STATUS_UNSAFE, "write to buffer '%s'", buf->dir);
	if (buf->lock_fd == -1)
		buf->lock_fd = io_open_own(buf->fd, ".lock", O_RDWR);
	if (buf->lock_fd == -1 && errno != ENOENT)
		return err_sys(err, STATUS_UNSAFE, "open '%s/.lock'", buf->dir);
	return 0;
}

int
buffer_check_locks(struct buffer *buf, struct err *err)
{
	static const char *const names[] = {".replay", ".progress", ".target"};
	bool replaceable;
	int fd;

	if (buffer_check_writable(buf, err) == -1)
		return -1;
	for (int i = 0; i < 3; i++) {
		fd = io_open_own(buf->fd, names[i], O_RDWR);
		/* a new file takes the place of a link, or of another user's file */
		replaceable = i > 0 && (errno == EINVAL || errno == ELOOP);
		if (fd == -1 && errno != ENOENT && !replaceable)
			return err_sys(err, STATUS_UNSAFE, "open '%s/%s'", buf->dir, names[i]);
		io_close(fd);
	}
	if (buf->lock_fd != -1 && flock(buf->lock_fd, LOCK_SH | LOCK_NB) == -1 &&
	    errno != EWOULDBLOCK)
		return fail_lock(buf, ".lock", err);
	if (buf->lock_fd != -1)
		buffer_unlock(buf);
	return 0;
}

static int
try_writers_lock(struct buffer *buf, int64_t ms, struct err *err)
{
	if (buf->lock_fd == -1 &&
	    (buf->lock_fd = io_open_own(buf->fd, ".lock", O_RDWR | O_CREAT)) == -1)
		return err_sys(err, STATUS_UNSAFE, "open '%s/.lock'", buf->dir);
	if (io_lock(buf->lock_fd, ms) == -1)
		return errno == EWOULDBLOCK
		    ? err_sys(err, STATUS_UNSAFE, "lock '%s/.lock'", buf->dir)
		    : fail_lock(buf, ".lock", err);
	if (io_is_open_as(buf->fd, ".lock", buf->lock_fd))
		return 0;
	close(buf->lock_fd);
	buf->lock_fd = -1;
	return 1; /* replaced since it was opened: try again */
}

/* True while the path still names the open directory. */
static bool
is_dir_unchanged(const struct buffer *buf)
{
	struct stat a, b;

	return fstat(buf->fd, &a) == 0 && stat(buf->dir, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;
}

int
buffer_lock(struct buffer *buf, int64_t ms, struct buffer_hints *hints, struct err *err)
{
	int tries, fd, r = 1;

	if (!is_dir_unchanged(buf)) {
		if ((fd = open_buffer_dir(buf->dir, true, err)) == -1)
			return -1;
		close(buf->fd);
		buf->fd = fd;
		io_close(buf->lock_fd);
		buf->lock_fd = -1;
	}
	for (tries = 0; r == 1 && tries < 8; tries++)
		r = try_writers_lock(buf, ms, err);
	if (r == 1)
		return err_set(
		    err, STATUS_UNSAFE, "lock '%s/.lock': the file keeps being replaced", buf->dir);
	if (r == 0)
		parse_hints(buf->lock_fd, hints);
	return r;
}

int
buffer_write_hints(struct buffer *buf, const struct buffer_hints *hints, struct err *err)
{
	char text[HINTS_SIZE];
	int n;

	memset(text, '\n', sizeof(text));
	n = snprintf(text, sizeof(text),
	    "generation %020" PRIu64 "\nstamp %020" PRId64 "\ninode %020" PRIu64
	    "\nsize %020" PRIu64 "\nboot %s\nsegment %s\n",
	    hints->generation, hints->stamp, hints->inode, hints->size,
	    hints->boot[0] ? hints->boot : "-", hints->stem);
	text[n] = '\n';
	if (pwrite(buf->lock_fd, text, sizeof(text), 0) != (ssize_t)sizeof(text))
		return err_sys(err, STATUS_UNSAFE, "write '%s/.lock'", buf->dir);
	return 0;
}

int
buffer_sync_hints(struct buffer *buf, struct err *err)
{
	return fdatasync(buf->lock_fd) == 0
	    ? 0
	    : err_sys(err, STATUS_UNSAFE, "fdatasync '%s/.lock'", buf->dir);
}

void
buffer_unlock(struct buffer *buf)
{
	flock(buf->lock_fd, LOCK_UN);
}

void
buffer_read_hints(struct buffer *buf, struct buffer_hints *hints)
{
	int fd = buf->lock_fd != -1 ? buf->lock_fd : io_open_own(buf->fd, ".lock", O_RDONLY);

	parse_hints(fd, hints);
	if (fd != -1 && fd != buf->lock_fd)
		close(fd);
}

void
buffer_boot_id(char out[40])
{
	char *s = io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, NULL);

	snprintf(out, 40, "%.36s", s != NULL ? s : "unknown");
	free(s);
}

uint64_t
buffer_fingerprint(struct buffer *buf)
{
	char text[32] = "";
	uint64_t generation = 0;
	struct stat st;

	if (buf->lock_fd == -1)
		buf->lock_fd = io_open_own(buf->fd, ".lock", O_RDWR);
	if (buf->lock_fd != -1 && pread(buf->lock_fd, text, 31, 0) == 31)
		generation = strtoull(text + 11, NULL, 10);
	if (fstat(buf->fd, &st) == -1)
		return generation;
	return generation * 0x9e3779b97f4a7c15u + (uint64_t)st.st_mtim.tv_sec * 1000000000u +
	    (uint64_t)st.st_mtim.tv_nsec;
}

int
buffer_replay_lock(struct buffer *buf, struct err *err)
{
	int fd = io_open_own(buf->fd, ".replay", O_RDWR | O_CREAT);

	if (fd == -1)
		return err_sys(err, STATUS_UNSAFE, "open '%s/.replay'", buf->dir);
	if (io_lock(fd, 0) == 0) {
		if (io_is_open_as(buf->fd, ".replay", fd)) {
			buf->replay_fd = fd;
			return 0;
		}
		errno = EWOULDBLOCK; /* replaced by another process meanwhile */
	}
	if (errno == EWOULDBLOCK) {
		err_set(err, STATUS_AGAIN, "another replay of buffer '%s' is running", buf->dir);
		err->sys = EWOULDBLOCK;
	} else
		fail_lock(buf, ".replay", err);
	close(fd);
	return -1;
}

void
buffer_replay_unlock(struct buffer *buf)
{
	close(buf->replay_fd);
	buf->replay_fd = -1;
}

/* --- target --------------------------------------------------------------------- */

char *
buffer_target(struct buffer *buf)
{
	size_t n;
	char *s = io_read_file(buf->fd, ".target", 8192, &n);

	if (s != NULL && n > 0 && s[n - 1] == '\n')
		s[n - 1] = '\0';
	if (s != NULL && !*s) {
		free(s);
		errno = ENOENT;
		return NULL;
	}
	return s;
}

int
buffer_retarget(struct buffer *buf, const char *target, struct err *err)
{
	struct bytes b = {0};
	int r;

	bytes_adds(&b, target);
	bytes_addc(&b, '\n');
	r = buffer_write_state(buf, ".target", b.p, b.len, err);
	bytes_free(&b);
	return r;
}

int
buffer_check_target(struct buffer *buf, const char *target, struct err *err)
{
	char *now = buffer_target(buf);
	int r = now != NULL;

	if (now == NULL && errno != ENOENT)
		r = err_sys(err, STATUS_UNSAFE, "read '%s/.target'", buf->dir);
	else if (now != NULL && strcmp(now, target) != 0)
		r = err_set(err, STATUS_CONFIG,
		    "buffer '%s' holds events for %s, not for %s: "
		    "give another with -b, or see ebbuffer retarget",
		    buf->dir, now, target);
	free(now);
	return r;
}

int
buffer_bind_target(struct buffer *buf, const char *target, bool has_segments, struct err *err)
{
	int r = buffer_check_target(buf, target, err);

	if (r == 1 || (r == -1 && (has_segments || err->status != STATUS_CONFIG)))
		return r == 1 ? 0 : -1;
	return buffer_retarget(buf, target, err);
}

/* The names of append, compress and buffer_write_state, and those of earlier versions, where the
 * number was a process ID. */
static bool
is_state_temporary(const char *name)
{
	static const char *const fronts[] = {".own-", ".compressing-", ".target.", ".progress."};
	size_t n = strcspn(name, "0123456789");

	if (strcmp(name, ".compressing") == 0)
		return true;
	if (name[n] == '\0' || name[n + strspn(name + n, "0123456789")] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(fronts) / sizeof(*fronts); i++)
		if (strlen(fronts[i]) == n && memcmp(name, fronts[i], n) == 0)
			return true;
	return false;
}

void
buffer_remove_stale(struct buffer *buf)
{
	DIR *d = io_open_dir(buf->fd, ".");
	struct dirent *e;
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (is_state_temporary(e->d_name) &&
		    fstatat(buf->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    clock_now() / 1000000 - st.st_mtim.tv_sec > STALE_AGE)
			unlinkat(buf->fd, e->d_name, 0);
	if (d != NULL)
		closedir(d);
}

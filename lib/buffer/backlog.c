#include "buffer/backlog.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "buffer/counters.h"
#include "buffer/line.h"
#include "buffer/manifest.h"
#include "buffer/quarantine.h"
#include "buffer/walk.h"
#include "event/event.h"

#define LOCK_STUCK_MS 300 /* a writer holds the lock for a few ms */
#define LOCKS_MAX (16u << 20)

/* --- a writer that is stuck with the lock ------------------------------------------------ */

/* Returns the process with an exclusive flock(2) on this file, 0 when /proc/locks shows none. */
static long
find_flock_owner(int fd)
{
	unsigned major, minor;
	unsigned long inode;
	long pid, found = 0;
	char *text, *line, *end;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return 0;
	text = line = io_read_file(AT_FDCWD, "/proc/locks", LOCKS_MAX, NULL);
	for (; line != NULL && !found && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes what fits */
		if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %ld %x:%x:%lu", &pid, &major, &minor,
		        &inode) == 4 &&
		    inode == st.st_ino && makedev(major, minor) == st.st_dev)
			found = pid;
	}
	free(text);
	return found;
}

/* Returns "PID (COMMAND)", to be freed, when one process keeps the writers' lock for LOCK_STUCK_MS;
 * else NULL. Takes the lock for a moment when it is free. */
static char *
find_stuck_writer(struct buffer *buf)
{
	int fd = io_open_own(buf->fd, ".lock", O_RDONLY);
	long pid = 0;
	char path[48], *name;
	struct bytes b = {0};

	if (fd != -1 && io_lock(fd, 0) == -1 && errno == EWOULDBLOCK)
		pid = find_flock_owner(fd);
	if (pid > 0 &&
	    (io_lock(fd, LOCK_STUCK_MS) == 0 || errno != EWOULDBLOCK ||
	        find_flock_owner(fd) != pid))
		pid = 0;
	io_close(fd);
	if (pid <= 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	name = io_read_file(AT_FDCWD, path, 64, NULL);
	bytes_addf(&b, "%ld (%.*s)", pid, name != NULL ? (int)strcspn(name, "\n") : 1,
	    name != NULL ? name : "?");
	free(name);
	bytes_str(&b);
	return b.p;
}

/* --- counting ---------------------------------------------------------------------------- */

static void
add_held_types(struct backlog *b, const struct checkpoint *cp)
{
	b->held = mem_alloc((cp->nlagging + 1) * sizeof(*b->held));
	for (size_t i = 0; i < cp->nlagging; i++) {
		const struct lagging_type *l = cp->lagging[i];

		if (*l->reason)
			b->held[b->nheld++] = (struct backlog_held){.type = mem_strdup(l->type),
			    .reason = mem_strdup(l->reason),
			    .tried = l->tried,
			    .events = l->events};
	}
}

/* With `brief` and no held type, only looks for the oldest event. */
static int
count_events(struct buffer *buf, struct backlog *b, bool brief, struct err *err)
{
	struct undelivered u;
	struct lagging_type *l;
	bool holds = false; /* a type */
	int64_t at;
	int r = undelivered_open(&u, buf, WALK_PLAIN | WALK_NO_MARKS, false, err);

	for (size_t i = 0; i < u.checkpoint.nlagging; i++)
		holds |= *u.checkpoint.lagging[i]->reason != '\0';
	while (r != -1 && (r = undelivered_next(&u, err)) == 1) {
		/* only plain writers' files may be out of order */
		if ((b->events == 0 || !u.at.chain) && line_stamp(u.at.text, &at) == 0 &&
		    (b->oldest == 0 || at < b->oldest))
			b->oldest = at;
		if (brief && !holds)
			break;
		b->events++;
		if (holds && u.bad == NULL &&
		    (l = checkpoint_find_lagging(
		         &u.checkpoint, u.line.e.type.p, u.line.e.type.n)) != NULL)
			l->events++;
	}
	add_held_types(b, &u.checkpoint);
	undelivered_close(&u);
	return r == -1 ? -1 : 0;
}

static int
fill_backlog(struct buffer *buf, struct backlog *b, bool brief, struct err *err)
{
	struct segment *list = NULL;
	uint64_t counts[COUNTERS];
	size_t n = 0;
	int fd;

	memset(b, 0, sizeof(*b));
	b->dir = mem_strdup(buf->dir);
	b->target = buffer_target(buf);
	counters_read(buf, counts);
	b->possible_duplicates = counts[COUNT_POSSIBLE_DUPLICATES];
	b->quarantined = quarantine_count(buf);
	fd = io_open_own(buf->fd, ".replay", O_RDONLY);
	b->replaying = fd != -1 && flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
	io_close(fd);
	b->lock_holder = find_stuck_writer(buf);
	if (count_events(buf, b, brief, err) == -1 || segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	b->nvanished = manifest_list_vanished(buf, list, n, &b->vanished);
	b->nshrunk = manifest_list_shrunk(buf, list, n, &b->shrunk);
	for (size_t i = 0; i < n; i++) {
		b->files++;
		b->bytes += list[i].size;
		b->ignored += list[i].ignored != NULL;
		b->suspect += list[i].suspect;
	}
	free(list);
	b->foreign = segment_count_foreign(buf->fd, NULL);
	return 0;
}

int
backlog_read(struct buffer *buf, struct backlog *b, struct err *err)
{
	return fill_backlog(buf, b, false, err);
}

int
backlog_read_brief(struct buffer *buf, struct backlog *b, struct err *err)
{
	return fill_backlog(buf, b, true, err);
}

void
backlog_free(struct backlog *b)
{
	while (b->nheld) {
		free(b->held[--b->nheld].type);
		free(b->held[b->nheld].reason);
	}
	while (b->nvanished)
		free(b->vanished[--b->nvanished]);
	free(b->held);
	free(b->vanished);
	free(b->shrunk);
	free(b->lock_holder);
	free(b->dir);
	free(b->target);
	memset(b, 0, sizeof(*b));
}

/* s NULL: null. */
static void
put_text_member(struct bytes *out, const char *name, const char *s)
{
	json_add_name(out, slice_of(name));
	if (s != NULL)
		json_quote_text(out, s, strlen(s));
	else
		bytes_adds(out, "null");
}

/* us 0: null. */
static void
put_time_member(struct bytes *out, const char *name, int64_t us)
{
	char when[CLOCK_SIZE];

	clock_format(us, when);
	put_text_member(out, name, us != 0 ? when : NULL);
}

static void
put_number_member(struct bytes *out, const char *name, uint64_t n)
{
	json_add_name(out, slice_of(name));
	bytes_addu(out, n);
}

/* Not a record of report/: a drain writes this too, into the event system.redis_recovered. */
void
backlog_json(struct bytes *out, const struct backlog *b)
{
	bytes_addc(out, '{');
	put_text_member(out, "buffer_dir", b->dir);
	put_text_member(out, "target", b->target);
	put_number_member(out, "file_count", b->files);
	put_number_member(out, "total_events", b->events);
	put_number_member(out, "total_bytes", b->bytes);
	put_time_member(out, "oldest_event", b->oldest);
	put_number_member(out, "quarantined", b->quarantined);
	json_add_name(out, slice_of("held"));
	bytes_addc(out, '[');
	for (size_t i = 0; i < b->nheld; i++) {
		const struct backlog_held *h = &b->held[i];

		bytes_adds(out, i > 0 ? ",{" : "{");
		put_text_member(out, "event_type", h->type);
		put_text_member(out, "reason", h->reason);
		put_time_member(out, "tried", h->tried);
		put_number_member(out, "events", h->events);
		bytes_addc(out, '}');
	}
	bytes_addc(out, ']');
	json_add_name(out, slice_of("vanished"));
	bytes_addc(out, '[');
	for (size_t i = 0; i < b->nvanished; i++) {
		bytes_adds(out, i > 0 ? "," : "");
		json_quote_text(out, b->vanished[i], strlen(b->vanished[i]));
	}
	bytes_addc(out, ']');
	json_add_name(out, slice_of("shrunk"));
	bytes_addc(out, '[');
	for (size_t i = 0; i < b->nshrunk; i++) {
		bytes_adds(out, i > 0 ? ",{" : "{");
		put_text_member(out, "segment", b->shrunk[i].stem);
		put_number_member(out, "from", b->shrunk[i].from);
		put_number_member(out, "to", b->shrunk[i].to);
		bytes_addc(out, '}');
	}
	bytes_addc(out, ']');
	put_number_member(out, "odd_files", b->ignored);
	put_number_member(out, "foreign_files", b->foreign);
	put_number_member(out, "suspect_segments", b->suspect);
	json_add_name(out, slice_of("replaying"));
	bytes_adds(out, b->replaying ? "true" : "false");
	put_text_member(out, "lock_holder", b->lock_holder);
	put_number_member(out, "possible_duplicates", b->possible_duplicates);
	bytes_addc(out, '}');
}

/* --- does the buffer lack a type? ---------------------------------------------------- */

/* Returns whether a segment that is passed to its end was cut off there by hand. */
static bool
is_cut_off(struct buffer *buf, const struct position *at, const struct segment *s)
{
	struct buffer_hints hints;

	if (at->pos > s->size)
		return at->pos != UINT64_MAX;
	buffer_read_hints(buf, &hints);
	return strcmp(hints.stem, s->stem) == 0 && hints.size > s->size;
}

bool
backlog_is_delivered(struct buffer *buf, const struct checkpoint *cp, const struct segment *s)
{
	const struct positions *positions = &cp->positions;
	const struct position *at;
	int cmp;

	if (!segment_may_hold(s))
		return true;
	if (s->ignored)
		return false;
	if (s->kind == SEGMENT_CHAIN) {
		cmp = positions->chain.stem != NULL ? strcmp(s->stem, positions->chain.stem) : 1;
		return cmp < 0 ||
		    (cmp == 0 && !s->gz && positions->chain.pos >= s->size &&
		        !is_cut_off(buf, &positions->chain, s));
	}
	at = positions_find(positions, s->stem);
	return at != NULL && !at->limit && (at->pos == s->size || at->pos == UINT64_MAX);
}

int
backlog_lacks_type(struct buffer *buf, const char *type, bool *holds, struct err *err)
{
	struct checkpoint p;
	struct segment *list;
	bool grows = false;
	size_t i, n;
	int lacks, any = segment_any(buf->fd);

	*holds = any == 1 || any == -1;
	if (!*holds)
		return any == 2 ? 2 : 1;
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	lacks = checkpoint_load(buf, &p, err) == -1
	    ? -1
	    : checkpoint_find_lagging(&p, type, strlen(type)) == NULL;
	for (i = 0; lacks == 1 && i < n; i++) {
		lacks = backlog_is_delivered(buf, &p, &list[i]);
		grows |= segment_may_grow(&list[i]);
	}
	free(list);
	checkpoint_free(&p);
	return lacks == 1 && grows ? 2 : lacks;
}

int
backlog_scan_lacks_type(struct buffer *buf, const char *type, struct err *err)
{
	struct undelivered u;
	int r = undelivered_open(&u, buf, WALK_PLAIN | WALK_NO_MARKS, true, err), lacks = 1;

	while (r != -1 && lacks && (r = undelivered_next(&u, err)) == 1)
		lacks = u.bad != NULL || !slice_is(u.line.e.type, type);
	undelivered_close(&u);
	return r == -1 ? -1 : lacks;
}

int
backlog_has_work(struct buffer *buf, bool *has_work, struct err *err)
{
	struct segment *list;
	struct manifest_shrunk *shrunk;
	size_t n;

	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	*has_work = manifest_list_shrunk(buf, list, n, &shrunk) > 0 ||
	    manifest_list_vanished(buf, list, n, NULL) > 0;
	free(shrunk);
	for (size_t i = 0; i < n; i++)
		*has_work |= segment_may_hold(&list[i]);
	free(list);
	return 0;
}

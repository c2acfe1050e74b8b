#include "drain/outage.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "base/status.h"
#include "base/uuid.h"
#include "buffer/backlog.h"
#include "buffer/line.h"
#include "buffer/undelivered.h"
#include "event/event.h"

#define OUTAGE_FILE ".outage"
#define ENDING_FILE ".outage-over" /* renamed to this while the event is being appended */

/* Each file holds the event_id, then possibly a count of events (outage_save_count), or
 * APPENDED_NOTE when the event is in the buffer. */
#define ID_LEN (UUID_SIZE - 1)
#define APPENDED_NOTE " told\n"

static bool
has_state_file(const struct buffer *buf, const char *name)
{
	struct stat st;

	return fstatat(buf->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

void
outage_start(struct buffer *buf)
{
	char id[UUID_SIZE];
	int fd;

	if (has_state_file(buf, OUTAGE_FILE))
		return;
	uuid_v7(id);
	if ((fd = buffer_open_state(buf, OUTAGE_FILE, O_WRONLY | O_CREAT | O_EXCL)) == -1)
		return;
	if (io_write_all(fd, id, ID_LEN) == -1) {
		/* An empty file records the outage too; the event_id is made later. */
	}
	close(fd);
}

/* Returns 1 when the buffer holds the event, because a drain was killed after appending it, 0 when
 * not, -1 with err. */
static int
find_appended_event(struct buffer *buf, const char *id, struct err *err)
{
	struct undelivered u;
	int r = undelivered_open(&u, buf, 0, false, err), found = 0;

	while (r != -1 && !found && (r = undelivered_next(&u, err)) == 1)
		found = memmem(u.at.text.p, u.at.text.n, id, strlen(id)) != NULL;
	undelivered_close(&u);
	return found ? 1 : r;
}

static int
append_recovered_event(struct buffer *buf, const char *target, const struct append_limits *lim,
    const char *source, const char *id, const struct bytes *stats, struct err *err)
{
	struct bytes payload = {0}, head = {0};
	char now[CLOCK_SIZE], correlation[UUID_SIZE];
	struct event event = {
	    .type = slice_of(OUTAGE_TYPE), .source = slice_of(source), .event_id = slice_of(id)};
	struct append_line line;
	int r;

	clock_format(clock_now(), now);
	uuid_v4(correlation);
	event_add_recovered(&payload, now, (struct slice){stats->p, stats->len});
	event.payload = (struct slice){payload.p, payload.len};
	event.timestamp = slice_of(now);
	event.correlation_id = slice_of(correlation);
	line_head(&head, &event);
	line.head = (struct slice){head.p, head.len};
	line.tail = slice_of("");
	r = append_lines(buf, target, lim, &line, 1, err);
	bytes_free(&payload);
	bytes_free(&head);
	return r;
}

bool
outage_is_due(const struct buffer *buf)
{
	return has_state_file(buf, OUTAGE_FILE) || has_state_file(buf, ENDING_FILE);
}

/* Reads the event_id (UUID_SIZE bytes; empty if the file is incomplete) and the count. Returns 1
 * when the event was appended, 0 when not, -1 with err. */
static int
read_outage_file(struct buffer *buf, const char *name, char *id, uint64_t *before, struct err *err)
{
	char *text = io_read_file(buf->fd, name, 4096, NULL), *rest;
	int was_appended = 0;

	if (text == NULL)
		return err_sys(err, STATUS_UNSAFE, "read '%s/%s'", buf->dir, name);
	*id = '\0';
	*before = 0;
	if (strlen(text) >= ID_LEN) {
		rest = text + ID_LEN;
		was_appended = strncmp(rest, APPENDED_NOTE, sizeof(APPENDED_NOTE) - 1) == 0;
		rest[strcspn(rest, "\n")] = '\0';
		if (*rest != ' ' || num_parse_u64(rest + 1, before) == -1)
			*before = 0;
		*rest = '\0';
		memcpy(id, text, UUID_SIZE);
	}
	free(text);
	return was_appended;
}

/* Writes the text behind the event_id. Best effort. */
static void
write_outage_note(struct buffer *buf, const char *name, const char *text)
{
	int fd = buffer_open_state(buf, name, O_WRONLY);

	if (fd == -1)
		return;
	if (lseek(fd, 0, SEEK_END) >= ID_LEN && pwrite(fd, text, strlen(text), ID_LEN) == -1) {
		/* the count or the note is missing then */
	}
	close(fd);
}

/* Makes the event_id of an incomplete file, and stores it. */
static int
assign_event_id(struct buffer *buf, char *id, struct err *err)
{
	int fd = buffer_open_state(buf, ENDING_FILE, O_WRONLY), r;

	uuid_v7(id);
	r = fd == -1 || pwrite(fd, id, ID_LEN, 0) != ID_LEN || fdatasync(fd) == -1 ? -1 : 0;
	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "write '%s/" ENDING_FILE "'", buf->dir);
	if (fd != -1)
		close(fd);
	return r;
}

int
outage_load(struct outage *outage, struct buffer *buf, struct err *err)
{
	char id[UUID_SIZE];
	int was_appended;

	outage_free(outage);
	outage->maybe_appended = has_state_file(buf, ENDING_FILE);
	was_appended = outage->maybe_appended
	    ? read_outage_file(buf, ENDING_FILE, id, &outage->drained_before, err)
	    : 0;
	if (was_appended == -1)
		return -1;
	if (was_appended) {
		unlinkat(buf->fd, ENDING_FILE, 0);
		outage->maybe_appended = false;
	}
	outage->due = outage->maybe_appended || has_state_file(buf, OUTAGE_FILE);
	if (!outage->due)
		return 0;
	if ((!outage->maybe_appended &&
	        read_outage_file(buf, OUTAGE_FILE, id, &outage->drained_before, err) == -1) ||
	    backlog_read_brief(buf, &outage->backlog, err) == -1)
		return -1;
	return outage->maybe_appended;
}

/* Counts the events of the outage: drained by this and earlier runs, and still in the buffer. */
static int
count_outage_events(struct outage *outage, struct buffer *buf, uint64_t drained, struct err *err)
{
	struct backlog now;
	int r = backlog_read(buf, &now, err);

	outage->backlog.events = now.events + drained + outage->drained_before;
	backlog_free(&now);
	return r;
}

int
outage_append_event(struct outage *outage, struct buffer *buf, uint64_t drained, const char *target,
    const struct append_limits *lim, const char *source, struct err *err)
{
	struct bytes stats = {0};
	char id[UUID_SIZE];
	uint64_t before;
	int appended = 0, r;

	if (!outage->due)
		return 0;
	if (count_outage_events(outage, buf, drained, err) == -1)
		return -1;
	if (!outage->maybe_appended && renameat(buf->fd, OUTAGE_FILE, buf->fd, ENDING_FILE) == -1) {
		err_sys(err, STATUS_UNSAFE, "rename '%s/" OUTAGE_FILE "'", buf->dir);
		return 1;
	}
	if (read_outage_file(buf, ENDING_FILE, id, &before, err) == -1 ||
	    (outage->maybe_appended && *id && (appended = find_appended_event(buf, id, err)) == -1))
		return -1;
	if (!*id && assign_event_id(buf, id, err) == -1)
		return 1;
	backlog_json(&stats, &outage->backlog);
	r = appended ? 0 : append_recovered_event(buf, target, lim, source, id, &stats, err);
	bytes_free(&stats);
	if (r == -1)
		return 1;
	outage->due = false;
	write_outage_note(buf, ENDING_FILE, APPENDED_NOTE);
	unlinkat(buf->fd, ENDING_FILE, 0);
	return 0;
}

void
outage_save_count(const struct outage *outage, struct buffer *buf, uint64_t drained)
{
	char text[32];

	snprintf(text, sizeof(text), " %020" PRIu64 "\n", outage->drained_before + drained);
	if (outage->due && drained)
		write_outage_note(buf,
		    !outage->maybe_appended && has_state_file(buf, OUTAGE_FILE) ? OUTAGE_FILE
		                                                                : ENDING_FILE,
		    text);
}

void
outage_free(struct outage *outage)
{
	backlog_free(&outage->backlog);
}

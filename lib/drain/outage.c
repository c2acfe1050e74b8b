#include "drain/outage.h"

#include <sys/stat.h>

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
#include "buffer/line.h"
#include "event/event.h"

/* "EVENT_ID", or "EVENT_ID COUNT" (outage_save_count), and a newline */
#define OUTAGE_FILE ".outage"
#define ID_LEN (UUID_SIZE - 1)

bool
outage_is_due(const struct buffer *buf)
{
	struct stat st;

	return fstatat(buf->fd, OUTAGE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* Writes the file. Best effort: an empty one records the outage too. */
static void
write_outage_file(struct buffer *buf, int flags, const char *id, uint64_t drained)
{
	char text[UUID_SIZE + NUM_DIGITS + 2];
	int n = snprintf(text, sizeof(text), "%s %020" PRIu64 "\n", id, drained);
	int fd = io_open_own(buf->fd, OUTAGE_FILE, O_WRONLY | flags);

	if (fd == -1)
		return;
	if (pwrite(fd, text, (size_t)n, 0) != n) {
		/* a part that is missing is made again by outage_load */
	}
	close(fd);
}

void
outage_start(struct buffer *buf)
{
	char id[UUID_SIZE];

	if (outage_is_due(buf))
		return;
	uuid_v7(id);
	write_outage_file(buf, O_CREAT | O_EXCL, id, 0);
}

int
outage_load(struct outage *outage, struct buffer *buf, struct err *err)
{
	char *text;

	outage->due = outage_is_due(buf);
	if (!outage->due)
		return 0;
	if ((text = io_read_file(buf->fd, OUTAGE_FILE, 4096, NULL)) == NULL)
		return err_sys(err, STATUS_UNSAFE, "read '%s/" OUTAGE_FILE "'", buf->dir);
	text[strcspn(text, "\n")] = '\0';
	outage->drained_before = 0;
	if (strlen(text) >= ID_LEN) {
		memcpy(outage->event_id, text, ID_LEN);
		if (text[ID_LEN] != ' ' ||
		    num_parse_u64(text + UUID_SIZE, &outage->drained_before) == -1)
			outage->drained_before = 0;
	} else {
		uuid_v7(outage->event_id);
		write_outage_file(buf, 0, outage->event_id, 0);
	}
	free(text);
	return backlog_read_brief(buf, &outage->backlog, err);
}

/* Counts the events of the outage: drained by this and earlier drains, and still in the buffer. */
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
outage_append_event(struct outage *outage, struct buffer *buf, const struct drain_options *o,
    uint64_t drained, struct err *err)
{
	struct bytes stats = {0}, payload = {0}, head = {0};
	char now[CLOCK_SIZE], correlation[UUID_SIZE];
	struct append_line line = {.tail = slice_of("")};
	int r = 0;

	if (!o->conf->outage_event)
		goto done;
	if (count_outage_events(outage, buf, drained, err) == -1)
		return -1;
	clock_format(clock_now(), now);
	uuid_v4(correlation);
	backlog_json(&stats, &outage->backlog);
	event_add_recovered(&payload, now, (struct slice){stats.p, stats.len});
	line_head(&head,
	    &(struct event){.type = slice_of(OUTAGE_TYPE),
	        .payload = {payload.p, payload.len},
	        .timestamp = slice_of(now),
	        .correlation_id = slice_of(correlation),
	        .source = slice_of(o->conf->service),
	        .event_id = slice_of(outage->event_id)});
	line.head = (struct slice){head.p, head.len};
	r = append_lines(buf, o->conf->target, o->limits, &line, 1, err);
	bytes_free(&stats);
	bytes_free(&payload);
	bytes_free(&head);
done:
	if (r == -1)
		return -1;
	outage->due = false;
	unlinkat(buf->fd, OUTAGE_FILE, 0);
	return 0;
}

void
outage_save_count(const struct outage *outage, struct buffer *buf, uint64_t drained)
{
	if (outage->due && drained)
		write_outage_file(buf, 0, outage->event_id, outage->drained_before + drained);
}

void
outage_free(struct outage *outage)
{
	backlog_free(&outage->backlog);
}

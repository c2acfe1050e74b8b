#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backlog.h"
#include "event.h"
#include "outage.h"
#include "status.h"
#include "util.h"
#include "uuid.h"
#include "walk.h"
#include "when.h"

#define MARK ".outage"
#define ENDING ".outage-over"	/* its event is being appended */

static bool
is_there(const struct spool *sp, const char *name)
{
	return faccessat(spool_fd(sp), name, F_OK, 0) == 0;
}

void
outage_mark(struct spool *sp)
{
	char id[UUID_SIZE];
	int fd;

	if (is_there(sp, MARK))
		return;
	uuid_v7(id);
	if ((fd = spool_state(sp, MARK, O_WRONLY | O_CREAT | O_EXCL)) == -1)
		return;
	if (util_write(fd, id, UUID_SIZE - 1) == -1) {
		/* An empty mark is a mark; its event gets an identity of its own. */
	}
	close(fd);
}

/* Whether the buffer holds the event already: a drain was killed after the append. */
static int
appended(struct spool *sp, const char *id)
{
	struct progress p;
	struct walk *w;
	struct walk_line l;
	struct fail f;
	int found = 0;

	if (progress_load(sp, &p, &f) == -1)
		return 0;
	w = walk_open(sp, &p, WALK_LATE, backlog_stamp, &f);
	while (w && !found && walk_next(w, &l, &f) == 1)
		found = memmem(l.text.p, l.text.n, id, strlen(id)) != NULL;
	walk_close(w);
	progress_free(&p);
	return found;
}

static int
append(struct spool *sp, const char *target, const struct append_limits *lim, const char *source,
    const char *id, const struct buf *stats, struct fail *f)
{
	struct buf payload = { 0 }, head = { 0 };
	char now[WHEN_SIZE], correlation[UUID_SIZE];
	struct event e = { .type = slice_of(OUTAGE_TYPE), .source = slice_of(source), .event_id = slice_of(id) };
	struct append_line line;
	int r;

	when_format(when_now(), now);
	uuid_v4(correlation);
	event_recovered(&payload, now, (struct slice){ stats->p, stats->len });
	e.payload = (struct slice){ payload.p, payload.len };
	e.timestamp = slice_of(now);
	e.correlation_id = slice_of(correlation);
	event_line_head(&head, &e);
	line.head = (struct slice){ head.p, head.len };
	line.tail = slice_of("");
	r = append_lines(sp, target, lim, &line, 1, f);
	buf_free(&payload);
	buf_free(&head);
	return r;
}

bool
outage_due(const struct spool *sp)
{
	return is_there(sp, MARK) || is_there(sp, ENDING);
}

int
outage_begin(struct outage *o, struct spool *sp, struct fail *f)
{
	bool again = is_there(sp, ENDING);

	o->due = again || is_there(sp, MARK);
	if (!o->due)
		return 0;
	o->counted = again;
	if ((again ? backlog_read : backlog_look)(sp, &o->was, f) == -1)
		return -1;
	o->counted |= o->was.nheld > 0;
	return again;
}

/* What was drained, and what is left. */
static int
count(struct outage *o, struct spool *sp, uint64_t drained, struct fail *f)
{
	struct backlog now;
	int r = backlog_read(sp, &now, f);

	if (r == 0) {
		o->was.events = now.events + drained;
		o->counted = true;
	}
	backlog_free(&now);
	return r;
}

int
outage_end(struct outage *o, struct spool *sp, uint64_t drained, const char *target, const struct append_limits *lim, const char *source,
    struct fail *f)
{
	struct buf stats = { 0 };
	char *id, fresh[UUID_SIZE];
	bool again;
	int r = 0;

	if (!o->due)
		return 0;
	if (!o->counted && count(o, sp, drained, f) == -1)
		return -1;
	again = is_there(sp, ENDING);
	if (!again && renameat(spool_fd(sp), MARK, spool_fd(sp), ENDING) == -1)
		return fail_errno(f, STATUS_UNSAFE, "rename '%s/" MARK "'", spool_dir(sp));
	id = util_slurp(spool_fd(sp), ENDING, 64, NULL);
	if (!id || strlen(id) != UUID_SIZE - 1) {
		uuid_v7(fresh);
		free(id);
		id = util_strdup(fresh);
	}
	backlog_json(&stats, &o->was);
	if (!again || !appended(sp, id))
		r = append(sp, target, lim, source, id, &stats, f);
	o->due = r == -1;
	if (r == 0)
		unlinkat(spool_fd(sp), ENDING, 0);
	buf_free(&stats);
	free(id);
	return r;
}

void
outage_free(struct outage *o)
{
	backlog_free(&o->was);
}

#include "report/snapshot.h"

#include <sys/statvfs.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "buffer/buffer.h"

#define READ_TRIES 3
#define READ_PAUSE_US 20000

/*
 * A drain may unlink a segment between two reads, and a publisher may create one between the read
 * of the directory and that of the manifest: only what is missing again a moment later has
 * vanished.
 */
static int
read_backlog(struct buffer *buf, struct backlog *b, struct err *err)
{
	int r;

	for (int i = 0; (r = backlog_read(buf, b, err)) == -1 || b->nvanished > 0; i++) {
		if (i + 1 == READ_TRIES || (r == -1 && err->sys != ENOENT))
			break;
		backlog_free(b);
		usleep(READ_PAUSE_US);
	}
	if (r == -1)
		backlog_free(b);
	return r;
}

static void
snapshot_buffer(struct snapshot *s, const char *dir)
{
	struct buffer *buf = buffer_open(dir, false, &s->read_error);
	const char *warning;

	if (buf == NULL) {
		s->readable = s->read_error.sys == ENOENT;
		s->buffer.dir = mem_strdup(dir);
		return;
	}
	s->dir_exists = true;
	s->readable = read_backlog(buf, &s->buffer, &s->read_error) == 0;
	counters_read(buf, s->counters);
	if ((warning = buffer_warning(buf)) != NULL)
		s->warning = mem_strdup(warning);
	buffer_close(buf);
	s->other_target = s->buffer.files > 0 && s->buffer.target != NULL &&
	    strcmp(s->buffer.target, s->target) != 0;
}

/* Asks about the directory, or about its nearest ancestor that exists. */
static void
snapshot_free_space(struct snapshot *s, const char *dir)
{
	char *path = mem_strdup(dir), *slash;
	struct statvfs v;
	int r;

	while ((r = statvfs(path, &v)) == -1 && errno == ENOENT && strcmp(path, ".") != 0 &&
	    strcmp(path, "/") != 0) {
		slash = strrchr(path, '/');
		if (slash == NULL)
			memcpy(path, ".", 2); /* dir is not empty, so there is room */
		else if (slash == path)
			slash[1] = '\0';
		else
			*slash = '\0';
	}
	free(path);
	if (r == -1)
		return;
	s->free_known = true;
	s->free = (uint64_t)v.f_bavail * v.f_frsize;
	s->free_files = v.f_files > 0 ? (uint64_t)v.f_favail : UINT64_MAX;
}

void
snapshot_take(struct snapshot *s, const struct survey_options *options)
{
	memset(s, 0, sizeof(*s));
	s->target = options->conf->target;
	snapshot_buffer(s, options->conf->buffer);
	snapshot_free_space(s, options->conf->buffer);
	survey_take(&s->redis, options);
}

void
snapshot_free(struct snapshot *s)
{
	survey_free(&s->redis);
	backlog_free(&s->buffer);
	free(s->warning);
	memset(s, 0, sizeof(*s));
}

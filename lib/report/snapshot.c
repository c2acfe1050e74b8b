#include "report/snapshot.h"

#include <sys/statvfs.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "buffer/buffer.h"

#define TRIES 3
#define PAUSE_US 20000

/*
 * A drain at work unlinks segments between two looks, and a publisher makes one between a look at
 * the directory and one at the roster: what is really gone is still so a moment later.
 */
static int
read_backlog(struct buffer *buf, struct backlog *b, struct err *err)
{
	int r;

	for (int i = 0; (r = backlog_read(buf, b, err)) == -1 || b->nvanished > 0; i++) {
		if (i + 1 == TRIES || (r == -1 && err->sys != ENOENT))
			break;
		backlog_free(b);
		usleep(PAUSE_US);
	}
	if (r == -1)
		backlog_free(b);
	return r;
}

static void
read_buffer(struct snapshot *p, const char *dir)
{
	struct buffer *buf = buffer_open(dir, false, &p->read_error);
	const char *warning;

	if (buf == NULL) {
		p->readable = p->read_error.sys == ENOENT;
		p->buffer.dir = mem_strdup(dir);
		return;
	}
	p->dir_exists = true;
	p->readable = read_backlog(buf, &p->buffer, &p->read_error) == 0;
	counters_read(buf, p->counters);
	if ((warning = buffer_warning(buf)) != NULL)
		p->warning = mem_strdup(warning);
	buffer_close(buf);
	p->other_target = p->buffer.files > 0 && p->buffer.target != NULL &&
	    strcmp(p->buffer.target, p->target) != 0;
}

/* Of the directory, or of the nearest one above it that is there. */
static void
read_space(struct snapshot *p, const char *dir)
{
	char *path = mem_strdup(dir), *slash;
	struct statvfs v;
	int r;

	while ((r = statvfs(path, &v)) == -1 && errno == ENOENT && strcmp(path, ".") != 0 &&
	    strcmp(path, "/") != 0) {
		slash = strrchr(path, '/');
		if (slash == NULL)
			memcpy(path, ".", 2); /* "" is no directory, so there is room */
		else if (slash == path)
			slash[1] = '\0';
		else
			*slash = '\0';
	}
	free(path);
	if (r == -1)
		return;
	p->free_known = true;
	p->free = (uint64_t)v.f_bavail * v.f_frsize;
	p->free_files = v.f_files > 0 ? (uint64_t)v.f_favail : UINT64_MAX;
}

void
snapshot_take(
    struct snapshot *p, const struct conf *c, const char *dir, const struct survey_options *ask)
{
	struct survey_options own = *ask;
	struct bytes target = {0};

	memset(p, 0, sizeof(*p));
	bytes_addf(&target, "%s %s", c->address, c->prefix);
	p->target = mem_strdup(bytes_str(&target));
	bytes_free(&target);
	read_buffer(p, dir);
	read_space(p, dir);
	own.url = &c->url;
	own.prefix = c->prefix;
	survey_take(&p->redis, &own);
}

void
snapshot_free(struct snapshot *p)
{
	survey_free(&p->redis);
	backlog_free(&p->buffer);
	free(p->warning);
	free(p->target);
	memset(p, 0, sizeof(*p));
}

static void
put_text(struct bytes *out, const char *name, const char *s)
{
	bytes_addf(out, "\"%s\":", name);
	if (s != NULL)
		json_quote_text(out, s, strlen(s));
	else
		bytes_adds(out, "null");
	bytes_addc(out, ',');
}

static void
put_counters(struct bytes *out, const struct snapshot *p)
{
	bytes_adds(out, "\"counters\":{");
	for (int i = 0; i < COUNTERS; i++)
		bytes_addf(
		    out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", counter_names[i], p->counters[i]);
	bytes_adds(out, "},");
}

void
snapshot_json(struct bytes *out, const struct snapshot *p)
{
	put_text(out, "target", p->target);
	bytes_addf(out, "\"other_target\":%s,\"buffer\":", p->other_target ? "true" : "false");
	if (p->readable)
		backlog_json(out, &p->buffer);
	else
		bytes_adds(out, "null");
	bytes_addc(out, ',');
	put_text(out, "buffer_error", p->readable ? NULL : p->read_error.text);
	bytes_adds(out, "\"free_bytes\":");
	if (p->free_known)
		bytes_addf(out, "%" PRIu64 ",", p->free);
	else
		bytes_adds(out, "null,");
	put_counters(out, p);
	bytes_adds(out, "\"redis\":");
	survey_redis_json(out, &p->redis);
	bytes_addc(out, ',');
}

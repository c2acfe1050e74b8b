#include <sys/statvfs.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "report/picture.h"
#include "buffer/spool.h"
#include "base/util.h"

#define TRIES 3
#define PAUSE_US 20000

/*
 * A drain at work unlinks segments between two looks, and a publisher makes one between a look at the
 * directory and one at the roster: what is really gone is still so a moment later.
 */
static int
read_backlog(struct spool *sp, struct backlog *b, struct fail *f)
{
	int r;

	for (int i = 0; (r = backlog_read(sp, b, f)) == -1 || b->nvanished > 0; i++) {
		if (i + 1 == TRIES || (r == -1 && f->sys != ENOENT))
			break;
		backlog_free(b);
		usleep(PAUSE_US);
	}
	if (r == -1)
		backlog_free(b);
	return r;
}

static void
read_buffer(struct picture *p, const char *dir)
{
	struct spool *sp = spool_open(dir, false, &p->unread);
	const char *warning;

	if (sp == NULL) {
		p->readable = p->unread.sys == ENOENT;
		p->buffer.dir = util_strdup(dir);
		return;
	}
	p->exists = true;
	p->readable = read_backlog(sp, &p->buffer, &p->unread) == 0;
	counters_read(sp, p->counters);
	if ((warning = spool_warning(sp)) != NULL)
		p->warning = util_strdup(warning);
	spool_close(sp);
	p->other = p->buffer.files > 0 && p->buffer.target != NULL && strcmp(p->buffer.target, p->target) != 0;
}

/* Of the directory, or of the nearest one above it that is there. */
static void
read_space(struct picture *p, const char *dir)
{
	char *path = util_strdup(dir), *slash;
	struct statvfs v;
	int r;

	while ((r = statvfs(path, &v)) == -1 && errno == ENOENT && strcmp(path, ".") != 0 && strcmp(path, "/") != 0) {
		slash = strrchr(path, '/');
		if (slash == NULL)
			memcpy(path, ".", 2);	/* "" is no directory, so there is room */
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
picture_take(struct picture *p, const struct conf *c, const char *dir, const struct survey_ask *ask)
{
	struct survey_ask own = *ask;
	struct buf target = {0};

	memset(p, 0, sizeof(*p));
	buf_addf(&target, "%s %s", c->place, c->prefix);
	p->target = util_strdup(buf_str(&target));
	buf_free(&target);
	read_buffer(p, dir);
	read_space(p, dir);
	own.url = &c->url;
	own.prefix = c->prefix;
	survey_take(&p->redis, &own);
}

void
picture_free(struct picture *p)
{
	survey_free(&p->redis);
	backlog_free(&p->buffer);
	free(p->warning);
	free(p->target);
	memset(p, 0, sizeof(*p));
}

static void
put_text(struct buf *out, const char *name, const char *s)
{
	buf_addf(out, "\"%s\":", name);
	if (s != NULL)
		json_quote_text(out, s, strlen(s));
	else
		buf_adds(out, "null");
	buf_addc(out, ',');
}

static void
put_counters(struct buf *out, const struct picture *p)
{
	buf_adds(out, "\"counters\":{");
	for (int i = 0; i < COUNTERS; i++)
		buf_addf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", counter_names[i], p->counters[i]);
	buf_adds(out, "},");
}

void
picture_json(struct buf *out, const struct picture *p)
{
	put_text(out, "target", p->target);
	buf_addf(out, "\"other_target\":%s,\"buffer\":", p->other ? "true" : "false");
	if (p->readable)
		backlog_json(out, &p->buffer);
	else
		buf_adds(out, "null");
	buf_addc(out, ',');
	put_text(out, "buffer_error", p->readable ? NULL : p->unread.text);
	buf_adds(out, "\"free_bytes\":");
	if (p->free_known)
		buf_addf(out, "%" PRIu64 ",", p->free);
	else
		buf_adds(out, "null,");
	put_counters(out, p);
	buf_adds(out, "\"redis\":");
	survey_redis_json(out, &p->redis);
	buf_addc(out, ',');
}

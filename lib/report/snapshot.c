#include "report/snapshot.h"

#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"
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
	buffer_check_locks(buf, &s->write_error);
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
	if (r == 0 && s->readable && !s->dir_exists &&
	    faccessat(AT_FDCWD, path, W_OK | X_OK, 0) == -1)
		err_sys(&s->write_error, STATUS_UNSAFE, "create buffer '%s'", dir);
	free(path);
	if (r == -1)
		return;
	s->free_known = v.f_blocks > 0; /* 0: the file system does not tell */
	s->free = (uint64_t)v.f_bavail * v.f_frsize;
	s->free_files = v.f_files > 0 ? (uint64_t)v.f_favail : UINT64_MAX;
}

void
snapshot_take(struct snapshot *s, const struct survey_options *options)
{
	const char *dir;

	memset(s, 0, sizeof(*s));
	s->target = options->conf->target;
	if ((dir = conf_buffer(options->conf, &s->read_error)) != NULL) {
		snapshot_buffer(s, dir);
		snapshot_free_space(s, dir);
	}
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

/* --- groups and streams --- */

void
snapshot_group(struct item *r, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g)
{
	item_count(r, "consumers", "CONSUMERS", g->consumers);
	item_count(r, "pending", "PENDING", g->pending);
	item_number(r, "lag", "LAG", survey_lag(&st->info, g));
	item_number(r, "lost", "LOST", survey_lost(&st->info, g));
	item_span(r, "oldest_pending_ms", "OLDEST", survey_pending_age(s, g));
	item_id(r, "last_delivered_id", "DELIVERED", g->last_delivered, true);
}

/* Starts the item of a stream. A value that the server refused is unknown, not 0. */
static struct item
begin_stream_item(const struct survey_stream *st, bool json)
{
	struct item r = {.json = json};
	const struct stream_info *i = &st->info;
	bool known = i->exists || st->error == NULL;

	item_text(&r, "event_type", "TYPE", st->type);
	item_text(&r, "stream", NULL, st->key);
	item_raw(&r, "exists", !known ? "null" : i->exists ? "true" : "false");
	item_number(&r, "length", "LENGTH", known ? (int64_t)i->length : -1);
	item_id(&r, "first_id", "FIRST", i->first, i->length > 0);
	item_id(&r, "last_id", "LAST", i->last, i->length > 0);
	item_number(&r, "dead_letters", "DEAD", st->dead_letters);
	return r;
}

/* --- a table of streams --- */

/* g NULL: the stream has no group. The error stands once, on the first row of the stream. */
static void
add_stream_row(struct table *t, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g)
{
	struct item r = begin_stream_item(st, false);

	if (g != NULL) {
		item_text(&r, NULL, "GROUP", g->name);
		snapshot_group(&r, s, st, g);
	} else if (st->error == NULL && !st->info.exists)
		item_text(&r, NULL, "GROUP", "no stream");
	if (st->error != NULL && (g == NULL || g == st->groups))
		item_text(&r, NULL, "", st->error);
	table_row(t, &r);
}

void
snapshot_streams(struct table *t, const struct survey *s, bool problems, bool all)
{
	static const struct column few[] = {{"TYPE", -1}, {"LENGTH", 1}, {"DEAD", 1}, {"GROUP", -1},
	    {"CONSUMERS", 1}, {"PENDING", 1}, {"OLDEST", 1}, {"LAG", 1}, {"LOST", 1}, {"", -1},
	    {NULL, 0}};
	static const struct column every[] = {{"TYPE", -1}, {"LENGTH", 1}, {"FIRST", -1},
	    {"LAST", -1}, {"DEAD", 1}, {"GROUP", -1}, {"CONSUMERS", 1}, {"PENDING", 1},
	    {"OLDEST", 1}, {"LAG", 1}, {"LOST", 1}, {"DELIVERED", -1}, {"", -1}, {NULL, 0}};

	t->columns = all ? every : few;
	for (size_t i = 0; i < s->n; i++) {
		const struct survey_stream *st = &s->streams[i];
		bool wanted = !problems || st->error != NULL || st->dead_letters > 0;

		if (st->ngroups == 0 && wanted)
			add_stream_row(t, s, st, NULL);
		for (size_t k = 0; k < st->ngroups; k++) {
			const struct stream_group *g = &st->groups[k];

			if (wanted || survey_lost(&st->info, g) > 0)
				add_stream_row(t, s, st, g);
		}
	}
}

/* --- JSON --- */

static const char *
null_if_empty(const char *s)
{
	return s != NULL && *s != '\0' ? s : NULL;
}

static void
add_redis(struct item *document, const struct survey *s)
{
	struct item r = {.json = true};
	char rtt[32];

	item_bool(&r, "up", s->up);
	item_text(&r, "how", NULL, s->up ? NULL : survey_why_name(s->why));
	item_text(&r, "error", NULL, s->error);
	item_text(&r, "server", NULL, null_if_empty(s->server));
	item_text(&r, "version", NULL, null_if_empty(s->version));
	item_text(&r, "run_id", NULL, null_if_empty(s->run_id));
	snprintf(rtt, sizeof(rtt), "%.3f", (double)s->rtt_us / 1000);
	item_raw(&r, "rtt_ms", s->up ? rtt : "null");
	item_text(&r, "refuses_writes", NULL, s->refusal);
	item_object(document, "redis", &r);
}

static void
push_stream(struct bytes *list, const struct survey *s, const struct survey_stream *st)
{
	struct item r = begin_stream_item(st, true), group = {.json = true};
	struct bytes groups = {0};

	item_text(&r, "error", NULL, st->error);
	for (size_t i = 0; i < st->ngroups; i++) {
		item_text(&group, "name", NULL, st->groups[i].name);
		snapshot_group(&group, s, st, &st->groups[i]);
		item_push(&groups, &group);
	}
	item_list(&r, "groups", &groups);
	item_push(list, &r);
}

void
snapshot_json(struct item *document, const struct snapshot *s)
{
	struct item counters = {.json = true};
	struct bytes buffer = {0}, streams = {0};

	for (int i = 0; i < COUNTERS; i++)
		item_count(&counters, counter_names[i], NULL, s->counters[i]);
	if (s->readable)
		backlog_json(&buffer, &s->buffer);
	item_text(document, "target", NULL, s->target);
	item_bool(document, "other_target", s->other_target);
	item_raw(document, "buffer", s->readable ? bytes_str(&buffer) : "null");
	item_text(document, "buffer_error", NULL, s->readable ? NULL : s->read_error.text);
	item_text(document, "buffer_unwritable", NULL,
	    s->write_error.text[0] != '\0' ? s->write_error.text : NULL);
	item_number(document, "free_bytes", NULL, s->free_known ? (int64_t)s->free : -1);
	item_object(document, "counters", &counters);
	add_redis(document, &s->redis);
	item_bool(document, "complete", s->redis.complete);
	item_text(document, "incomplete", NULL, s->redis.why_incomplete);
	for (size_t i = 0; i < s->redis.n; i++)
		push_stream(&streams, &s->redis, &s->redis.streams[i]);
	item_list(document, "streams", &streams);
	bytes_free(&buffer);
}

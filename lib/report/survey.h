/*
 * survey: what Redis says about itself, and about streams and their groups. Changes nothing there.
 *
 * A server that is away, or that refuses something, is no failure here but a finding: survey_take
 * always fills the struct. One connection, whose exchanges have the deadline of conn.h each;
 * listing and looking have it once more each, as a whole.
 */
#ifndef REPORT_SURVEY_H
#define REPORT_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "redis/conn.h"
#include "redis/stream.h"
#include "redis/url.h"

struct survey_options {
	const struct url *url;
	const char *prefix;
	int64_t timeout_ms;
	char *const *types; /* event types and patterns (names_is_pattern) */
	size_t n;
	/* with no types: every stream of the prefix, else none */
	bool all;
};

struct survey_stream {
	/* as it stands in the key; of foreign keys perhaps not a legal one */
	char *type;
	char *key;
	/* the first thing that could not be found out; NULL when none */
	char *error;
	enum conn_why why;       /* of error */
	struct stream_info info; /* exists false: no such stream */
	int64_t dead_letters;    /* dead letters; -1: unknown */
	struct stream_group *groups;
	size_t ngroups;
};

struct survey {
	bool up;
	enum conn_why why;      /* it is not up */
	char *error;            /* in words; NULL when up */
	char *server, *version; /* "" when not told */
	char *run_id;
	int64_t rtt_us;
	/* CONN_LATER, CONN_READONLY: it is up and takes no events; else CONN_OK */
	enum conn_why refuses;
	char *refusal; /* in words; NULL */
	/* the server's clock, ms since 1970; ours when it will not say */
	int64_t now;
	bool complete;    /* all streams that were asked for are here */
	char *incomplete; /* why not */
	/* patterns (of `types`, borrowed) without a stream, when complete */
	char **unmatched;
	size_t nunmatched;
	struct survey_stream *streams; /* by key, each once */
	size_t n;
	/* the worst exit status of what could not be found out; that Redis is away is none */
	int status;
};

void survey_take(struct survey *s, const struct survey_options *ask);
void survey_free(struct survey *s);

/* One word for programs: "refused", "no-answer", "cut", "not-redis", "not-ready", "read-only",
 * "denied", "cluster", "error". */
const char *survey_why_name(enum conn_why why);

/*
 * How many entries of the stream the group has still to be given; -1 when that cannot be known.
 * Unlike XINFO's lag it counts only what is there, and is known whenever the group stands before
 * the first or behind the last entry; where entries are gone it was counted by survey_take, up to
 * some thousands.
 */
int64_t survey_lag(const struct stream_info *s, const struct stream_group *g);
/* The age of the lowest pending entry by its ID, ms, never negative; -1 when nothing is pending. */
int64_t survey_pending_age(const struct survey *s, const struct stream_group *g);

/* Append the object that is `redis` in ebstat -j, and the members complete, incomplete and streams,
 * without a comma behind. */
void survey_redis_json(struct bytes *out, const struct survey *s);
void survey_streams_json(struct bytes *out, const struct survey *s);

#endif

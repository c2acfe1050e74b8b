/*
 * survey: reads the state of Redis, of streams and of their groups. Changes nothing in Redis.
 *
 * A server that is down or refuses a command is a result, not a failure: survey_take always fills
 * the struct. It uses one connection. Each exchange has the deadline of conn.h; listing the streams
 * and reading them have one timeout_ms each, as a whole.
 */
#ifndef REPORT_SURVEY_H
#define REPORT_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct survey_options {
	const struct conf *conf; /* url and prefix */
	int64_t timeout_ms;
	char *const *types; /* event types and patterns (names_is_pattern) */
	size_t n;
	/* when n is 0: all streams of the prefix; else no stream */
	bool all;
};

struct survey_stream {
	/* as in the key; that of a key made by other programs may not be legal */
	char *type;
	char *key;
	/* why a part could not be read: the first reason, or NULL */
	char *error;
	enum conn_why why;       /* of error */
	struct stream_info info; /* exists false: no such stream */
	int64_t dead_letters;    /* dead letters; -1: unknown */
	struct stream_group *groups;
	size_t ngroups;
};

struct survey {
	bool up;
	enum conn_why why;      /* when it is not up */
	char *error;            /* the same in words; NULL when up */
	char *server, *version; /* "" when the server did not send it */
	char *run_id;
	int64_t rtt_us;
	/* CONN_LATER, CONN_READONLY: it is up and refuses writes; else CONN_OK */
	enum conn_why refuses;
	char *refusal; /* the error reply; NULL */
	/* the server's clock, ms since 1970; this host's when the server refuses */
	int64_t now;
	bool complete;        /* all requested streams are here */
	char *why_incomplete; /* the reason; NULL when complete */
	/* patterns (borrowed from `types`) that certainly match no stream */
	char **unmatched;
	size_t nunmatched;
	struct survey_stream *streams; /* by key, each once */
	size_t n;
	/* exit status: the worst of what could not be read; 0 when Redis is unreachable */
	int status;
};

void survey_take(struct survey *s, const struct survey_options *options);
void survey_free(struct survey *s);

/* Returns a word for programs: "refused", "no-answer", "cut", "not-redis", "not-ready",
 * "read-only", "denied", "cluster", "error". */
const char *survey_why_name(enum conn_why why);

/*
 * Returns how many entries of the stream the group has not been given; -1: unknown. Unlike XINFO's
 * lag it counts only entries that exist, and is known whenever the group stands before the first or
 * after the last entry. For a group inside a stream that has lost entries, survey_take counts them,
 * up to 10 000 entries or 4 MiB.
 */
int64_t survey_lag(const struct stream_info *s, const struct stream_group *g);
/* Returns how many entries were trimmed or deleted before the group was given them; -1: unknown. */
int64_t survey_lost(const struct stream_info *s, const struct stream_group *g);
/* Returns the age of the lowest pending entry by its ID, in ms, never negative; -1: no pending
 * entry. */
int64_t survey_pending_age(const struct survey *s, const struct stream_group *g);

#endif

#include "redis/handshake.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/status.h"
#include "redis/reply.h"

void
handshake_put(struct conn *conn, const struct url *u, struct handshake *g)
{
	char db[16];

	g->auth = u->password != NULL;
	g->select = u->db != 0;
	if (g->auth && u->user != NULL)
		conn_putl(conn, "AUTH", u->user, u->password, NULL);
	else if (g->auth)
		conn_putl(conn, "AUTH", u->password, NULL);
	if (g->select) {
		snprintf(db, sizeof(db), "%d", u->db);
		conn_putl(conn, "SELECT", db, NULL);
	}
	conn_putl(conn, "CLIENT", "INFO", NULL);
	conn_putl(conn, "INFO", "server", NULL);
}

/* The word behind "name", up to a space or line end, at the start of the text or after one of them.
 */
static int
pick(struct slice text, const char *name, char *out, size_t size)
{
	const char *p = text.n > 0 ? text.p : "", *end = p + text.n;
	size_t n = strlen(name), len = 0;

	out[0] = '\0';
	while ((p = memmem(p, (size_t)(end - p), name, n)) != NULL) {
		if (p == text.p || strchr(" \n", p[-1]) != NULL)
			break;
		p++;
	}
	if (p == NULL)
		return 0;
	p += n;
	while (p + len < end && strchr(" \r\n", p[len]) == NULL)
		len++;
	snprintf(out, size, "%.*s", (int)len, p);
	return 1;
}

static int
bad(enum conn_why why, struct err *err, enum conn_why *out)
{
	*out = why;
	err->status = conn_exit_status(why);
	err->sys = 0;
	return -1;
}

static int
not_redis(const char *place, enum conn_why *why, struct err *err)
{
	err_set(err, 0, "'%s' is not Redis", place);
	return bad(CONN_GARBAGE, err, why);
}

/* The text of an error reply to AUTH may quote the password; only its first word is shown. */
static int
judge_auth(const struct reply *r, const char *place, enum conn_why *why, struct err *err)
{
	enum conn_why w = reply_why(r);
	struct slice t = reply_text(r);

	if (w == CONN_OK)
		return reply_is_text(r) && slice_is(t, "OK") ? 0 : not_redis(place, why, err);
	if (w == CONN_LATER || w == CONN_MOVED) {
		err_set(err, 0, "'%s': %.*s", place, (int)t.n, t.p);
		return bad(w, err, why);
	}
	if (memmem(t.p, t.n, "without any password", 20) != NULL)
		err_set(err, 0, "'%s' has no password, but one was given", place);
	else
		err_set(
		    err, 0, "'%s' refused the password (%.*s)", place, (int)strcspn(t.p, " "), t.p);
	return bad(CONN_DENIED, err, why);
}

static int
judge_select(const struct reply *r, const char *place, enum conn_why *why, struct err *err)
{
	enum conn_why w = reply_why(r);
	char what[600];

	if (w == CONN_OK)
		return reply_is_text(r) && slice_is(reply_text(r), "OK")
		    ? 0
		    : not_redis(place, why, err);
	snprintf(what, sizeof(what), "select the database of '%s'", place);
	reply_fail(err, r, what);
	bad(w == CONN_NOPERM ? CONN_DENIED : w, err, why);
	if (w == CONN_OTHER)
		err->status = STATUS_CONFIG;
	return -1;
}

/* The two questions may be forbidden or unknown; only what concerns all commands alike is a
 * failure. */
static int
judge_fact(
    const struct reply *r, const char *place, const char *must, enum conn_why *why, struct err *err)
{
	enum conn_why w = reply_why(r);
	struct slice t = reply_text(r);

	if (w == CONN_LATER || w == CONN_DENIED || w == CONN_MOVED) {
		err_set(err, 0, "'%s': %.*s", place, (int)t.n, t.p);
		return bad(w, err, why);
	}
	if (w == CONN_OK && (t.n == 0 || memmem(t.p, t.n, must, strlen(must)) == NULL))
		return not_redis(place, why, err);
	return 0;
}

static int
take_client(const struct reply *r, const char *place, struct handshake *g, enum conn_why *why,
    struct err *err)
{
	char id[24];
	uint64_t n;

	if (judge_fact(r, place, "id=", why, err) == -1)
		return -1;
	if (reply_is_text(r) && pick(reply_text(r), "id=", id, sizeof(id)) &&
	    num_parse_u64(id, &n) == 0 && n <= INT64_MAX)
		g->client = (int64_t)n;
	if (reply_is_text(r))
		pick(reply_text(r), "addr=", g->addr, sizeof(g->addr));
	return 0;
}

static int
take_info(const struct reply *r, const char *place, struct handshake *g, enum conn_why *why,
    struct err *err)
{
	struct slice t = reply_is_text(r) ? reply_text(r) : (struct slice){0};
	char mode[16];

	if (judge_fact(r, place, "redis_version:", why, err) == -1)
		return -1;
	pick(t, "run_id:", g->run_id, sizeof(g->run_id));
	snprintf(g->server, sizeof(g->server), "%s", t.n == 0 ? "" : "redis");
	if (pick(t, "valkey_version:", g->version, sizeof(g->version)))
		snprintf(g->server, sizeof(g->server), "valkey");
	else
		pick(t, "redis_version:", g->version, sizeof(g->version));
	if (!pick(t, "redis_mode:", mode, sizeof(mode)))
		pick(t, "server_mode:", mode, sizeof(mode));
	if (strcmp(mode, "cluster") != 0)
		return 0;
	err_set(err, 0, "'%s' is a Redis cluster, which is not supported yet", place);
	return bad(CONN_MOVED, err, why);
}

static int64_t
micros(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

enum part { AUTH, SELECT, CLIENT, SERVER };

static int
judge(enum part part, const struct reply *r, const char *place, struct handshake *g,
    enum conn_why *why, struct err *err)
{
	switch (part) {
	case AUTH: return judge_auth(r, place, why, err);
	case SELECT: return judge_select(r, place, why, err);
	case CLIENT: return take_client(r, place, g, why, err);
	default: return take_info(r, place, g, why, err);
	}
}

int
handshake_finish(
    struct conn *conn, const char *place, struct handshake *g, enum conn_why *why, struct err *err)
{
	int64_t start = micros();
	struct reply *r;
	int ok = 0;

	for (enum part part = AUTH; part <= SERVER && ok == 0; part++) {
		if ((part == AUTH && !g->auth) || (part == SELECT && !g->select))
			continue;
		if ((r = conn_wait(conn, 0, err)) == NULL) {
			*why = conn_why(conn);
			return -1;
		}
		ok = judge(part, r, place, g, why, err);
		reply_free(r);
	}
	g->rtt_us = micros() - start;
	return ok;
}

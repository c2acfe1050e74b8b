#include "redis/handshake.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/status.h"
#include "redis/reply.h"

void
handshake_put(struct conn *conn, const struct url *u, struct handshake *hs)
{
	char db[16];

	hs->auth = u->password != NULL;
	hs->select = u->db != 0;
	if (hs->auth && u->user != NULL)
		conn_putl(conn, "AUTH", u->user, u->password, NULL);
	else if (hs->auth)
		conn_putl(conn, "AUTH", u->password, NULL);
	if (hs->select) {
		snprintf(db, sizeof(db), "%d", u->db);
		conn_putl(conn, "SELECT", db, NULL);
	}
	conn_putl(conn, "CLIENT", "INFO", NULL);
	conn_putl(conn, "INFO", "server", NULL);
}

/* Copies the word after `name`, up to a space or line end, into out; `name` must stand at the
 * start of the text or after a space or newline. Returns whether it was found. */
static bool
copy_word(struct slice text, const char *name, char *out, size_t size)
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
		return false;
	p += n;
	while (p + len < end && strchr(" \r\n", p[len]) == NULL)
		len++;
	snprintf(out, size, "%.*s", (int)len, p);
	return true;
}

static int
fail_not_redis(const char *target, struct err *err)
{
	return conn_fail(err, CONN_GARBAGE, "'%s' is not Redis", target);
}

/* An error reply to AUTH may quote the password, so err shows only its first word. */
static int
check_auth(const struct reply *r, const char *target, struct err *err)
{
	enum conn_why w = reply_why(r);
	struct slice t = reply_text(r);

	if (w == CONN_OK)
		return reply_is_text(r) && slice_is(t, "OK") ? 0 : fail_not_redis(target, err);
	if (w == CONN_LATER || w == CONN_MOVED)
		return conn_fail(err, w, "'%s': %.*s", target, (int)t.n, t.p);
	if (memmem(t.p, t.n, "without any password", 20) != NULL)
		return conn_fail(
		    err, CONN_DENIED, "'%s' has no password, but one was given", target);
	return conn_fail(err, CONN_DENIED, "'%s' refused the password (%.*s)", target,
	    (int)strcspn(t.p, " "), t.p);
}

static int
check_select(const struct reply *r, const char *target, struct err *err)
{
	enum conn_why w = reply_why(r);
	char what[600];

	if (w == CONN_OK)
		return reply_is_text(r) && slice_is(reply_text(r), "OK")
		    ? 0
		    : fail_not_redis(target, err);
	snprintf(what, sizeof(what), "select the database of '%s'", target);
	reply_fail(err, r, what);
	if (w == CONN_NOPERM)
		err->why = CONN_DENIED;
	if (w == CONN_OTHER)
		err->status = STATUS_CONFIG;
	return -1;
}

/* CLIENT INFO and INFO may be forbidden or unknown: only an error that would meet every command is
 * a failure. `marker` stands in each valid reply. */
static int
check_info(const struct reply *r, const char *target, const char *marker, struct err *err)
{
	enum conn_why w = reply_why(r);
	struct slice t = reply_text(r);

	if (w == CONN_LATER || w == CONN_DENIED || w == CONN_MOVED)
		return conn_fail(err, w, "'%s': %.*s", target, (int)t.n, t.p);
	if (w == CONN_OK && (t.n == 0 || memmem(t.p, t.n, marker, strlen(marker)) == NULL))
		return fail_not_redis(target, err);
	return 0;
}

static int
take_client_info(const struct reply *r, const char *target, struct handshake *hs, struct err *err)
{
	char id[24];
	uint64_t n;

	if (check_info(r, target, "id=", err) == -1)
		return -1;
	if (reply_is_text(r) && copy_word(reply_text(r), "id=", id, sizeof(id)) &&
	    num_parse_u64(id, &n) == 0 && n <= INT64_MAX)
		hs->client = (int64_t)n;
	if (reply_is_text(r))
		copy_word(reply_text(r), "addr=", hs->addr, sizeof(hs->addr));
	return 0;
}

static int
take_server_info(const struct reply *r, const char *target, struct handshake *hs, struct err *err)
{
	struct slice t = reply_is_text(r) ? reply_text(r) : (struct slice){0};
	char mode[16];

	if (check_info(r, target, "redis_version:", err) == -1)
		return -1;
	copy_word(t, "run_id:", hs->run_id, sizeof(hs->run_id));
	snprintf(hs->server, sizeof(hs->server), "%s", t.n == 0 ? "" : "redis");
	if (copy_word(t, "valkey_version:", hs->version, sizeof(hs->version)))
		snprintf(hs->server, sizeof(hs->server), "valkey");
	else
		copy_word(t, "redis_version:", hs->version, sizeof(hs->version));
	if (!copy_word(t, "redis_mode:", mode, sizeof(mode)))
		copy_word(t, "server_mode:", mode, sizeof(mode));
	if (strcmp(mode, "cluster") != 0)
		return 0;
	return conn_fail(
	    err, CONN_MOVED, "'%s' is a Redis cluster, which is not supported yet", target);
}

static int64_t
mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

enum part { AUTH, SELECT, CLIENT, SERVER };

static int
check_handshake_reply(enum part part, const struct reply *r, const char *target,
    struct handshake *hs, struct err *err)
{
	switch (part) {
	case AUTH: return check_auth(r, target, err);
	case SELECT: return check_select(r, target, err);
	case CLIENT: return take_client_info(r, target, hs, err);
	default: return take_server_info(r, target, hs, err);
	}
}

int
handshake_finish(struct conn *conn, const char *target, struct handshake *hs, struct err *err)
{
	int64_t start = mono_us();
	struct reply *r;
	int ok = 0;

	for (enum part part = AUTH; part <= SERVER && ok == 0; part++) {
		if ((part == AUTH && !hs->auth) || (part == SELECT && !hs->select))
			continue;
		if ((r = conn_wait(conn, 0, err)) == NULL)
			return -1;
		ok = check_handshake_reply(part, r, target, hs, err);
		reply_free(r);
	}
	hs->rtt_us = mono_us() - start;
	return ok;
}

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
	hs->carriage_return = hs->auth && *u->password->text != '\0' &&
	    u->password->text[strlen(u->password->text) - 1] == '\r';
	hs->select = u->db != 0;
	if (hs->auth && u->user != NULL)
		conn_putl(conn, "AUTH", u->user, u->password->text, NULL);
	else if (hs->auth)
		conn_putl(conn, "AUTH", u->password->text, NULL);
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

/* An error reply to AUTH may quote the password, so err shows only its first word. */
static int
refuse_auth(const struct handshake *hs, struct slice t, const char *target, struct err *err)
{
	if (memmem(t.p, t.n, "without any password", 20) != NULL)
		return conn_fail(
		    err, CONN_DENIED, "'%s' has no password, but one was given", target);
	return conn_fail(err, CONN_DENIED, "'%s' refused the password (%.*s)%s", target,
	    (int)strcspn(t.p, " "), t.p,
	    hs->carriage_return ? "; it ends with a carriage return: its file has CRLF lines" : "");
}

static int
refuse_select(const struct reply *r, const char *target, struct err *err)
{
	char what[600];

	snprintf(what, sizeof(what), "select the database of '%s'", target);
	reply_fail(err, r, what);
	if (err->why == CONN_NOPERM)
		err->why = CONN_DENIED;
	if (err->why == CONN_OTHER)
		err->status = STATUS_CONFIG;
	return -1;
}

static int
read_server_info(struct slice t, const char *target, struct conn_facts *facts, struct err *err)
{
	char mode[16];
	bool valkey = copy_word(t, "valkey_version:", facts->version, sizeof(facts->version));

	snprintf(facts->server, sizeof(facts->server), "%s", valkey ? "valkey" : "redis");
	if (!valkey)
		copy_word(t, "redis_version:", facts->version, sizeof(facts->version));
	copy_word(t, "run_id:", facts->run_id, sizeof(facts->run_id));
	if (!copy_word(t, "redis_mode:", mode, sizeof(mode)))
		copy_word(t, "server_mode:", mode, sizeof(mode));
	if (strcmp(mode, "cluster") != 0)
		return 0;
	return conn_fail(
	    err, CONN_MOVED, "'%s' is a Redis cluster, which is not supported yet", target);
}

enum part { AUTH, SELECT, CLIENT, SERVER };

/* CLIENT INFO and INFO may be forbidden or unknown: only an error that would meet every command is
 * a failure. */
static int
take_handshake_reply(enum part part, const struct reply *r, const char *target,
    struct handshake *hs, struct err *err)
{
	static const char *const marks[] = {"OK", "OK", "id=", "redis_version:"};
	enum conn_why why = reply_why(r);
	struct slice t = reply_text(r);
	char id[24];
	uint64_t n;

	if (why == CONN_LATER || why == CONN_MOVED || (why == CONN_DENIED && part >= CLIENT))
		return conn_fail(err, why, "'%s': %.*s", target, (int)t.n, t.p);
	if (why != CONN_OK)
		return part == AUTH  ? refuse_auth(hs, t, target, err)
		    : part == SELECT ? refuse_select(r, target, err)
		                     : 0;
	if (part < CLIENT ? !slice_is(t, marks[part])
	                  : t.n == 0 || memmem(t.p, t.n, marks[part], strlen(marks[part])) == NULL)
		return conn_fail(err, CONN_GARBAGE, "'%s' is not Redis", target);
	if (part == CLIENT) {
		if (copy_word(t, "id=", id, sizeof(id)) && num_parse_u64(id, &n) == 0 &&
		    n <= INT64_MAX)
			hs->facts.client = (int64_t)n;
		copy_word(t, "addr=", hs->facts.addr, sizeof(hs->facts.addr));
	}
	return part == SERVER ? read_server_info(t, target, &hs->facts, err) : 0;
}

static int64_t
mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
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
		if ((r = conn_wait(conn, err)) == NULL)
			return -1;
		ok = take_handshake_reply(part, r, target, hs, err);
		reply_free(r);
	}
	hs->facts.rtt_us = mono_us() - start;
	return ok;
}

/*
 * url: the address of a Redis server, its credentials and database.
 *
 *     redis://[user[:password]@]host[:port][/db]    an IPv6 address in brackets: [::1]
 *     unix://[user[:password]@]/path.sock           also unix:/path.sock and redis+unix://
 *
 * "?db=N" may follow both, and valkey stands for redis. User, password and path may be %-escaped;
 * the user may be empty. rediss:// (TLS) is refused with status 78, anything else with 64. Messages
 * show the URL without what may be a password: the part before the last '@', a port that is no
 * number, a query other than db=N.
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include <stdbool.h>

#include "base/err.h"

enum url_scheme { URL_TCP, URL_UNIX, URL_SCHEMES };

struct url_password {
	char *text;
	char *file; /* that it was read from; NULL */
};

struct url {
	enum url_scheme scheme;
	char *host; /* NULL for a unix socket */
	int port;
	char *path; /* NULL for TCP */
	int db;
	char *user;                    /* NULL when none */
	struct url_password *password; /* NULL when none */
};

/* Overwrites *u. */
int url_parse(struct url *u, const char *s, struct err *err);
/* Returns the '@' that ends the user and password of a URL, or NULL. */
const char *url_login_end(const char *s);
/* Gives a URL that has no password one. */
void url_set_password(struct url *u, const char *text);
/* The same from a file, without the newline at its end. Returns 1, 0 when there is no such file, -1
 * on failure; both with err, status 78. */
int url_read_password(struct url *u, const char *file, struct err *err);
/* Reads the file of the password again, for the next connection. Returns whether it has another
 * one. A file that cannot be read changes nothing. */
bool url_renew_password(const struct url *u);
/* Wipes the password. */
void url_free(struct url *u);

/* Returns the target of the URL without secrets: "redis://host:6379/0" or "unix:///path.sock?db=0",
 * the host in lower case. The caller frees it. Two URLs name the same target exactly when these are
 * equal. */
char *url_target(const struct url *u);

#endif

/*
 * url: where Redis is, and with which credentials.
 *
 *     redis://[user[:password]@]host[:port][/db]    [::1] in brackets; user may be empty
 *     unix:///path.sock[?db=N]      unix:/path.sock, redis+unix:// too
 * User, password and path may be %-escaped. rediss:// is recognised and refused
 * with status 78; what is no URL is refused with 64. Nothing else in a URL is accepted silently.
 * Reasons show the URL without what stands before the last '@'.
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include "base/err.h"

struct url {
	char *host; /* NULL for a unix socket */
	int port;
	char *path; /* NULL for TCP */
	int db;
	char *user, *password; /* NULL when none */
};

int url_parse(struct url *u, const char *s, struct err *err); /* *u is overwritten */
void url_free(struct url *u);                                 /* wipes the password */

/* The same place in words without secrets: "redis://host:6379/0" or
 * "unix:///path.sock?db=0". A fresh string; two URLs mean the same target exactly
 * when these are equal (host in lower case). */
char *url_target(const struct url *u);

#endif

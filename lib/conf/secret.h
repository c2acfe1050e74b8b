/*
 * secret: where the password of Redis is found when the URL has none.
 *
 * In this order: the file that EB_REDIS_PASSWORD_FILE names, redis-password in
 * $CREDENTIALS_DIRECTORY (systemd.exec(5)) when there is one, EB_REDIS_PASSWORD, REDISCLI_AUTH. Of
 * a file one newline at its end is cut. Empty variables count as unset.
 */
#ifndef CONF_SECRET_H
#define CONF_SECRET_H

#include "base/err.h"

/* 0 and a fresh string, or NULL in *password when there is none; -1 with status 78 when a file
 * cannot be read, is empty or has a NUL in it. */
int secret_find(char **password, struct err *err);
/* Overwrites with 'x' the password of a URL in place, leaving its length. */
void secret_hide(char *url);

#endif

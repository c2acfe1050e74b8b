/*
 * secret: finds the password of Redis when the URL has none.
 *
 * The sources, in this order: the file that EB_REDIS_PASSWORD_FILE names; the file redis-password
 * in $CREDENTIALS_DIRECTORY (systemd.exec(5)), when it exists; EB_REDIS_PASSWORD; REDISCLI_AUTH.
 * One newline at the end of a file is dropped. Empty variables count as unset.
 */
#ifndef CONF_SECRET_H
#define CONF_SECRET_H

#include "base/err.h"

/* Stores a new string, or NULL when there is no password. Returns 0, or -1 with status 78 when a
 * file cannot be read, is empty or contains a NUL. */
int secret_find(char **password, struct err *err);
/* Overwrites the password of a URL in place with 'x' characters. */
void secret_hide(char *url);

#endif

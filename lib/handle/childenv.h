/*
 * childenv: what a command learns of its event from its environment.
 *
 *     EB_EVENT_TYPE EB_EVENT_ID EB_ID EB_STREAM EB_TRACE_ID EB_CORRELATION_ID EB_TIMESTAMP
 * EB_SOURCE EB_DELIVERIES
 *
 * The rest of it is ours without passwords: EB_REDIS_PASSWORD and REDISCLI_AUTH are left out, and
 * the one in EB_REDIS_URL. What an entry does not have is not set; nor is what no environment can
 * hold (a NUL in it, more than 32 KiB).
 */
#ifndef HANDLE_CHILDENV_H
#define HANDLE_CHILDENV_H

#include "event/format.h"

struct childenv;

struct childenv *childenv_new(void); /* takes the environment as it is now */
/* For execve(2); holds until the next call. */
char **childenv_for_event(struct childenv *env, const struct record *r);
char **childenv_without_event(struct childenv *env); /* without an event: for a worker */
void childenv_free(struct childenv *env);

#endif

/*
 * childenv: the environment of a command, which describes its event.
 *
 *     EB_EVENT_TYPE      EB_STREAM          EB_TIMESTAMP
 *     EB_EVENT_ID        EB_TRACE_ID        EB_SOURCE
 *     EB_ID              EB_CORRELATION_ID  EB_DELIVERIES
 *
 * The rest is inherited without passwords: EB_REDIS_PASSWORD and REDISCLI_AUTH are removed, and the
 * password in EB_REDIS_URL. A variable is not set when the entry lacks the field, or when the value
 * has a NUL or more than 32 KiB.
 */
#ifndef HANDLE_CHILDENV_H
#define HANDLE_CHILDENV_H

#include "event/format.h"

struct childenv;

/* Copies the pointers of the environment as it is now; the strings stay borrowed. */
struct childenv *childenv_new(void);
/* Returns an environment for execve(2), valid until the next call. */
char **childenv_for_event(struct childenv *env, const struct event_entry *record);
/* Returns the environment of a worker. */
char **childenv_without_event(struct childenv *env);
void childenv_free(struct childenv *env);

#endif

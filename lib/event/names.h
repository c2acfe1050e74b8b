/*
 * names: event type <-> stream, group and dead-letter keys; what is legal. Pure.
 *
 * A type or service is 1 to 200 of [A-Za-z0-9._-], not beginning with '-'
 * (contract, section 2). Keys come as fresh strings that the caller frees.
 */
#ifndef EVENT_NAMES_H
#define EVENT_NAMES_H

#include <stddef.h>

#define NAMES_MAX 200
#define NAMES_LEGAL "1 to 200 of [A-Za-z0-9._-], not beginning with '-'" /* for texts */

int names_legal(const char *s, size_t n); /* 1 when a legal type or service */
/* 1 to 100 printable bytes without space or glob characters */
int names_legal_prefix(const char *s);
int names_is_pattern(const char *s); /* 1 when it holds * ? or [ */

char *names_stream(const char *prefix, const char *type); /* PREFIX:stream:TYPE */
char *names_group(const char *prefix, const char *service, const char *type);
char *names_dlq(const char *prefix, const char *type); /* PREFIX:dlq:TYPE */

/* The type in a stream's key, as a pointer into key (the rest of it, key need
 * not be NUL-terminated); NULL when it is not a stream of this prefix with a legal type. */
const char *names_stream_type(const char *prefix, const char *key, size_t n);
/* the same for dead letters */
const char *names_dlq_type(const char *prefix, const char *key, size_t n);

#endif

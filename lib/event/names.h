/*
 * names: legal names, and the keys of streams, groups and dead letters.
 *
 * A type or service is 1 to 200 of [A-Za-z0-9._-], not beginning with '-' (eventbus(7)). Keys are
 * new strings that the caller frees.
 */
#ifndef EVENT_NAMES_H
#define EVENT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define NAMES_MAX 200
#define NAMES_LEGAL "1 to 200 of [A-Za-z0-9._-], not beginning with '-'" /* for error texts */

/* Returns true for a legal type or service. */
bool names_legal(const char *s, size_t n);
/* Returns true for 1 to 100 printable ASCII bytes without spaces and glob characters. */
bool names_legal_prefix(const char *s);
/* Returns true when s contains *, ? or [. */
bool names_is_pattern(const char *s);

char *names_stream(const char *prefix, const char *type); /* PREFIX:stream:TYPE */
/* PREFIX:group:SERVICE:TYPE */
char *names_group(const char *prefix, const char *service, const char *type);
char *names_dlq(const char *prefix, const char *type); /* PREFIX:dlq:TYPE */

/* Returns the type in the key of a stream, as a pointer to the last bytes of key, which need not be
 * NUL-terminated. Returns NULL when the key has another form or prefix, or an illegal type. */
const char *names_stream_type(const char *prefix, const char *key, size_t n);
/* Returns the type in the key of a dead-letter stream, like names_stream_type. */
const char *names_dlq_type(const char *prefix, const char *key, size_t n);

#endif

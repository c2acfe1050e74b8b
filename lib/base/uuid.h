/*
 * uuid: identities (RFC 9562), in the 36-character lower-case form.
 *
 * Unique, not secret: the random bits are those of a generator that getrandom(2) seeds with 256
 * bits, once in a process; to ask the kernel for all of them is a tenth of the time that publishing
 * takes. A process that forks must not make UUIDs in both halves.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stddef.h>

#define UUID_SIZE 37

void uuid_v4(char out[UUID_SIZE]);
/* Version 7: those made by one process sort in the order of making (RFC 9562,
 * 6.2 method 1: a counter in rand_a that is started anew each millisecond). */
void uuid_v7(char out[UUID_SIZE]);
/* Version 8: the same bytes give the same UUID, for ever (FNV-1a, 128 bits, over
 * `space`, a NUL, then the n bytes). */
void uuid_derived(const char *space, const void *p, size_t n, char out[UUID_SIZE]);

#endif

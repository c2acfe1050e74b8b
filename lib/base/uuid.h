/*
 * uuid: UUIDs (RFC 9562) in the 36-character lower-case form.
 *
 * UUIDs are unique, not secret: their random bits come from a generator that getrandom(2) seeds
 * with 128 bits once per process. Without it, even 4 KiB of getrandom(2) for 128 events at a time
 * cost a twentieth of the time of publishing. After fork(2), only one of the two processes may make
 * UUIDs.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stddef.h>
#include <stdint.h>

#define UUID_SIZE 37

/* Returns 64 bits of the generator, for names that no other process has. */
uint64_t uuid_random_bits(void);

void uuid_v4(char out[UUID_SIZE]);
/* Makes a version 7 UUID. Those of one process sort in the order they were made (RFC 9562,
 * 6.2 method 1: a counter in rand_a, reseeded each millisecond). */
void uuid_v7(char out[UUID_SIZE]);
/* Makes a version 8 UUID that depends only on the arguments and never changes between releases:
 * 128-bit FNV-1a over `space`, a NUL, then the n bytes. */
void uuid_derived(const char *space, const void *p, size_t n, char out[UUID_SIZE]);

#endif

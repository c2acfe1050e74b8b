#include "base/uuid.h"

#include <sys/random.h>

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

__extension__ typedef unsigned __int128 uint128;

#define FNV_OFFSET ((uint128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d)

static uint128
hash_fnv1a(uint128 hash, const unsigned char *p, size_t n)
{
	const uint128 prime = (uint128)1 << 88 | 0x13b;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * prime;
	return hash;
}

/* Where getrandom(2) is forbidden the time and the process ID make the seed: a repeated one is
 * unlikely, a guessed one is not. */
static uint128
make_seed(void)
{
	int64_t own[2] = {clock_now(), getpid()};
	uint128 seed;

	/* 16 bytes are never interrupted and never short */
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = hash_fnv1a(FNV_OFFSET, (const unsigned char *)own, sizeof(own));
	return seed | 1;
}

/* Returns the upper half of a multiplicative congruential generator of 128 bits (L'Ecuyer; the
 * multiplier is that of PCG). */
uint64_t
uuid_random_bits(void)
{
	static uint128 state;

	if (state == 0)
		state = make_seed();
	state *= (uint128)0x2360ed051fc65da4 << 64 | 0x4385df649fccf645;
	return (uint64_t)(state >> 64);
}

static void
fill_random(unsigned char out[16])
{
	uint64_t a = uuid_random_bits(), b = uuid_random_bits();

	memcpy(out, &a, 8);
	memcpy(out + 8, &b, 8);
}

/* Writes four bytes as eight hex digits with one 64-bit word: spreads each nibble into a byte of
 * its own, then adds '0', and 39 more to those above 9. */
static char *
put_hex_word(char *out, const unsigned char *p)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t n = (uint64_t)p[3] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[1] << 8 | p[0];

	n = (n | n << 16) & UINT64_C(0x0000ffff0000ffff);
	n = (n | n << 8) & UINT64_C(0x00ff00ff00ff00ff);
	n = (n >> 4 | n << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	n += '0' * each + ((n + 6 * each) >> 4 & each) * 39;
	n = htole64(n);
	memcpy(out, &n, 8);
	return out + 8;
}

static void
format_uuid(unsigned char b[16], int version, char out[UUID_SIZE])
{
	char digits[32], *d = digits;

	b[6] = (unsigned char)((b[6] & 0x0f) | version << 4);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i += 4)
		d = put_hex_word(d, b + i);
	memcpy(out, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", UUID_SIZE);
	memcpy(out, digits, 8);
	memcpy(out + 9, digits + 8, 4);
	memcpy(out + 14, digits + 12, 4);
	memcpy(out + 19, digits + 16, 4);
	memcpy(out + 24, digits + 20, 12);
}

void
uuid_v4(char out[UUID_SIZE])
{
	unsigned char b[16];

	fill_random(b);
	format_uuid(b, 4, out);
}

/* The counter starts in the lower half of its range. When it overflows, or when the clock steps
 * back, the time in the UUID runs ahead of the clock. */
void
uuid_v7(char out[UUID_SIZE])
{
	static uint64_t last;
	static unsigned counter;
	uint64_t now = (uint64_t)(clock_now() / 1000);
	unsigned char b[16];

	fill_random(b);
	if (now > last || ++counter > 0xfff) {
		last = now > last ? now : last + 1;
		counter = (b[6] << 8 | b[7]) & 0x7ff;
	}
	for (int i = 0; i < 6; i++)
		b[i] = (unsigned char)(last >> (40 - 8 * i));
	b[6] = (unsigned char)(counter >> 8);
	b[7] = (unsigned char)counter;
	format_uuid(b, 7, out);
}

void
uuid_derived(const char *space, const void *p, size_t n, char out[UUID_SIZE])
{
	unsigned char b[16];
	uint128 hash;

	hash = hash_fnv1a(FNV_OFFSET, (const unsigned char *)space, strlen(space) + 1);
	hash = hash_fnv1a(hash, p, n);
	for (int i = 15; i >= 0; i--, hash >>= 8)
		b[i] = (unsigned char)hash;
	format_uuid(b, 8, out);
}

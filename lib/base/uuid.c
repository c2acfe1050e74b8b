#include "base/uuid.h"

#include <sys/random.h>

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

__extension__ typedef unsigned __int128 uint128;

static uint64_t state[4];

/* Seeds by splitmix64 from the time and the process ID, for systems that forbid getrandom(2): a
 * repeated seed is unlikely, a guessed one is not. */
static void
seed_from_clock(void)
{
	uint64_t s = (uint64_t)clock_now() * 2654435761u ^ (uint64_t)getpid() << 40;

	for (size_t i = 0; i < 4; i++) {
		uint64_t z = s += 0x9e3779b97f4a7c15;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		state[i] = z ^ z >> 31;
	}
}

static void
seed_state(void)
{
	unsigned char *p = (unsigned char *)state;
	size_t have = 0;

	while (have < sizeof(state)) {
		ssize_t got = getrandom(p + have, sizeof(state) - have, 0);

		if (got > 0) {
			have += (size_t)got;
		} else if (errno != EINTR) {
			seed_from_clock();
			break;
		}
	}
}

static uint64_t
rotate_left(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* Returns the next 64 bits of xoshiro256++ (Blackman and Vigna). */
static uint64_t
next_random(void)
{
	uint64_t *s = state, out, t;

	if ((s[0] | s[1] | s[2] | s[3]) == 0)
		seed_state();
	out = rotate_left(s[0] + s[3], 23) + s[0];
	t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return out;
}

static void
fill_random(unsigned char out[16])
{
	uint64_t a = next_random(), b = next_random();

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

static uint128
hash_fnv1a(uint128 hash, const unsigned char *p, size_t n)
{
	const uint128 prime = (uint128)1 << 88 | 0x13b;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * prime;
	return hash;
}

void
uuid_derived(const char *space, const void *p, size_t n, char out[UUID_SIZE])
{
	uint128 hash = (uint128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
	unsigned char b[16];

	hash = hash_fnv1a(hash, (const unsigned char *)space, strlen(space) + 1);
	hash = hash_fnv1a(hash, p, n);
	for (int i = 15; i >= 0; i--, hash >>= 8)
		b[i] = (unsigned char)hash;
	format_uuid(b, 8, out);
}

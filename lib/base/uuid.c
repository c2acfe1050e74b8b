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

/* splitmix64. For a system that forbids getrandom(2): not secret, but hardly ever the same twice.
 */
static void
seed_poorly(void)
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
seed(void)
{
	unsigned char *p = (unsigned char *)state;
	size_t have = 0;

	while (have < sizeof(state)) {
		ssize_t got = getrandom(p + have, sizeof(state) - have, 0);

		if (got > 0) {
			have += (size_t)got;
		} else if (errno != EINTR) {
			seed_poorly();
			break;
		}
	}
}

static uint64_t
rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* xoshiro256++ (Blackman and Vigna). */
static uint64_t
next(void)
{
	uint64_t *s = state, out, t;

	if ((s[0] | s[1] | s[2] | s[3]) == 0)
		seed();
	out = rotate(s[0] + s[3], 23) + s[0];
	t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return out;
}

static void
random_bytes(unsigned char out[16])
{
	uint64_t a = next(), b = next();

	memcpy(out, &a, 8);
	memcpy(out + 8, &b, 8);
}

/* Four bytes as eight digits, all at once: each nibble in a byte of its own, and 39 more than '0'
 * where it is a letter. */
static char *
put_hex4(char *out, const unsigned char *p)
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
print(unsigned char b[16], int version, char out[UUID_SIZE])
{
	char digits[32], *d = digits;

	b[6] = (unsigned char)((b[6] & 0x0f) | version << 4);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i += 4)
		d = put_hex4(d, b + i);
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

	random_bytes(b);
	print(b, 4, out);
}

/* The counter starts below half of its range; when it is used up, or the clock steps back, the time
 * in the UUID runs ahead of the clock. */
void
uuid_v7(char out[UUID_SIZE])
{
	static uint64_t last;
	static unsigned counter;
	uint64_t now = (uint64_t)(clock_now() / 1000);
	unsigned char b[16];

	random_bytes(b);
	if (now > last || ++counter > 0xfff) {
		last = now > last ? now : last + 1;
		counter = (b[6] << 8 | b[7]) & 0x7ff;
	}
	for (int i = 0; i < 6; i++)
		b[i] = (unsigned char)(last >> (40 - 8 * i));
	b[6] = (unsigned char)(counter >> 8);
	b[7] = (unsigned char)counter;
	print(b, 7, out);
}

static uint128
fnv(uint128 hash, const unsigned char *p, size_t n)
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

	hash = fnv(hash, (const unsigned char *)space, strlen(space) + 1);
	hash = fnv(hash, p, n);
	for (int i = 15; i >= 0; i--, hash >>= 8)
		b[i] = (unsigned char)hash;
	print(b, 8, out);
}

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "uuid.h"
#include "when.h"

__extension__ typedef unsigned __int128 uint128;

/* For a system that forbids getrandom(2): not secret, but hardly ever the same twice. */
static void
fill_poorly(unsigned char *p, size_t n)
{
	static uint64_t state;

	state += (uint64_t)when_now() * 2654435761u ^ (uint64_t)getpid() << 40;
	for (size_t i = 0; i < n; i++) {
		uint64_t z = state += 0x9e3779b97f4a7c15;	/* splitmix64 */

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		p[i] = (unsigned char)(z >> 32);
	}
}

static void
random_bytes(unsigned char *out, size_t n)
{
	static unsigned char pool[4096];
	static size_t left;

	if (left < n) {
		for (left = 0; left < sizeof pool; ) {
			ssize_t got = getrandom(pool + left, sizeof pool - left, 0);

			if (got > 0) {
				left += (size_t)got;
			} else if (errno != EINTR) {
				fill_poorly(pool, sizeof pool);
				left = sizeof pool;
			}
		}
	}
	left -= n;
	memcpy(out, pool + left, n);
}

static char *
put_hex(char *out, const unsigned char *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = hex[p[i] >> 4];
		*out++ = hex[p[i] & 15];
	}
	return out;
}

static void
print(unsigned char b[16], int version, char out[UUID_SIZE])
{
	b[6] = (unsigned char)((b[6] & 0x0f) | version << 4);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	out = put_hex(out, b, 4);
	for (int i = 4; i < 10; i += 2) {
		*out++ = '-';
		out = put_hex(out, b + i, 2);
	}
	*out++ = '-';
	out = put_hex(out, b + 10, 6);
	*out = '\0';
}

void
uuid_v4(char out[UUID_SIZE])
{
	unsigned char b[16];

	random_bytes(b, sizeof b);
	print(b, 4, out);
}

/* The counter starts below half of its range; when it is used up, or the clock steps back, the time in
 * the UUID runs ahead of the clock. */
void
uuid_v7(char out[UUID_SIZE])
{
	static uint64_t last;
	static unsigned counter;
	uint64_t now = (uint64_t)(when_now() / 1000);
	unsigned char b[16];

	random_bytes(b, sizeof b);
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

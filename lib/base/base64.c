#include "base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Encodes one to three bytes as four characters. */
static void
encode_group(struct bytes *out, const unsigned char *p, size_t n)
{
	unsigned long bits = (unsigned long)p[0] << 16;
	char c[4];

	if (n > 1)
		bits |= (unsigned long)p[1] << 8;
	if (n > 2)
		bits |= p[2];
	for (size_t i = 0; i < 4; i++)
		c[i] = (char)(i > n ? '=' : alphabet[bits >> (18 - 6 * i) & 63]);
	bytes_add(out, c, sizeof(c));
}

void
base64_encode(struct bytes *out, const char *p, size_t n)
{
	const unsigned char *from = (const unsigned char *)p;

	for (; n > 3; from += 3, n -= 3)
		encode_group(out, from, 3);
	if (n > 0)
		encode_group(out, from, n);
}

/* Decodes the n digits (2 to 4) of a group. Bits that belong to no byte must be 0. */
static int
decode_group(struct bytes *out, const char *p, size_t n)
{
	unsigned long bits = 0;

	for (size_t i = 0; i < 4; i++) {
		const char *at = i < n ? memchr(alphabet, p[i], sizeof(alphabet) - 1) : alphabet;

		if (at == NULL)
			return -1;
		bits = bits << 6 | (unsigned long)(at - alphabet);
	}
	if ((bits & (0xffffffUL >> 8 * (n - 1))) != 0)
		return -1;
	for (size_t i = 0; i + 1 < n; i++)
		bytes_addc(out, (char)(bits >> (16 - 8 * i)));
	return 0;
}

int
base64_decode(struct bytes *out, const char *p, size_t n)
{
	size_t before = out->len, pad = 0;

	if (n % 4 != 0)
		return -1;
	while (pad < 2 && pad < n && p[n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < n; i += 4) {
		if (decode_group(out, p + i, i + 4 < n ? 4 : 4 - pad) == -1) {
			out->len = before;
			return -1;
		}
	}
	return 0;
}

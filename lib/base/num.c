#include "base/num.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

char *
num_put_u64(char *out, uint64_t n)
{
	uint64_t bound = 10;
	size_t len = 1;

	for (; n >= bound && len < NUM_DIGITS; bound *= 10)
		len++;
	for (size_t i = len; i-- > 0; n /= 10)
		out[i] = (char)('0' + n % 10);
	return out + len;
}

void
num_put_hex8(char *out, uint32_t n)
{
	for (int i = 7; i >= 0; i--, n >>= 4)
		out[i] = "0123456789abcdef"[n & 15];
}

int
num_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
num_parse_u64(const char *s, uint64_t *out)
{
	uint64_t n = 0;

	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		unsigned digit = (unsigned)(*s - '0');

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -1;
		n = n * 10 + digit;
	}
	*out = n;
	return 0;
}

struct decimal {
	uint64_t whole, part, scale; /* whole + part / scale; scale is a power of ten */
};

/* Parses 1, 1.5 or .5; digits after the ninth of the fraction are ignored. Moves *s behind the
 * number. */
static int
parse_decimal(const char **s, struct decimal *d)
{
	const char *p = *s;
	size_t n = strspn(p, "0123456789");
	char digits[21] = "0";

	*d = (struct decimal){0, 0, 1};
	if ((n == 0 && *p != '.') || n >= sizeof(digits))
		return -1;
	memcpy(digits, p, n);
	if (num_parse_u64(digits, &d->whole) == -1)
		return -1;
	p += n;
	if (*p == '.') {
		if ((n = strspn(++p, "0123456789")) == 0)
			return -1;
		for (size_t i = 0; i < n && i < 9; i++) {
			d->part = d->part * 10 + (uint64_t)(p[i] - '0');
			d->scale *= 10;
		}
		p += n;
	}
	*s = p;
	return 0;
}

static int
multiply_decimal(const struct decimal *d, uint64_t unit, uint64_t *out)
{
	uint64_t more;

	/* part < 10^9, so its product with a unit up to 2^30 fits */
	if (unit > 1 << 30)
		more = d->part * (unit >> 20) / d->scale << 20;
	else
		more = d->part * unit / d->scale;
	if (d->whole > (UINT64_MAX - more) / unit)
		return -1;
	*out = d->whole * unit + more;
	return 0;
}

int
num_parse_size(const char *s, uint64_t *bytes)
{
	static const char letters[] = "kmgt";
	const char *unit = NULL;
	struct decimal d;
	int shift = 0;

	if (parse_decimal(&s, &d) == -1)
		return -1;
	if (*s != '\0' && (unit = strchr(letters, *s | 0x20)) != NULL) {
		shift = 10 * (int)(unit - letters + 1);
		s++;
	}
	if (*s != '\0' && strcasecmp(s, "b") != 0 && (unit == NULL || strcasecmp(s, "ib") != 0))
		return -1;
	if (unit == NULL && d.scale != 1)
		return -1;
	return multiply_decimal(&d, (uint64_t)1 << shift, bytes);
}

int
num_parse_ms(const char *s, int64_t *ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
	    {"", 1000},
	    {"ms", 1},
	    {"s", 1000},
	    {"m", 60000},
	    {"h", 3600000},
	    {"d", 86400000},
	};
	struct decimal d;
	uint64_t n;

	if (parse_decimal(&s, &d) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(s, units[i].name) != 0)
			continue;
		if (multiply_decimal(&d, units[i].ms, &n) == -1 || n > INT64_MAX)
			return -1;
		*ms = (int64_t)n;
		return 0;
	}
	return -1;
}

void
num_format_size(uint64_t bytes, char out[NUM_SIZE_TEXT])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, NUM_SIZE_TEXT, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
		return;
	}
	/* A value that would be printed as 1024.0 takes the next unit. */
	for (; n >= 1023.95 && i < sizeof(units) / sizeof(units[0]) - 1; i++)
		n /= 1024;
	snprintf(out, NUM_SIZE_TEXT, "%.1f %s", n, units[i]);
}

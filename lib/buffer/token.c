#include "buffer/token.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void
token_add(struct bytes *out, const char *s)
{
	bool dash = strcmp(s, "-") == 0; /* "-" alone is the empty string */

	if (*s == '\0')
		bytes_addc(out, '-');
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == '%' || *s == 127 || dash)
			bytes_addf(out, "%%%02X", (unsigned char)*s);
		else
			bytes_addc(out, *s);
}

char *
token_next(char **line)
{
	char *p = *line + strspn(*line, " "), *start = p, *to = p;
	bool empty = p[0] == '-' && (p[1] == ' ' || p[1] == '\0');
	unsigned hex;

	for (; *p && *p != ' '; p++)
		/* NOLINTNEXTLINE(cert-err34-c): two digits fit */
		if (*p == '%' && p[1] && p[2] && sscanf(p + 1, "%2x", &hex) == 1) {
			*to++ = (char)hex;
			p += 2;
		} else
			*to++ = *p;
	*line = *p ? p + 1 : p;
	*to = '\0';
	if (empty)
		*start = '\0';
	return start;
}

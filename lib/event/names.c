#include "event/names.h"

#include <string.h>

#include "base/bytes.h"

bool
names_legal(const char *s, size_t n)
{
	if (n < 1 || n > NAMES_MAX || *s == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

bool
names_legal_prefix(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > 100)
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || strchr("*?[]\\", *s) != NULL)
			return false;
	return true;
}

bool
names_is_pattern(const char *s)
{
	return strpbrk(s, "*?[") != NULL;
}

static char *
join_key(const char *prefix, const char *kind, const char *service, const char *type)
{
	struct bytes b = {0};

	bytes_adds(&b, prefix);
	bytes_adds(&b, kind);
	if (service != NULL) {
		bytes_adds(&b, service);
		bytes_addc(&b, ':');
	}
	bytes_adds(&b, type);
	bytes_str(&b);
	return b.p;
}

char *
names_stream(const char *prefix, const char *type)
{
	return join_key(prefix, ":stream:", NULL, type);
}

char *
names_group(const char *prefix, const char *service, const char *type)
{
	return join_key(prefix, ":group:", service, type);
}

char *
names_dlq(const char *prefix, const char *type)
{
	return join_key(prefix, ":dlq:", NULL, type);
}

/* Returns the type behind PREFIX and kind, or NULL. */
static const char *
find_type(const char *prefix, const char *kind, const char *key, size_t n)
{
	size_t p = strlen(prefix), k = strlen(kind);

	if (n <= p + k || memcmp(key, prefix, p) != 0 || memcmp(key + p, kind, k) != 0)
		return NULL;
	return names_legal(key + p + k, n - p - k) ? key + p + k : NULL;
}

const char *
names_stream_type(const char *prefix, const char *key, size_t n)
{
	return find_type(prefix, ":stream:", key, n);
}

const char *
names_dlq_type(const char *prefix, const char *key, size_t n)
{
	return find_type(prefix, ":dlq:", key, n);
}

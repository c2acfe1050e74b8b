#include "redis/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"

#define PORT 6379
#define DB_MAX 1000000

/* One URL while it is read: messages show it as `shown`, which has no secrets. */
struct reading {
	struct url *u;
	struct err *f;
	char *shown;
};

static int
refuse(const struct reading *r, const char *why)
{
	return err_set(r->f, STATUS_USAGE, "'%s': %s", r->shown, why);
}

/* What may be a password stands before the last '@', whatever else is wrong. */
static char *
shown(const char *s)
{
	const char *at = strrchr(s, '@'), *from = strstr(s, "://");
	struct bytes b = {0};

	if (at != NULL) {
		if (from != NULL && from < at)
			bytes_add(&b, s, (size_t)(from + 3 - s));
		bytes_adds(&b, "***");
		s = at;
	}
	bytes_adds(&b, s);
	bytes_str(&b);
	return b.p;
}

/* The n bytes without %-escapes; NULL when one is broken or gives a NUL. */
static char *
unescape(const char *s, size_t n)
{
	char *out = mem_alloc(n + 1), *o = out;

	for (size_t i = 0; i < n; i++) {
		*o = s[i];
		if (s[i] == '%') {
			int high = i + 2 < n ? num_hex_digit(s[i + 1]) : -1;
			int low = i + 2 < n ? num_hex_digit(s[i + 2]) : -1;

			if (high == -1 || low == -1 || high + low == 0) {
				free(out);
				return NULL;
			}
			*o = (char)(high * 16 + low);
			i += 2;
		}
		o++;
	}
	return out;
}

static int
read_db(const struct reading *r, const char *s)
{
	uint64_t n;

	if (num_parse_u64(s, &n) == -1 || n > DB_MAX)
		return refuse(r, "the database is a number from 0");
	r->u->db = (int)n;
	return 0;
}

/* user, user:password, user: or :password; a lone colon is nothing. */
static int
read_login(const struct reading *r, const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	size_t user = colon == NULL ? n : (size_t)(colon - s);

	if (user > 0 && (r->u->user = unescape(s, user)) == NULL)
		return refuse(r, "bad %-escape before the '@'");
	if (colon == NULL || n == 1)
		return 0;
	r->u->password = unescape(colon + 1, n - user - 1);
	return r->u->password == NULL ? refuse(r, "bad %-escape before the '@'") : 0;
}

static int
read_port(const struct reading *r, const char *s)
{
	uint64_t n;

	if (num_parse_u64(s, &n) == -1 || n < 1 || n > 65535)
		return refuse(r, "the port is a number from 1 to 65535");
	r->u->port = (int)n;
	return 0;
}

/* host[:port], where the host may be an address in brackets; s is ours to cut. */
static int
read_host(const struct reading *r, char *s)
{
	char *host = s, *end;

	if (*s == '[') {
		host++;
		if ((end = strchr(s, ']')) == NULL)
			return refuse(r, "']' is missing");
		*end++ = '\0';
		if (host[strspn(host, "0123456789abcdefABCDEF:.")] != '\0')
			return refuse(r, "no IPv6 address in the brackets");
	} else {
		end = s + strcspn(s, ":");
		if (strchr(end + (*end != '\0'), ':') != NULL)
			return refuse(r, "an IPv6 address stands in brackets");
	}
	if (*end != '\0' && *end != ':')
		return refuse(r, "':' and a port, or '/' and a database, expected after the host");
	if (*end == ':') {
		*end++ = '\0';
		if (read_port(r, end) == -1)
			return -1;
	}
	if (*host == '\0')
		return refuse(r, "no host");
	r->u->host = mem_strdup(host);
	for (char *p = r->u->host; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("?#\\", *p) != NULL)
			return refuse(r, "no such character may be in a host");
		*p = (char)tolower((unsigned char)*p);
	}
	return 0;
}

static int
read_tcp(const struct reading *r, const char *s)
{
	const char *at = strrchr(s, '@');
	char *rest, *slash;
	int result = -1;

	r->u->port = PORT;
	if (at != NULL && read_login(r, s, (size_t)(at - s)) == -1)
		return -1;
	rest = mem_strdup(at == NULL ? s : at + 1);
	if ((slash = strchr(rest, '/')) != NULL)
		*slash++ = '\0';
	if (read_host(r, rest) == 0)
		result = slash == NULL || *slash == '\0' ? 0 : read_db(r, slash);
	free(rest);
	return result;
}

static int
read_unix(const struct reading *r, const char *s)
{
	size_t n = strcspn(s, "?");

	if (*s != '/')
		return refuse(r, "a socket is an absolute path: unix:///run/redis.sock");
	if ((r->u->path = unescape(s, n)) == NULL)
		return refuse(r, "bad %-escape in the path");
	if (s[n] == '\0')
		return 0;
	if (strncmp(s + n, "?db=", 4) != 0)
		return refuse(r, "only ?db=N may follow the path");
	return read_db(r, s + n + 4);
}

/* s behind the scheme when it begins with that, in any case of letters; else NULL. */
static const char *
behind(const char *s, const char *scheme)
{
	size_t n = strlen(scheme);

	for (size_t i = 0; i < n; i++)
		if (tolower((unsigned char)s[i]) != scheme[i])
			return NULL;
	return s + n;
}

static int
read_any(const struct reading *r, const char *s)
{
	const char *rest;

	if ((rest = behind(s, "redis://")) != NULL)
		return read_tcp(r, rest);
	if ((rest = behind(s, "unix://")) != NULL || (rest = behind(s, "redis+unix://")) != NULL ||
	    (rest = behind(s, "unix:")) != NULL)
		return read_unix(r, rest);
	if (behind(s, "rediss://") != NULL)
		return err_set(r->f, STATUS_CONFIG, "'%s': TLS is not supported yet", r->shown);
	return refuse(
	    r, "a URL such as redis://localhost:6379/0 or unix:///run/redis.sock expected");
}

int
url_parse(struct url *u, const char *s, struct err *err)
{
	struct reading r = {u, err, shown(s)};
	int result;

	*u = (struct url){0};
	if ((result = read_any(&r, s)) == -1)
		url_free(u);
	free(r.shown);
	return result;
}

void
url_free(struct url *u)
{
	if (u->password != NULL)
		explicit_bzero(u->password, strlen(u->password));
	free(u->host);
	free(u->path);
	free(u->user);
	free(u->password);
	*u = (struct url){0};
}

static void
add_escaped(struct bytes *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '%' || *s == '?')
			bytes_addf(b, "%%%02X", (unsigned)(unsigned char)*s);
		else
			bytes_addc(b, *s);
	}
}

char *
url_target(const struct url *u)
{
	struct bytes b = {0};

	if (u->path != NULL) {
		bytes_adds(&b, "unix://");
		add_escaped(&b, u->path);
		bytes_addf(&b, "?db=%d", u->db);
	} else {
		int v6 = strchr(u->host, ':') != NULL;

		bytes_addf(&b, "redis://%s%s%s:%d/%d", v6 ? "[" : "", u->host, v6 ? "]" : "",
		    u->port, u->db);
	}
	bytes_str(&b);
	return b.p;
}

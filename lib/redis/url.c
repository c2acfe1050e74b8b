#include "redis/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"

/* A URL that is being parsed; messages show it as `shown`, without secrets. */
struct url_parser {
	struct url *u;
	struct err *err;
	char *shown;
};

static int
refuse_url(const struct url_parser *p, const char *why)
{
	return err_set(p->err, STATUS_USAGE, "'%s': %s", p->shown, why);
}

/* Returns the length of the part of s, which has no login, that is certainly not a password: not a
 * port that is no number ("@host" may have been forgotten), nor a query other than db=N. */
static size_t
length_shown(const char *s)
{
	size_t host = strcspn(s, ":"), digits, query = strcspn(s, "?");

	if (*s != '[' && *s != '/' && s[host] == ':' && s[host + 1] != '/') {
		digits = strspn(s + host + 1, "0123456789");
		if (strchr("/?", s[host + 1 + digits]) == NULL)
			return host + 1;
	}
	if (s[query] == '?' && (strncmp(s + query, "?db=", 4) != 0 || strchr(s + query, '&')))
		return query + 1;
	return strlen(s);
}

/* Whatever else is wrong with s, a password stands before its last '@'; or this is missing. */
static char *
hide_secrets(const char *s)
{
	const char *at = strrchr(s, '@'), *from = strstr(s, "://");
	struct bytes b = {0};
	size_t n;

	if (from != NULL && memchr(s, ':', (size_t)(from - s)) == NULL &&
	    (at == NULL || from < at)) {
		bytes_add(&b, s, (size_t)(from + 3 - s));
		s = from + 3;
	}
	if (at != NULL) {
		bytes_adds(&b, "***@");
		s = at + 1;
	}
	n = length_shown(s);
	bytes_add(&b, s, n);
	bytes_adds(&b, s[n] != '\0' ? "***" : "");
	bytes_str(&b);
	return b.p;
}

/* Returns the n bytes without %-escapes, or NULL when an escape is broken or gives a NUL. */
static char *
unescape_part(const char *s, size_t n)
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
parse_db(const struct url_parser *p, const char *s)
{
	uint64_t n;

	if (num_parse_u64(s, &n) == -1 || n > 1000000)
		return refuse_url(p, "the database must be a number from 0 to 1000000");
	p->u->db = (int)n;
	return 0;
}

/* user, user:password, user: or :password. A lone colon is allowed and gives neither. */
static int
parse_login(const struct url_parser *p, const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	size_t user = colon == NULL ? n : (size_t)(colon - s);

	if (user > 0 && (p->u->user = unescape_part(s, user)) == NULL)
		return refuse_url(p, "bad %-escape before the '@'");
	if (colon == NULL || n == 1)
		return 0;
	p->u->password = unescape_part(colon + 1, n - user - 1);
	return p->u->password == NULL ? refuse_url(p, "bad %-escape before the '@'") : 0;
}

/* host[:port], where the host may be an address in brackets. Modifies s. */
static int
parse_host(const struct url_parser *parser, char *text)
{
	char *host = text, *end;
	uint64_t port;

	if (*text == '[') {
		host++;
		if ((end = strchr(text, ']')) == NULL)
			return refuse_url(parser, "']' is missing");
		*end++ = '\0';
		if (host[strspn(host, "0123456789abcdefABCDEF:.")] != '\0')
			return refuse_url(parser, "the brackets must hold an IPv6 address");
	} else {
		end = text + strcspn(text, ":");
		if (strchr(end + (*end != '\0'), ':') != NULL)
			return refuse_url(parser, "an IPv6 address must be in brackets");
	}
	if (*end != '\0' && *end != ':')
		return refuse_url(
		    parser, "expected ':' and a port, or '/' and a database, after the host");
	if (*end == ':') {
		*end++ = '\0';
		if (num_parse_u64(end, &port) == -1 || port < 1 || port > 65535)
			return refuse_url(parser, "the port must be a number from 1 to 65535");
		parser->u->port = (int)port;
	}
	if (*host == '\0')
		return refuse_url(parser, "no host");
	parser->u->host = mem_strdup(host);
	for (char *colon = parser->u->host; *colon != '\0'; colon++) {
		if ((unsigned char)*colon <= ' ' || *colon == 0x7f ||
		    strchr("?#\\", *colon) != NULL)
			return refuse_url(parser, "the host has an invalid character");
		*colon = (char)tolower((unsigned char)*colon);
	}
	return 0;
}

static int
parse_tcp(const struct url_parser *p, const char *s)
{
	const char *at = strrchr(s, '@');
	char *rest, *slash;
	int result = -1;

	p->u->port = 6379;
	if (at != NULL && parse_login(p, s, (size_t)(at - s)) == -1)
		return -1;
	rest = mem_strdup(at == NULL ? s : at + 1);
	if ((slash = strchr(rest, '/')) != NULL)
		*slash++ = '\0';
	if (parse_host(p, rest) == 0)
		result = slash == NULL || *slash == '\0' ? 0 : parse_db(p, slash);
	free(rest);
	return result;
}

static int
parse_unix(const struct url_parser *p, const char *s)
{
	size_t n = strcspn(s, "?");

	if (*s != '/')
		return refuse_url(
		    p, "the socket must be an absolute path, as in unix:///run/redis.sock");
	if ((p->u->path = unescape_part(s, n)) == NULL)
		return refuse_url(p, "bad %-escape in the path");
	p->u->scheme = URL_UNIX;
	if (s[n] == '\0')
		return 0;
	if (strncmp(s + n, "?db=", 4) != 0)
		return refuse_url(p, "only ?db=N may follow the path");
	return parse_db(p, s + n + 4);
}

/* Returns the rest of s after the scheme, compared without case, or NULL. */
static const char *
skip_scheme(const char *s, const char *scheme)
{
	size_t n = strlen(scheme);

	for (size_t i = 0; i < n; i++)
		if (tolower((unsigned char)s[i]) != scheme[i])
			return NULL;
	return s + n;
}

static int
parse_scheme(const struct url_parser *p, const char *s)
{
	const char *rest;

	if ((rest = skip_scheme(s, "redis://")) != NULL)
		return parse_tcp(p, rest);
	if ((rest = skip_scheme(s, "unix://")) != NULL ||
	    (rest = skip_scheme(s, "redis+unix://")) != NULL ||
	    (rest = skip_scheme(s, "unix:")) != NULL)
		return parse_unix(p, rest);
	if (skip_scheme(s, "rediss://") != NULL)
		return err_set(p->err, STATUS_CONFIG, "'%s': TLS is not supported yet", p->shown);
	return refuse_url(
	    p, "expected a URL such as redis://localhost:6379/0 or unix:///run/redis.sock");
}

int
url_parse(struct url *u, const char *s, struct err *err)
{
	struct url_parser r = {u, err, hide_secrets(s)};
	int result;

	*u = (struct url){0};
	if ((result = parse_scheme(&r, s)) == -1)
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

char *
url_target(const struct url *u)
{
	struct bytes b = {0};

	if (u->path != NULL) {
		bytes_adds(&b, "unix://");
		for (const char *s = u->path; *s != '\0'; s++)
			if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '%' || *s == '?')
				bytes_addf(&b, "%%%02X", (unsigned)(unsigned char)*s);
			else
				bytes_addc(&b, *s);
		bytes_addf(&b, "?db=%d", u->db);
	} else {
		int v6 = strchr(u->host, ':') != NULL;

		bytes_addf(&b, "redis://%s%s%s:%d/%d", v6 ? "[" : "", u->host, v6 ? "]" : "",
		    u->port, u->db);
	}
	bytes_str(&b);
	return b.p;
}

#include "redis/url.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"

#define PASSWORD_FILE_MAX 65536

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

/* Takes over text; NULL when it is NULL. */
static struct url_password *
make_password(char *text, const char *file)
{
	struct url_password *p = text == NULL ? NULL : mem_alloc(sizeof(*p));

	if (p != NULL)
		*p = (struct url_password){text, file == NULL ? NULL : mem_strdup(file)};
	return p;
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
	p->u->password = make_password(unescape_part(colon + 1, n - user - 1), NULL);
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

/* query: the text behind a '?', or NULL. */
static int
parse_query(const struct url_parser *p, const char *query)
{
	if (query == NULL)
		return 0;
	if (strncmp(query, "db=", 3) != 0)
		return refuse_url(p, "only ?db=N, with the number of a database, may follow");
	return parse_db(p, query + 3);
}

/* Ends s before the first `c`. Returns what follows it, or NULL. */
static char *
cut_at(char *s, int c)
{
	char *at = strchr(s, c);

	if (at != NULL)
		*at++ = '\0';
	return at;
}

/* Modifies s. */
static int
parse_tcp(const struct url_parser *p, char *s)
{
	char *at = strrchr(s, '@'), *host = at == NULL ? s : at + 1;
	char *query = cut_at(host, '?'), *db = cut_at(host, '/');
	size_t n = db == NULL ? 0 : strlen(db);

	p->u->port = 6379;
	if (at != NULL && parse_login(p, s, (size_t)(at - s)) == -1)
		return -1;
	if (n > 1 && db[n - 1] == '/')
		db[n - 1] = '\0';
	if (parse_host(p, host) == -1 || (n > 0 && parse_db(p, db) == -1))
		return -1;
	return parse_query(p, query);
}

/* Modifies s. */
static int
parse_path(const struct url_parser *p, char *s)
{
	char *query = cut_at(s, '?');

	if (*s != '/')
		return refuse_url(
		    p, "the socket must be an absolute path, as in unix:///run/redis.sock");
	p->u->scheme = URL_UNIX;
	if ((p->u->path = unescape_part(s, strlen(s))) == NULL)
		return refuse_url(p, "bad %-escape in the path");
	return parse_query(p, query);
}

/* Modifies s. A path begins with '/', so what stands before the first "@/" is a login. */
static int
parse_unix(const struct url_parser *p, char *s)
{
	char *at = *s == '/' ? NULL : strstr(s, "@/");

	if (at != NULL && parse_login(p, s, (size_t)(at - s)) == -1)
		return -1;
	return parse_path(p, at == NULL ? s : at + 1);
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
	static const struct {
		const char *scheme;
		int (*parse)(const struct url_parser *, char *);
	} schemes[] = {
	    {"redis://", parse_tcp},
	    {"valkey://", parse_tcp},
	    {"unix://", parse_unix},
	    {"redis+unix://", parse_unix},
	    {"valkey+unix://", parse_unix},
	    {"unix:", parse_path},
	};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		const char *rest = skip_scheme(s, schemes[i].scheme);
		char *copy;
		int result;

		if (rest == NULL)
			continue;
		copy = mem_strdup(rest);
		result = schemes[i].parse(p, copy);
		explicit_bzero(copy, strlen(rest));
		free(copy);
		return result;
	}
	if (skip_scheme(s, "rediss://") != NULL || skip_scheme(s, "valkeys://") != NULL)
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

/* --- the password ----------------------------------------------------------------- */

const char *
url_login_end(const char *s)
{
	const char *from = strstr(s, "://");

	if (from == NULL)
		return NULL;
	if (from - s >= 4 && strncasecmp(from - 4, "unix", 4) == 0)
		return from[3] == '/' ? NULL : strstr(from, "@/");
	return strrchr(from, '@');
}

static void
wipe_text(char *s)
{
	explicit_bzero(s, strlen(s));
	free(s);
}

/* Returns 1 when it found a password, 0 when there is no such file, -1 on failure. */
static int
read_password_file(const char *path, char **password, struct err *err)
{
	size_t n;
	char *s = io_read_file(AT_FDCWD, path, PASSWORD_FILE_MAX, &n);

	if (s == NULL) {
		err_sys(err, STATUS_CONFIG, "read password file '%s'", path);
		return errno == ENOENT ? 0 : -1;
	}
	if (n > 0 && s[n - 1] == '\n')
		s[--n] = '\0';
	if (n > 0 && strlen(s) == n) {
		*password = s;
		return 1;
	}
	free(s);
	return err_set(err, STATUS_CONFIG, "password file '%s' %s", path,
	    n == 0 ? "is empty" : "contains a NUL");
}

void
url_set_password(struct url *u, const char *text)
{
	u->password = make_password(mem_strdup(text), NULL);
}

int
url_read_password(struct url *u, const char *file, struct err *err)
{
	char *text;
	int got = read_password_file(file, &text, err);

	if (got == 1)
		u->password = make_password(text, file);
	return got;
}

bool
url_renew_password(const struct url *u)
{
	struct err ignored;
	char *text;
	bool differs;

	if (u->password == NULL || u->password->file == NULL ||
	    read_password_file(u->password->file, &text, &ignored) != 1)
		return false;
	differs = strcmp(text, u->password->text) != 0;
	wipe_text(u->password->text);
	u->password->text = text;
	return differs;
}

void
url_free(struct url *u)
{
	if (u->password != NULL) {
		wipe_text(u->password->text);
		free(u->password->file);
		free(u->password);
	}
	free(u->host);
	free(u->path);
	free(u->user);
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

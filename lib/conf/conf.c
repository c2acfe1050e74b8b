#include "conf/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/process.h"
#include "base/status.h"
#include "conf/ini.h"
#include "event/names.h"

#define TIMEOUT_MAX_MS (24L * 3600 * 1000)
#define UNSET UINT64_MAX /* a size that no option has set */
#define HARD_FACTOR 10   /* maxlen-hard is by default so many times maxlen */

/* --- policies: the [TYPE] sections of the config file ----------------------- */

struct policy {
	char *type;
	int64_t maxlen;            /* -1: not given */
	bool trim_acked;           /* trim = acked */
	int64_t maxlen_hard;       /* -1: not given */
	unsigned maxlen_hard_line; /* its line in the file */
	struct policy *next;
};

/* Parses a number of entries, 0 for no limit. `from` is what the user wrote before it. */
static int
parse_entries(const char *from, const char *s, int64_t *n, struct err *err)
{
	uint64_t v;

	if (num_parse_u64(s, &v) == -1 || v > INT64_MAX)
		return err_set(err, STATUS_USAGE,
		    "%s '%s': expected a number of entries, 0 for no limit", from, s);
	*n = (int64_t)v;
	return 0;
}

static struct policy *
find_policy(struct policy *list, const char *type)
{
	while (list != NULL && strcmp(list->type, type) != 0)
		list = list->next;
	return list;
}

static int
set_policy(struct policy **list, const char *type, const char *name, const char *value,
    unsigned line, struct err *err)
{
	struct policy *p = find_policy(*list, type);

	if (!names_legal(type, strlen(type)))
		return err_set(err, STATUS_CONFIG, "[%s]: an event type is " NAMES_LEGAL, type);
	if (p == NULL) {
		p = mem_alloc(sizeof(*p));
		*p = (struct policy){
		    .type = mem_strdup(type), .maxlen = -1, .maxlen_hard = -1, .next = *list};
		*list = p;
	}
	if (strcmp(name, "maxlen") == 0)
		return parse_entries(name, value, &p->maxlen, err);
	if (strcmp(name, "trim") == 0) {
		p->trim_acked = strcmp(value, "acked") == 0;
		if (p->trim_acked || strcmp(value, "length") == 0)
			return 0;
		return err_set(err, STATUS_CONFIG, "trim '%s': expected acked or length", value);
	}
	if (strcmp(name, "maxlen-hard") != 0)
		return err_set(err, STATUS_CONFIG,
		    "unknown name '%s' in a [TYPE] section; expected maxlen, trim or maxlen-hard",
		    name);
	p->maxlen_hard_line = line;
	return parse_entries(name, value, &p->maxlen_hard, err);
}

/* maxlen is that of sections that have none. */
static int
check_policy(const struct policy *p, const char *file, int64_t maxlen, struct err *err)
{
	if (p->maxlen >= 0)
		maxlen = p->maxlen;
	if (p->maxlen_hard == -1)
		return 0;
	if (!p->trim_acked)
		return err_set(err, STATUS_CONFIG, "%s:%u: [%s] maxlen-hard requires trim = acked",
		    file, p->maxlen_hard_line, p->type);
	if (p->maxlen_hard == 0 || (maxlen > 0 && maxlen <= p->maxlen_hard))
		return 0;
	if (maxlen == 0)
		return err_set(err, STATUS_CONFIG,
		    "%s:%u: [%s] maxlen-hard %" PRId64 " is below maxlen 0 (no limit)", file,
		    p->maxlen_hard_line, p->type, p->maxlen_hard);
	return err_set(err, STATUS_CONFIG,
	    "%s:%u: [%s] maxlen-hard %" PRId64 " is below maxlen %" PRId64, file,
	    p->maxlen_hard_line, p->type, p->maxlen_hard, maxlen);
}

/* --- settings ------------------------------------------------------------ */

void
conf_init(struct conf *c)
{
	*c = (struct conf){
	    .maxlen = -1, .segment_size = UNSET, .buffer_max = UNSET, .min_free = UNSET};
}

static void
replace_string(char **old, const char *s)
{
	free(*old);
	*old = mem_strdup(s);
}

/* set_* functions check and store one value. `from` is what the user wrote before it: "-u",
 * "EB_REDIS_URL", "url". */

static int
set_url(struct conf *c, const char *from, const char *s, struct err *err)
{
	struct err why;
	struct url u;

	if (url_parse(&u, s, &why) == -1)
		return err_set(err, why.status, "%s %s", from, why.text);
	url_free(&c->url);
	c->url = u;
	return 0;
}

static int
set_buffer(struct conf *c, const char *from, const char *s, struct err *err)
{
	if (*s == '\0')
		return err_set(
		    err, STATUS_USAGE, "%s '': expected the directory of the disk buffer", from);
	replace_string(&c->buffer, s);
	return 0;
}

static int
set_prefix(struct conf *c, const char *from, const char *s, struct err *err)
{
	if (*from == '-' && *s != '\0' && s[strspn(s, "0123456789")] == '\0')
		return err_set(err, STATUS_USAGE,
		    "%s %s: %s is the key prefix, not the port; "
		    "give the port with -u redis://host:%s/0",
		    from, s, from, s);
	if (!names_legal_prefix(s))
		return err_set(err, STATUS_USAGE,
		    "%s '%s': a key prefix is "
		    "1 to 100 printable characters, without spaces and *?[]\\",
		    from, s);
	replace_string(&c->prefix, s);
	return 0;
}

static int
set_service(struct conf *c, const char *from, const char *s, struct err *err)
{
	if (!names_legal(s, strlen(s)))
		return err_set(err, STATUS_USAGE, "%s '%s': a service name is " NAMES_LEGAL "%s",
		    from, s, *s == '/' ? "; give a socket with -u unix:///path" : "");
	replace_string(&c->service, s);
	return 0;
}

static int
set_timeout(struct conf *c, const char *from, const char *s, struct err *err)
{
	const char *hint =
	    *from == '-' ? "; -t is the timeout, and the event type needs no option" : "";
	int64_t ms;

	if (num_parse_ms(s, &ms) == -1)
		return err_set(err, STATUS_USAGE, "%s '%s': expected seconds%s", from, s, hint);
	if (ms < 1 || ms > TIMEOUT_MAX_MS)
		return err_set(err, STATUS_USAGE,
		    "%s '%s': expected a timeout from 0.001 s to 1 day", from, s);
	c->timeout_ms = ms;
	return 0;
}

static int
set_maxlen(struct conf *c, const char *from, const char *s, struct err *err)
{
	return parse_entries(from, s, &c->maxlen, err);
}

/* A size that an option has set stays. */
static int
set_size(uint64_t *size, uint64_t min, const char *from, const char *s, struct err *err)
{
	uint64_t n;

	if (num_parse_size(s, &n) == -1 || n < min || n == UNSET)
		return err_set(err, STATUS_USAGE,
		    "%s '%s': expected a size such as 4096, 64K, 8M or 1G%s", from, s,
		    min > 0 ? ", above 0" : "");
	if (*size == UNSET)
		*size = n;
	return 0;
}

static int
set_segment_size(struct conf *c, const char *from, const char *s, struct err *err)
{
	return set_size(&c->segment_size, 1, from, s, err);
}

static int
set_buffer_max(struct conf *c, const char *from, const char *s, struct err *err)
{
	return set_size(&c->buffer_max, 0, from, s, err);
}

static int
set_min_free(struct conf *c, const char *from, const char *s, struct err *err)
{
	return set_size(&c->min_free, 0, from, s, err);
}

static int
set_outage_event(struct conf *c, const char *from, const char *s, struct err *err)
{
	c->outage_event = strcmp(s, "yes") == 0;
	if (c->outage_event || strcmp(s, "no") == 0)
		return 0;
	return err_set(err, STATUS_USAGE, "%s '%s': expected yes or no", from, s);
}

/* Setting i has bit i of conf.given. */
static const struct setting {
	char letter;
	const char *option, *variable, *name;
	int (*set)(struct conf *, const char *, const char *, struct err *);
	const char *otherwise; /* the default */
} settings[] = {
    {'u', "-u", "EB_REDIS_URL", "url", set_url, "redis://127.0.0.1:6379/0"},
    {'b', "-b", "EB_BUFFER_DIR", "buffer", set_buffer, NULL},
    {'p', "-p", "EB_PREFIX", "prefix", set_prefix, "quantum"},
    {'s', "-s", "EB_SERVICE", "service", set_service, "eventbus"},
    {'t', "-t", "EB_TIMEOUT", "timeout", set_timeout, "2"},
    {'\0', NULL, "EB_MAXLEN", "maxlen", set_maxlen, NULL},
    {'\0', NULL, "EB_SEGMENT_SIZE", "segment-size", set_segment_size, "8M"},
    {'\0', NULL, "EB_BUFFER_MAX", "buffer-max", set_buffer_max, "0"},
    {'\0', NULL, "EB_MIN_FREE", "min-free", set_min_free, "0"},
    {'\0', NULL, "EB_OUTAGE_EVENT", "outage-event", set_outage_event, "yes"},
};
#define SETTINGS (sizeof(settings) / sizeof(*settings))
#define SERVICE 3 /* the index of -s */

static bool
is_given(const struct conf *c, size_t i)
{
	return (c->given >> i & 1) != 0;
}

static int
set_value(struct conf *c, size_t i, const char *from, const char *s, struct err *err)
{
	c->given |= 1U << i;
	return settings[i].set(c, from, s, err);
}

static int
set_option(struct conf *c, int ch, const char *arg, struct err *err)
{
	size_t i = 0, args = 0;

	while (settings[i].letter != ch)
		i++;
	if (ch == 'u') {
		while (c->url_args[args] != NULL)
			args++;
		if (args + 1 == sizeof(c->url_args) / sizeof(*c->url_args))
			return err_set(err, STATUS_USAGE, "-u: given more than 7 times");
		c->url_args[args] = arg;
	}
	return set_value(c, i, settings[i].option, arg, err);
}

int
conf_option(struct conf *c, int ch, const char *arg, struct err *err)
{
	switch (ch) {
	case 'h': c->help = true; return 0;
	case 'j': c->json = true; return 0;
	case 'q': c->quiet = true; return 0;
	case 'v': c->verbose = true; return 0;
	case 'V': c->version = true; return 0;
	default: return set_option(c, ch, arg, err);
	}
}

static int
read_environment(struct conf *c, struct err *err)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *value = process_env(settings[i].variable);

		if (value != NULL && !is_given(c, i) &&
		    set_value(c, i, settings[i].variable, value, err) == -1)
			return -1;
	}
	return 0;
}

/* The target of read_setting. Values of the file that an option or the environment overrides are
 * checked too. */
struct file_target {
	struct conf *c;
	unsigned given;      /* before the file was read */
	struct conf checked; /* gets the overridden values */
};

static int
read_setting(void *arg, const char *section, const char *name, const char *value, unsigned line,
    struct err *err)
{
	struct file_target *to = arg;

	if (*section != '\0')
		return set_policy(&to->c->policies, section, name, value, line, err);
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(name, settings[i].name) == 0)
			return set_value(
			    to->given >> i & 1 ? &to->checked : to->c, i, name, value, err);
	return err_set(err, STATUS_CONFIG,
	    "unknown name '%s'; expected url, buffer, prefix, service, timeout, maxlen, "
	    "segment-size, buffer-max, min-free or outage-event",
	    name);
}

/* Returns DIR/eventbus[/name], where DIR is the absolute directory in a variable, else one below
 * HOME; NULL without both. */
static char *
make_xdg_path(const char *xdg, const char *below_home, const char *name)
{
	const char *dir = process_env(xdg), *home = process_env("HOME");
	struct bytes b = {0};

	if (dir != NULL && *dir == '/') /* the XDG specification ignores relative ones */
		bytes_addf(&b, "%s/eventbus%s", dir, name);
	else if (home != NULL && *home == '/')
		bytes_addf(&b, "%s/%s/eventbus%s", home, below_home, name);
	else
		return NULL;
	bytes_str(&b);
	return b.p;
}

/* Returns whether HOME is a directory that this user may not enter, as under su(1), and no other
 * place was given. */
static bool
is_foreign_home(void)
{
	return process_env("XDG_CONFIG_HOME") == NULL && access(process_env("HOME"), X_OK) == -1;
}

static int
read_config_file(struct conf *c, struct err *err)
{
	char *own = make_xdg_path("XDG_CONFIG_HOME", ".config", "/config");
	const char *path = own;
	struct file_target to = {.c = c, .given = c->given};
	int result = 1;

	conf_init(&to.checked);
	if (own != NULL)
		result = ini_read(own, read_setting, &to, err);
	if (result == 1 || (result == -1 && err->sys == EACCES && is_foreign_home()))
		result = ini_read(path = "/etc/eventbus/config", read_setting, &to, err);
	for (const struct policy *p = c->policies; result == 0 && p != NULL; p = p->next)
		result = check_policy(p, path, c->maxlen >= 0 ? c->maxlen : CONF_MAXLEN, err);
	conf_free(&to.checked);
	free(own);
	return result == -1 ? -1 : 0;
}

static void
set_defaults(struct conf *c)
{
	const char *state = process_env("STATE_DIRECTORY");
	struct err err;

	for (size_t i = 0; i < SETTINGS; i++)
		if (settings[i].otherwise != NULL && !is_given(c, i))
			settings[i].set(c, "", settings[i].otherwise, &err);
	if (c->maxlen == -1)
		c->maxlen = CONF_MAXLEN;
	c->service_given = is_given(c, SERVICE);
	c->state = state != NULL && *state != ':'
	    ? mem_strndup(state, strcspn(state, ":"))
	    : make_xdg_path("XDG_STATE_HOME", ".local/state", "");
	if (c->buffer == NULL && c->state != NULL) {
		struct bytes b = {0};

		bytes_addf(&b, "%s/buffer", c->state);
		bytes_str(&b);
		c->buffer = b.p;
	}
	if (c->state == NULL && c->buffer != NULL)
		c->state = mem_strdup(c->buffer);
}

static int
find_password(struct url *url, struct err *err)
{
	const char *file = process_env("EB_REDIS_PASSWORD_FILE");
	const char *dir = process_env("CREDENTIALS_DIRECTORY"), *s;
	struct bytes path = {0};
	int got = 0;

	if (file != NULL)
		return url_read_password(url, file, err) == 1 ? 0 : -1;
	if (dir != NULL) {
		bytes_addf(&path, "%s/redis-password", dir);
		got = url_read_password(url, bytes_str(&path), err);
		bytes_free(&path);
	}
	if (got == 0 &&
	    ((s = process_env("EB_REDIS_PASSWORD")) != NULL ||
	        (s = process_env("REDISCLI_AUTH")) != NULL))
		url_set_password(url, s);
	return got == -1 ? -1 : 0;
}

/* Overwrites the password of a URL. */
static void
hide_password(char *url)
{
	const char *at = url_login_end(url);
	char *from = at == NULL ? NULL : strchr(strstr(url, "://") + 3, ':');

	while (from != NULL && ++from < at)
		*from = 'x';
}

/* Overwrites the passwords of URLs in argv. */
static void
hide_url_passwords(const struct conf *c, int argc, char **argv)
{
	for (size_t i = 0; c->url_args[i] != NULL; i++)
		for (int k = 0; k < argc; k++) {
			size_t n = strlen(argv[k]);

			if (c->url_args[i] >= argv[k] && c->url_args[i] <= argv[k] + n)
				hide_password(argv[k] + (c->url_args[i] - argv[k]));
		}
}

int
conf_finish(struct conf *c, int argc, char **argv, struct err *err)
{
	struct bytes target = {0};

	if (c->help || c->version)
		return 0;
	hide_url_passwords(c, argc, argv);
	if (read_environment(c, err) == -1 || read_config_file(c, err) == -1)
		return -1;
	set_defaults(c);
	if (c->url.password == NULL && find_password(&c->url, err) == -1)
		return -1;
	if (c->url.user != NULL && c->url.password == NULL)
		return err_set(err, STATUS_CONFIG,
		    "user '%s' has no password: "
		    "neither in the URL nor in EB_REDIS_PASSWORD_FILE or EB_REDIS_PASSWORD",
		    c->url.user);
	c->address = url_target(&c->url);
	bytes_addf(&target, "%s %s", c->address, c->prefix);
	bytes_str(&target);
	c->target = target.p;
	return 0;
}

void
conf_free(struct conf *c)
{
	url_free(&c->url);
	free(c->address);
	free(c->target);
	free(c->buffer);
	free(c->state);
	free(c->prefix);
	free(c->service);
	for (struct policy *p = c->policies, *next; p != NULL; p = next) {
		next = p->next;
		free(p->type);
		free(p);
	}
	conf_init(c);
}

const char *
conf_buffer(const struct conf *c, struct err *err)
{
	if (c->buffer == NULL)
		err_set(err, STATUS_CONFIG,
		    "no directory for the disk buffer: "
		    "neither HOME nor STATE_DIRECTORY is set; give one with -b DIR");
	return c->buffer;
}

int64_t
conf_maxlen(const struct conf *c, const char *type)
{
	const struct policy *p = find_policy(c->policies, type);

	return p != NULL && p->maxlen >= 0 ? p->maxlen : c->maxlen;
}

bool
conf_trim_acked(const struct conf *c, const char *type)
{
	const struct policy *p = find_policy(c->policies, type);

	return p != NULL && p->trim_acked;
}

int64_t
conf_maxlen_hard(const struct conf *c, const char *type)
{
	const struct policy *p = find_policy(c->policies, type);
	int64_t maxlen = conf_maxlen(c, type);

	if (p != NULL && p->maxlen_hard >= 0)
		return p->maxlen_hard;
	return maxlen > INT64_MAX / HARD_FACTOR ? INT64_MAX : maxlen * HARD_FACTOR;
}

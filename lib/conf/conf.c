#include "conf/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/process.h"
#include "base/status.h"
#include "conf/ini.h"
#include "conf/secret.h"
#include "event/names.h"

#define URL "redis://127.0.0.1:6379/0"
#define PREFIX "quantum"
#define SERVICE "eventbus"
#define TIMEOUT_MS 2000
#define TIMEOUT_MAX_MS (24L * 3600 * 1000)
#define MAXLEN CONF_MAXLEN
#define HARD_FACTOR 10 /* maxlen-hard is by default so many times maxlen */

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

/* Finds or makes the policy of a type. */
static struct policy *
get_policy(struct policy **list, const char *type)
{
	struct policy *p = *list;

	while (p != NULL && strcmp(p->type, type) != 0)
		p = p->next;
	if (p != NULL)
		return p;
	p = mem_alloc(sizeof(*p));
	*p = (struct policy){
	    .type = mem_strdup(type), .maxlen = -1, .maxlen_hard = -1, .next = *list};
	return *list = p;
}

static int
set_trim(struct policy *p, const char *value, struct err *err)
{
	p->trim_acked = strcmp(value, "acked") == 0;
	if (p->trim_acked || strcmp(value, "length") == 0)
		return 0;
	return err_set(err, STATUS_CONFIG, "trim '%s': expected acked or length", value);
}

static int
set_policy(struct policy **list, const char *type, const char *name, const char *value,
    unsigned line, struct err *err)
{
	struct policy *p;

	if (!names_legal(type, strlen(type)))
		return err_set(err, STATUS_CONFIG, "[%s]: an event type is " NAMES_LEGAL, type);
	p = get_policy(list, type);
	if (strcmp(name, "maxlen") == 0)
		return parse_entries(name, value, &p->maxlen, err);
	if (strcmp(name, "trim") == 0)
		return set_trim(p, value, err);
	if (strcmp(name, "maxlen-hard") != 0)
		return err_set(err, STATUS_CONFIG,
		    "unknown name '%s' in a [TYPE] section; expected maxlen, trim or maxlen-hard",
		    name);
	p->maxlen_hard_line = line;
	return parse_entries(name, value, &p->maxlen_hard, err);
}

static int
check_policy(const struct policy *p, const char *file, int64_t maxlen, struct err *err)
{
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

/* maxlen applies to sections that have none. */
static int
check_policies(const struct policy *list, const char *file, int64_t maxlen, struct err *err)
{
	for (; list != NULL; list = list->next)
		if (check_policy(list, file, list->maxlen >= 0 ? list->maxlen : maxlen, err) == -1)
			return -1;
	return 0;
}

static const struct policy *
find_policy(const struct policy *list, const char *type)
{
	while (list != NULL && strcmp(list->type, type) != 0)
		list = list->next;
	return list;
}

static void
free_policies(struct policy *list)
{
	struct policy *next;

	for (; list != NULL; list = next) {
		next = list->next;
		free(list->type);
		free(list);
	}
}

/* --- settings ------------------------------------------------------------ */

void
conf_init(struct conf *c)
{
	*c = (struct conf){.maxlen = -1};
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
	c->service_given = true;
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

typedef int setter(struct conf *, const char *, const char *, struct err *);

static const struct setting {
	char letter;
	const char *option, *variable, *name;
	setter *set;
} settings[] = {
    {'u', "-u", "EB_REDIS_URL", "url", set_url},
    {'b', "-b", "EB_BUFFER_DIR", "buffer", set_buffer},
    {'p', "-p", "EB_PREFIX", "prefix", set_prefix},
    {'s', "-s", "EB_SERVICE", "service", set_service},
    {'t', "-t", "EB_TIMEOUT", "timeout", set_timeout},
    {'\0', NULL, "EB_MAXLEN", "maxlen", set_maxlen},
};
#define SETTINGS (sizeof(settings) / sizeof(*settings))

/* Returns true when the setting has no value yet. */
static bool
is_unset(const struct conf *c,
    setter *set) /* cppcheck-suppress constParameter ; a function is never const */
{
	if (set == set_url)
		return c->url.host == NULL && c->url.path == NULL;
	if (set == set_buffer)
		return c->buffer == NULL;
	if (set == set_prefix)
		return c->prefix == NULL;
	if (set == set_service)
		return c->service == NULL;
	if (set == set_timeout)
		return c->timeout_ms == 0;
	return c->maxlen == -1;
}

static int
set_option(struct conf *c, int ch, const char *arg, struct err *err)
{
	const struct setting *s = settings;

	while (s->letter != ch)
		s++;
	if (ch == 'u') {
		size_t i;

		for (i = 0; c->url_args[i] != NULL; i++)
			if (i + 2 == sizeof(c->url_args) / sizeof(*c->url_args))
				return err_set(err, STATUS_USAGE, "-u: given more than 7 times");
		c->url_args[i] = arg;
	}
	return s->set(c, s->option, arg, err);
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

		if (value != NULL && is_unset(c, settings[i].set) &&
		    settings[i].set(c, settings[i].variable, value, err) == -1)
			return -1;
	}
	return 0;
}

/* The target of read_setting. Values of the file that an option or the environment overrides are
 * checked too. */
struct file_target {
	struct conf *c;
	struct conf checked; /* gets the overridden values */
	bool unset[SETTINGS];
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
			return settings[i].set(
			    to->unset[i] ? to->c : &to->checked, name, value, err);
	return err_set(err, STATUS_CONFIG,
	    "unknown name '%s'; expected url, buffer, prefix, service, timeout or maxlen", name);
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

static int
read_config_file(struct conf *c, struct err *err)
{
	char *own = make_xdg_path("XDG_CONFIG_HOME", ".config", "/config");
	const char *path = own;
	struct file_target to = {.c = c};
	int result = 1;

	conf_init(&to.checked);
	for (size_t i = 0; i < SETTINGS; i++)
		to.unset[i] = is_unset(c, settings[i].set);
	if (own != NULL)
		result = ini_read(own, read_setting, &to, err);
	/* an unreadable HOME, as under su(1), is not an error */
	if (result == 1 ||
	    (result == -1 && err->sys == EACCES && process_env("XDG_CONFIG_HOME") == NULL))
		result = ini_read(path = "/etc/eventbus/config", read_setting, &to, err);
	if (result == 0)
		result =
		    check_policies(c->policies, path, c->maxlen >= 0 ? c->maxlen : MAXLEN, err);
	conf_free(&to.checked);
	free(own);
	return result == -1 ? -1 : 0;
}

static char *
find_state_directory(void)
{
	const char *given = process_env("STATE_DIRECTORY");

	if (given != NULL && *given != ':')
		return mem_strndup(given, strcspn(given, ":"));
	return make_xdg_path("XDG_STATE_HOME", ".local/state", "");
}

static void
set_defaults(struct conf *c)
{
	struct err err;

	if (is_unset(c, set_url))
		set_url(c, "", URL, &err);
	if (c->prefix == NULL)
		c->prefix = mem_strdup(PREFIX);
	if (c->service == NULL)
		c->service = mem_strdup(SERVICE);
	if (c->timeout_ms == 0)
		c->timeout_ms = TIMEOUT_MS;
	if (c->maxlen == -1)
		c->maxlen = MAXLEN;
	c->state = find_state_directory();
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
find_password(struct conf *c, struct err *err)
{
	if (c->url.password == NULL && secret_find(&c->url.password, err) == -1)
		return -1;
	if (c->url.user != NULL && c->url.password == NULL)
		return err_set(err, STATUS_CONFIG,
		    "user '%s' has no password: "
		    "neither in the URL nor in EB_REDIS_PASSWORD_FILE or EB_REDIS_PASSWORD",
		    c->url.user);
	return 0;
}

/* Overwrites the passwords of URLs in argv. */
static void
hide_url_passwords(const struct conf *c, int argc, char **argv)
{
	for (size_t i = 0; c->url_args[i] != NULL; i++)
		for (int k = 0; k < argc; k++) {
			size_t n = strlen(argv[k]);

			if (c->url_args[i] >= argv[k] && c->url_args[i] <= argv[k] + n)
				secret_hide(argv[k] + (c->url_args[i] - argv[k]));
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
	if (find_password(c, err) == -1)
		return -1;
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
	free_policies(c->policies);
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

/*
 * conf: what all commands share of options, environment and config file.
 *
 * Option, then environment, then config file, then default (contract, section 5).
 * A command keeps its own getopt_long(3) table and includes CONF_SHORT and CONF_LONG in it;
 * what conf_option does not know is its own. Letters that belong to conf: u b p s t j q v h V.
 *
 *     struct conf c; conf_init(&c);
 *     while ((ch = getopt_long(...)) != -1)
 *             if ((r = conf_option(&c, ch, optarg, &f)) == 0) switch (ch) { own letters }
 *             else if (r < 0) fail
 *     if (conf_finish(&c, argc, argv, &f) == -1) fail
 *
 * The struct is filled once in main and then only read.
 *
 * The config file is $XDG_CONFIG_HOME/eventbus/config (~/.config when that is not set), else
 * /etc/eventbus/config: see ini.h; names url buffer prefix service timeout maxlen, and policies in
 * [TYPE] sections (policy.h). The password is looked for as secret.h says when the URL has none.
 * Empty environment values count as unset.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "redis/url.h"

#define CONF_SHORT "b:hjp:qs:t:u:vV"
/* clang-format off */
#define CONF_LONG \
	{"buffer", required_argument, NULL, 'b'}, \
	{"help", no_argument, NULL, 'h'}, \
	{"json", no_argument, NULL, 'j'}, \
	{"prefix", required_argument, NULL, 'p'}, \
	{"quiet", no_argument, NULL, 'q'}, \
	{"service", required_argument, NULL, 's'}, \
	{"timeout", required_argument, NULL, 't'}, \
	{"url", required_argument, NULL, 'u'}, \
	{"verbose", no_argument, NULL, 'v'}, \
	{"version", no_argument, NULL, 'V'}
/* clang-format on */

#define CONF_MAXLEN 10000 /* the default limit of a stream, in entries */

struct conf {
	struct url url; /* credentials included */
	/* url_target(&url): for messages and the buffer's target */
	char *address;
	/* the directory; NULL when there is no place for one (then conf_buffer says 78) */
	char *buffer;
	/* The parent of the default buffer, for consumers' locks, whatever -b says; where there is
	 * no default, the buffer itself. */
	char *state;
	char *prefix;
	char *service;
	bool service_given; /* by option, environment or file */
	int64_t timeout_ms;
	int64_t maxlen; /* EB_MAXLEN or the file's, else 10000; 0 for none */
	bool json, quiet, verbose, help, version;
	struct policy *policies;
	const char *url_args[8]; /* the -u of argv, to be wiped */
};

/* nothing given; the environment is not looked at yet */
void conf_init(struct conf *c);
/* 1 taken, 0 not a shared option, -1 bad value (f->status 64; the text says what the letter means
 * here). */
int conf_option(struct conf *c, int ch, const char *arg, struct err *err);
/*
 * Fills what options left open, from environment, file and defaults; looks up the password; wipes
 * the password part of a URL in argv (so that ps does not show it). With help or version set it
 * does nothing and succeeds. -1: f->status is 64 (an environment value) or 78.
 */
int conf_finish(struct conf *c, int argc, char **argv, struct err *err);
void conf_free(struct conf *c);

/* The buffer directory, or NULL with status 78 naming -b. */
const char *conf_buffer(const struct conf *c, struct err *err);
/* The limit for one type: its section's maxlen, else c->maxlen. */
int64_t conf_maxlen(const struct conf *c, const char *type);
/* Whether nothing that a group needs may be trimmed from its stream (trim = acked). */
bool conf_trim_acked(const struct conf *c, const char *type);
/* With that: how many entries its stream may hold at most, by default ten times conf_maxlen; 0 for
 * no limit. */
int64_t conf_maxlen_hard(const struct conf *c, const char *type);

/*
 * What the config file says of single types, in its [TYPE] sections.
 *
 *     [order.created]
 *     maxlen = 20000
 *     trim = acked
 *     maxlen-hard = 200000
 */

struct policy {
	char *type;
	int64_t maxlen;     /* -1: not given */
	bool acked;         /* trim = acked: what a group still needs is not trimmed */
	int64_t hard;       /* maxlen-hard; -1: not given */
	unsigned hard_line; /* where it was given */
	struct policy *next;
};

/* A number of entries, 0 for no limit. `from`: what people wrote before it. */
int policy_entries(const char *from, const char *s, int64_t *n, struct err *err);
/* Takes one line of a section. -1: f says what is wrong with it. */
int policy_set(struct policy **list, const char *type, const char *name, const char *value,
    unsigned line, struct err *err);
/* Whether the limits go together; maxlen holds where a section has none. -1: status 78, naming file
 * and line. */
int policy_check(const struct policy *list, const char *file, int64_t maxlen, struct err *err);
const struct policy *policy_find(const struct policy *list, const char *type); /* NULL: none */
void policy_free(struct policy *list);

#endif

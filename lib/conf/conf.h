/*
 * conf: the options, environment variables and config file that all commands share.
 *
 * An option wins over the environment, the environment over the config file, the file over the
 * default. The letters of the options are u b p s t j q v h V; their table is in cli/options.c.
 *
 * main fills the struct once; after that it is read-only.
 *
 * The config file is $XDG_CONFIG_HOME/eventbus/config (~/.config when that is unset), else
 * /etc/eventbus/config. Its format is that of ini.h. It has the names of the settings (conf.c), and
 * sections [TYPE] with policies of event types.
 *
 * A password that the URL lacks comes from the file that EB_REDIS_PASSWORD_FILE names; the file
 * redis-password in $CREDENTIALS_DIRECTORY (systemd.exec(5)), when it exists; EB_REDIS_PASSWORD;
 * REDISCLI_AUTH. One newline at the end of a file is dropped. Empty variables count as unset.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "redis/url.h"

#define CONF_MAXLEN 10000 /* the default limit of a stream, in entries */

struct conf {
	struct url url; /* credentials included */
	/* url_target(&url), for messages */
	char *address;
	char *target; /* "ADDRESS PREFIX": what a disk buffer belongs to (buffer_bind_target) */
	/* the directory of the disk buffer, or NULL when there is no default (see conf_buffer) */
	char *buffer;
	/* The directory for the consumers' locks: the parent of the default buffer, even with -b;
	 * the buffer itself when there is no default. */
	char *state;
	char *prefix;
	char *service;
	bool service_given; /* by option, environment or file */
	int64_t timeout_ms;
	int64_t maxlen; /* from EB_MAXLEN or the file, else 10000; 0 for none */
	/* of the disk buffer, in bytes (append.h). Options of a command may set them before
	 * conf_finish. */
	uint64_t segment_size, buffer_max, min_free;
	bool outage_event; /* system.redis_recovered is wanted after an outage */
	unsigned given;    /* which settings have a value that is no default: conf.c */
	bool json, quiet, verbose, help, version;
	struct policy *policies;
	const char *url_args[8]; /* the arguments of -u in argv, to be overwritten */
};

/* Sets all to "not given". Does not read the environment. */
void conf_init(struct conf *c);
/* Takes the option of one of these letters. Returns 0, or -1 on a bad value with status 64 and a
 * text that explains what the letter means here. */
int conf_option(struct conf *c, int ch, const char *arg, struct err *err);
/*
 * Fills what the options left open from environment, file and defaults, looks up the password, and
 * overwrites the password of a URL in argv, so that ps(1) does not show it. Does nothing when help
 * or version is set. Returns 0, or -1 with status 64 (an environment variable) or 78.
 */
int conf_finish(struct conf *c, int argc, char **argv, struct err *err);
void conf_free(struct conf *c);

/* Returns the directory of the disk buffer, or NULL with status 78 and a text that names -b. */
const char *conf_buffer(const struct conf *c, struct err *err);
/* Returns the maxlen of the type's section, else c->maxlen. */
int64_t conf_maxlen(const struct conf *c, const char *type);
/* Returns true for a type with `trim = acked`: entries that a group still needs are not trimmed. */
bool conf_trim_acked(const struct conf *c, const char *type);
/* Returns maxlen-hard, the limit of a stream with `trim = acked`: by default ten times conf_maxlen,
 * 0 for no limit. */
int64_t conf_maxlen_hard(const struct conf *c, const char *type);

#endif

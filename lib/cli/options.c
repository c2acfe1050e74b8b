/* options: reads options by the command's table. The error texts are made here: those of
 * getopt_long(3) name no way out. Declared in cli_int.h. */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"
#include "cli/cli_int.h"
#include "event/format.h"

#define OPTIONS_MAX 64
#define LONG_FORM 256 /* getopt_long returns LONG_FORM + index for a long form */

/* clang-format off */
#define SHARED(letter, name, arg, help) \
	{CLI_KIND_SHARED, letter, name, arg, 0, 0, 0, help, {NULL}}
/* clang-format on */

const struct cli_option cli_shared_options[] = {
    CLI_HEAD(0, "Options of all commands"),
    SHARED('u', "url", "url", "the address of Redis: redis://host:6379/0"),
    SHARED('b', "buffer", "dir", "the directory of the disk buffer"),
    SHARED('p', "prefix", "prefix", "the prefix of all keys"),
    SHARED('s', "service", "service", "the name of this service"),
    SHARED('t', "timeout", "seconds", "the time limit of an exchange with Redis"),
    SHARED('j', "json", NULL, "print JSON"),
    SHARED('q', "quiet", NULL, "print less"),
    SHARED('v', "verbose", NULL, "print more"),
    SHARED('h', "help", NULL, "print this help and exit"),
    SHARED('V', "version", NULL, "print the version and exit"),
    CLI_END,
};

/* The options of the command and the shared ones, without headings. */
static struct {
	const struct cli_option *option;
	unsigned modes; /* those that take it; 0: all */
	bool given;
} known[OPTIONS_MAX + 1];
static size_t nknown;

static void
add_known(const struct cli_option *o)
{
	unsigned modes = 0;

	for (; o->kind != CLI_KIND_END; o++)
		if (o->kind == CLI_KIND_HEAD)
			modes = o->modes;
		else {
			assert(nknown < OPTIONS_MAX);
			known[nknown].option = o;
			known[nknown++].modes = modes;
		}
}

void
options_label(const struct cli_option *o, bool letter, char label[OPTIONS_LABEL])
{
	if (letter && o->letter != 0)
		snprintf(label, OPTIONS_LABEL, "-%c", o->letter);
	else
		snprintf(label, OPTIONS_LABEL, "--%s", o->name);
}

/* --- values ------------------------------------------------------------------------- */

static int
refuse_option_value(const struct cli_option *o, const char *label, const char *arg, struct err *err)
{
	static const char *const wanted[] = {[CLI_KIND_NAME] = "a name",
	    [CLI_KIND_COUNT] = "a number",
	    [CLI_KIND_NUMBER] = "a number",
	    [CLI_KIND_SIZE] = "a size such as 4096, 64K, 8M or 1G",
	    [CLI_KIND_SPAN] = "a time such as 30, 0.5, 500ms or 5m"};
	char most[40] = "";

	if (o->max != 0 && o->kind == CLI_KIND_SIZE)
		snprintf(most, sizeof(most), ", at most %lldM", (long long)o->max >> 20);
	else if (o->max != 0)
		snprintf(most, sizeof(most), ", at most %lld", (long long)o->max);
	return err_set(err, STATUS_USAGE, "%s '%s': expected %s%s%s", label, arg, wanted[o->kind],
	    o->min > 0 ? ", above 0" : "", most);
}

static int
set_number(const struct cli_option *o, const char *label, const char *arg, struct err *err)
{
	int64_t max = o->max != 0 ? o->max : INT64_MAX;
	uint64_t n = 0;
	int64_t ms = 0;
	int ok = o->kind == CLI_KIND_SPAN ? num_parse_ms(arg, &ms)
	    : o->kind == CLI_KIND_SIZE    ? num_parse_size(arg, &n)
	                                  : num_parse_u64(arg, &n);

	if (o->kind == CLI_KIND_SPAN && ok == 0)
		n = (uint64_t)ms;
	if (ok == -1 || n > (uint64_t)max || n < (uint64_t)o->min)
		return refuse_option_value(o, label, arg, err);
	if (o->kind == CLI_KIND_COUNT || o->kind == CLI_KIND_SPAN)
		*o->to.count = (int64_t)n;
	else
		*o->to.number = n;
	return 0;
}

static int
set_option_value(const struct cli_command *c, const struct cli_option *o, const char *label,
    const char *arg, struct err *err)
{
	switch (o->kind) {
	case CLI_KIND_SHARED: return conf_option(c->conf, o->letter, arg, err);
	case CLI_KIND_FLAG: *o->to.flag = true; return 0;
	case CLI_KIND_TEXT:
	case CLI_KIND_NAME:
		*o->to.text = arg;
		return *arg == '\0' && o->kind == CLI_KIND_NAME
		    ? refuse_option_value(o, label, arg, err)
		    : 0;
	case CLI_KIND_FORMAT: *o->to.text = arg; return format_validate(arg, err);
	case CLI_KIND_PLACE: return id_parse_place(arg, clock_now(), label, o->to.place, err);
	case CLI_KIND_CALL: return o->to.call(label, arg, err);
	default: return set_number(o, label, arg, err);
	}
}

/* --- wrong options --------------------------------------------------------------------- */

/* `option` may have a value, which is not printed: it may be a URL with a password. */
static int
refuse_long_option(const struct cli_command *c, const char *option, struct err *err)
{
	size_t n = strcspn(option, "=");
	struct nearest s = {.word = option + 2, .n = n > 2 ? n - 2 : 0};
	struct bytes label = {0}, names = {0};
	const struct cli_old *old = c->old;
	size_t begun = 0; /* options that begin with the word */

	bytes_add(&label, option, n);
	bytes_str(&label);
	while (old != NULL && old->option != NULL && strcmp(old->option, label.p) != 0)
		old++;
	for (size_t i = 0; i < nknown; i++) {
		const char *name = known[i].option->name;

		nearest_try(&s, name);
		if (s.n > 0 && strncmp(name, s.word, s.n) == 0)
			bytes_addf(&names, "%s--%s", begun++ > 0 ? ", " : "", name);
	}
	if (old != NULL && old->option != NULL)
		err_set(err, STATUS_USAGE, "'%s' is now '%s'", label.p, old->now);
	else if (begun > 1)
		err_set(err, STATUS_USAGE, "'%s' is ambiguous: %s", label.p, bytes_str(&names));
	else if (s.best != NULL)
		err_set(err, STATUS_USAGE, "unknown option '%s'; did you mean '--%s'?", label.p,
		    s.best);
	else
		err_set(err, STATUS_USAGE, "unknown option '%s'", label.p);
	bytes_free(&label);
	bytes_free(&names);
	return -1;
}

/* Returns the index of the option that getopt_long returned, or nknown. */
static size_t
find_known(int ch)
{
	size_t i = 0;

	if (ch >= LONG_FORM)
		return (size_t)(ch - LONG_FORM);
	while (i < nknown && known[i].option->letter != ch)
		i++;
	return i;
}

/* ch: ':' or '?', of getopt_long. */
static int
refuse_option(const struct cli_command *c, int ch, const char *last, struct err *err)
{
	size_t i = optopt == 0 ? nknown : find_known(optopt);
	char label[OPTIONS_LABEL];

	if (i == nknown && optopt == 0)
		return refuse_long_option(c, last, err);
	if (i == nknown)
		return err_set(err, STATUS_USAGE,
		    "unknown option '-%c'; an argument that begins with '-' goes behind '--'",
		    optopt);
	options_label(known[i].option, optopt < LONG_FORM, label);
	if (ch == '?')
		return err_set(err, STATUS_USAGE, "%s takes no value", label);
	return err_set(
	    err, STATUS_USAGE, "%s needs a value: %s %s", label, label, known[i].option->arg);
}

/* --- reading --------------------------------------------------------------------------- */

static int
take_option(const struct cli_command *c, int ch, const char *arg, struct err *err)
{
	size_t i = find_known(ch);
	char label[OPTIONS_LABEL];

	options_label(known[i].option, ch < LONG_FORM, label);
	known[i].given = true;
	return set_option_value(c, known[i].option, label, arg, err);
}

static char **
copy_words(char **words, int n)
{
	char **copy = mem_alloc(((size_t)n + 1) * sizeof(*copy));

	memcpy(copy, words, (size_t)n * sizeof(*copy));
	copy[n] = NULL;
	return copy;
}

/* Refuses the first operand behind -h or -V, one of `behind`: other programs take a host there. The
 * words of a subcommand may stand there. */
static int
refuse_operand(const struct cli_command *c, char **operands, char **behind, struct err *err)
{
	bool help = c->conf->help;

	for (; *operands != NULL; operands++)
		for (char **b = behind; *b != NULL; b++)
			if (*b == *operands && c->usage[0] != NULL)
				return err_set(err, STATUS_USAGE, "-%c takes no '%s': it prints %s",
				    help ? 'h' : 'V', *b,
				    help ? "help; give the host with -u redis://HOST:6379/0"
				         : "the version");
	return 0;
}

int
options_read(const struct cli_command *c, int argc, char **argv, struct err *err)
{
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 2], *end = shorts;
	char **behind = NULL; /* what follows -h or -V; getopt_long moves the operands */
	int ch, ok = 0;

	add_known(c->options);
	add_known(cli_shared_options);
	*end++ = ':'; /* missing values are told apart from unknown options */
	for (size_t i = 0; i < nknown; i++) {
		const struct cli_option *o = known[i].option;

		longs[i] = (struct option){o->name,
		    o->arg != NULL ? required_argument : no_argument, NULL, LONG_FORM + (int)i};
		if (o->letter == 0)
			continue;
		*end++ = o->letter;
		if (o->arg != NULL)
			*end++ = ':';
	}
	longs[nknown] = (struct option){NULL, 0, NULL, 0};
	*end = '\0';
	opterr = 0;
	while (ok == 0 && (ch = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		ok = ch == ':' || ch == '?' ? refuse_option(c, ch, argv[optind - 1], err)
		                            : take_option(c, ch, optarg, err);
		if (behind == NULL && (c->conf->help || c->conf->version))
			behind = copy_words(argv + optind, argc - optind);
	}
	if (ok == 0 && behind != NULL)
		ok = refuse_operand(c, argv + optind, behind, err);
	free(behind);
	return ok;
}

static size_t
find_name(const char *name)
{
	size_t i = 0;

	while (i < nknown && strcmp(known[i].option->name, name) != 0)
		i++;
	return i;
}

bool
cli_given(const char *name)
{
	return known[find_name(name)].given;
}

bool
options_take(const struct cli_command *c, const struct cli_mode *mode, const char *name)
{
	size_t i = find_name(name);

	return i < nknown && mode_is_in(c, mode, known[i].modes);
}

int
options_check_mode(const struct cli_command *c, const struct cli_mode *mode, struct err *err)
{
	for (size_t i = 0; i < nknown; i++) {
		char label[OPTIONS_LABEL];
		struct bytes names = {0};

		if (!known[i].given || mode_is_in(c, mode, known[i].modes))
			continue;
		options_label(known[i].option, true, label);
		mode_list(&names, c, known[i].modes, " and ");
		err_set(err, STATUS_USAGE, "%s does not take %s; valid with %s", mode->name, label,
		    bytes_str(&names));
		bytes_free(&names);
		return -1;
	}
	return 0;
}

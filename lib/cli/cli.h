/*
 * cli: the front end that all commands share: options, help, messages, and the exit status.
 *
 * A command describes itself in one static const struct cli_command. The tables of getopt_long(3),
 * the parsing of values, the usage lines, --help and the texts about wrong options come from it:
 *
 *     struct cli_args args = cli_start(&command, argc, argv);
 *     if (args.mode->run(args.v, args.n, &err) == -1)
 *             cli_fail(&err);
 *     return cli_finish();
 *
 * This is the only room that prints and exits. A process is one command, so the room keeps the
 * state of one front end: which options were given, the exit status, the progress line.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"
#include "event/id.h"

enum cli_kind {
	CLI_KIND_END,
	CLI_KIND_HEAD,
	CLI_KIND_SHARED, /* conf_option takes it */
	CLI_KIND_FLAG,
	CLI_KIND_TEXT,
	CLI_KIND_NAME,   /* text that is not empty */
	CLI_KIND_COUNT,  /* a number, into an int64_t */
	CLI_KIND_NUMBER, /* a number, into a uint64_t */
	CLI_KIND_SIZE,   /* bytes, see num_parse_size */
	CLI_KIND_SPAN,   /* ms, see num_parse_ms */
	CLI_KIND_FORMAT, /* text, see format_validate */
	CLI_KIND_PLACE,  /* see id_parse_place */
	CLI_KIND_CALL
};

/* A row of the option table: use the macros below. */
struct cli_option {
	enum cli_kind kind;
	char letter;       /* 0: there is only the long form */
	const char *name;  /* the long form, without "--" */
	const char *arg;   /* the name of its argument; NULL: it takes none */
	int64_t min, max;  /* of the value; max 0: INT64_MAX */
	unsigned modes;    /* of a heading, see CLI_HEAD */
	const char *help;  /* one line of at most 52 characters; of a heading, its text */
	union cli_target { /* where the value goes */
		bool *flag;
		const char **text;
		int64_t *count;
		uint64_t *number;
		struct id_place *place;
		/* `option` is the option as the user wrote it, "-n" or "--count". */
		int (*call)(const char *option, const char *arg, struct err *err);
	} to;
};

/* clang-format off */

/* Begins a group of options in --help. Only the modes in `modes` take the options below, a bit for
 * each (1 << index in struct cli_command); 0: all modes do. */
#define CLI_HEAD(modes, text) {CLI_KIND_HEAD, 0, NULL, NULL, 0, 0, modes, text, {NULL}}
#define CLI_FLAG(letter, name, to, help) \
	{CLI_KIND_FLAG, letter, name, NULL, 0, 0, 0, help, {.flag = (to)}}
#define CLI_TEXT(letter, name, arg, to, help) \
	{CLI_KIND_TEXT, letter, name, arg, 0, 0, 0, help, {.text = (to)}}
#define CLI_NAME(letter, name, arg, to, help) \
	{CLI_KIND_NAME, letter, name, arg, 0, 0, 0, help, {.text = (to)}}
#define CLI_COUNT(letter, name, arg, min, max, to, help) \
	{CLI_KIND_COUNT, letter, name, arg, min, max, 0, help, {.count = (to)}}
#define CLI_NUMBER(letter, name, arg, min, max, to, help) \
	{CLI_KIND_NUMBER, letter, name, arg, min, max, 0, help, {.number = (to)}}
#define CLI_SIZE(letter, name, arg, min, max, to, help) \
	{CLI_KIND_SIZE, letter, name, arg, min, max, 0, help, {.number = (to)}}
#define CLI_SPAN(letter, name, arg, min, max, to, help) \
	{CLI_KIND_SPAN, letter, name, arg, min, max, 0, help, {.count = (to)}}
#define CLI_FORMAT(letter, name, arg, to, help) \
	{CLI_KIND_FORMAT, letter, name, arg, 0, 0, 0, help, {.text = (to)}}
#define CLI_PLACE(letter, name, arg, to, help) \
	{CLI_KIND_PLACE, letter, name, arg, 0, 0, 0, help, {.place = (to)}}
/* fn parses the value itself. Its errors have status 64 for a malformed value. */
#define CLI_CALL(letter, name, arg, fn, help) \
	{CLI_KIND_CALL, letter, name, arg, 0, 0, 0, help, {.call = (fn)}}
#define CLI_END {CLI_KIND_END, 0, NULL, NULL, 0, 0, 0, NULL, {NULL}}
/* clang-format on */

/* A subcommand; or, of a command with usage lines of its own, a form of it that takes other
 * options than the other forms. */
struct cli_mode {
	const char
	    *name; /* one word or two: "list", "quarantine list"; of a form: how it is used */
	/* For subcommands only: */
	const char *args;                                   /* in the usage line: "type ..." */
	size_t min, max;                                    /* number of arguments */
	const char *help;                                   /* one line of at most 60 characters */
	int (*run)(char **args, size_t n, struct err *err); /* 0, or -1 */
	/* Of one that needs --yes (or --dry-run, when it takes that): "deletes the group" */
	const char *changes;
};

/* A long option of earlier versions: "--list", "ebbuffer list". */
struct cli_old {
	const char *option, *now;
};

struct cli_command {
	const char *name;
	struct conf *conf;
	const char *about[2];    /* two lines for --help */
	const char *usage[4];    /* "type ...", behind "NAME [option ...]"; none: subcommands */
	const char *examples[3]; /* work as they stand */
	const char *statuses;    /* one line */
	const struct cli_option *options; /* to CLI_END; the shared ones are not in it */
	const struct cli_mode *modes;     /* to one without a name; or NULL */
	const struct cli_old *old;        /* to one without an option; or NULL */
	/* Reports a failure in place of the exit status, and returns the status to exit with; or
	 * NULL. */
	int (*on_failure)(const char *text);
};

struct cli_args {
	char **v; /* behind options and subcommand, NULL at the end */
	size_t n;
	const struct cli_mode *mode; /* the subcommand */
};

/* Must be the first call in main(). Reads options, environment and config file, finds the
 * subcommand and checks that it takes the options. Ends the process after --help, --version and
 * errors. */
struct cli_args cli_start(const struct cli_command *c, int argc, char **argv);
/* Ends the process when an option was given that this form of the command does not take. */
void cli_check_mode(const struct cli_mode *mode);
bool cli_given(const char *name);
/* Ends the process when one of the types is malformed, or is a pattern. `patterns` names what takes
 * patterns; NULL allows them here. */
void cli_check_types(char **types, size_t n, const char *patterns);

/* End the process. Both print one line; status 64 adds a line that names --help. */
void cli_bad_usage(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void cli_fail(const struct err *err) __attribute__((noreturn));

/* Sets the exit status to the worse of it and `status`. */
void cli_worse(int status);
/* Returns true with -v or on a terminal, and without -q. */
bool cli_verbose(void);
/* Print a line on standard error. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_report(void *arg, int status, const char *text); /* and cli_worse */
void cli_say(void *arg, const char *text);                /* unless -q */
/* Prints a line on standard output. Returns non-zero once that failed, which cli_finish reports. */
int cli_print(void *arg, const char *text);
/* Print bytes on standard output: the first returns as cli_print does, the second how many. They
 * are written when enough wait, by cli_flush, and on a terminal at the end of each line. */
int cli_write(const char *p, size_t n);
int cli_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Called before the first output when it is records that end with `end`: so that the first is not
 * glued to a torn one, see io_end_torn. JSON needs no call. */
void cli_records(char end);
/* Returns the width of the terminal that is standard output, else 80. */
int cli_columns(void);

/* Prints how many events are done since `started` (clock_mono), at most ten times a second. Each
 * message removes this line. */
void cli_progress(uint64_t done, uint64_t total, int64_t started);

/* The signal of cli_stop_on that has arrived, or 0. */
extern volatile sig_atomic_t cli_stopped;
void cli_stop_on(int sig);

/* Flushes standard output. The first time that this fails it prints a line, with `hint` in it, and
 * makes the exit status worse by `status`. Returns whether all output was written so far. */
bool cli_flush(int status, const char *hint);
/* Flushes standard output (status 74) and frees the conf. Returns the exit status. */
int cli_finish(void);

#endif

/*
 * cli_int: what the files of this room share.
 */
#ifndef CLI_CLI_INT_H
#define CLI_CLI_INT_H

#include "base/bytes.h"
#include "cli/cli.h"

/* The options of all commands, to CLI_END. */
extern const struct cli_option cli_shared_options[];

/* options.c: reads the options of argv. Returns 0, or -1 with status 64 or that of a value. */
int options_read(const struct cli_command *c, int argc, char **argv, struct err *err);
/* Returns true when the mode takes the option. */
bool options_take(const struct cli_command *c, const struct cli_mode *mode, const char *name);
/* Returns 0, or -1 with status 64 when an option was given that the mode does not take. */
int options_check_mode(const struct cli_command *c, const struct cli_mode *mode, struct err *err);
/* Writes "-n", when `letter` and it has one, else "--name". */
#define OPTIONS_LABEL 40
void options_label(const struct cli_option *o, bool letter, char label[OPTIONS_LABEL]);

/* mode.c: finds the subcommand that the first of n arguments name, and sets *words to how many do.
 * Returns NULL with status 64. */
const struct cli_mode *mode_find(
    const struct cli_command *c, char **args, size_t n, size_t *words, struct err *err);
/* Checks number of arguments, options and --yes. Returns 0, or -1 with status 64. */
int mode_check(const struct cli_command *c, const struct cli_mode *mode, size_t n, struct err *err);
/* Returns true when the mode is one of `modes`, or that is 0. */
bool mode_is_in(const struct cli_command *c, const struct cli_mode *mode, unsigned modes);
/* Appends the names of the modes in `modes`, all when it is 0: "a, b and c", with `last` before the
 * last one. */
void mode_list(struct bytes *out, const struct cli_command *c, unsigned modes, const char *last);

/* nearest.c: finds the word that a mistyped word was meant to be. */
struct nearest {
	const char *word; /* as typed, n bytes */
	size_t n;
	const char *best; /* the nearest candidate so far; NULL: none is near */
	size_t distance;  /* its distance */
};
/* Compares the word with a candidate. Insertions, deletions, replacements and exchanged neighbours
 * count 1 each; a third of the word, rounded up, may differ. */
void nearest_try(struct nearest *s, const char *candidate);

/* output.c: writes all n bytes. Waits where the descriptor is non-blocking, as another program may
 * have set it on a pipe or a terminal that they share; after a stop signal (cli_stop_on) only for a
 * second. Returns 0, or -1 with errno. */
int output_write(int fd, const char *p, size_t n);
/* Writes what waits for standard output. Returns 0, or -1 with the errno of the first failure,
 * after which nothing more is written. */
int output_flush(void);

/* help.c: prints the usage, the options, examples. */
void help_print(const struct cli_command *c);

#endif

#include "cli/cli.h"

#include <sys/ioctl.h>

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/status.h"
#include "cli/cli_int.h"
#include "event/names.h"

#define PROGRESS_MS 100

static struct {
	const struct cli_command *command;
	int status;
	bool stdout_failed;
	int64_t progress_at; /* when the progress line was printed; 0: it does not stand there */
} cli;

volatile sig_atomic_t cli_stopped;

/* --- messages ------------------------------------------------------------------------- */

static void
remove_progress(void)
{
	if (cli.progress_at != 0)
		output_write(STDERR_FILENO, "\r\033[K", 4);
	cli.progress_at = 0;
}

void
cli_progress(uint64_t done, uint64_t total, int64_t started)
{
	int64_t now = clock_mono(), ms = now - started;
	uint64_t rate = ms > 0 ? done * 1000 / (uint64_t)ms : 0;
	struct bytes line = {0};
	char time_left[32];

	if (ms <= 0 || now - cli.progress_at < PROGRESS_MS)
		return;
	clock_format_span(rate && total > done ? (int64_t)((total - done) * 1000 / rate) : 0,
	    time_left, sizeof(time_left));
	bytes_addf(&line, "%" PRIu64 " of %" PRIu64 " events, %" PRIu64 "/s, %s left", done, total,
	    rate, time_left);
	remove_progress();
	cli.progress_at = now;
	output_write(STDERR_FILENO, line.p, line.len);
	bytes_free(&line);
}

void
cli_warn(const char *fmt, ...)
{
	struct bytes line = {0};
	va_list ap;
	char *text;

	remove_progress();
	va_start(ap, fmt);
	text = mem_vasprintf(fmt, ap);
	va_end(ap);
	bytes_addf(&line, "%s: %s", cli.command->name, text);
	err_clean(&line);
	bytes_addc(&line, '\n');
	output_write(STDERR_FILENO, line.p, line.len);
	bytes_free(&line);
	free(text);
}

void
cli_report(void *arg, int status, const char *text)
{
	(void)arg;
	cli_warn("%s", text);
	cli_worse(status);
}

void
cli_say(void *arg, const char *text)
{
	(void)arg;
	if (!cli.command->conf->quiet)
		cli_warn("%s", text);
}

int
cli_print(void *arg, const char *text)
{
	(void)arg;
	remove_progress();
	cli_write(text, strlen(text));
	return cli_write("\n", 1);
}

int
cli_columns(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

bool
cli_verbose(void)
{
	const struct conf *conf = cli.command->conf;

	return !conf->quiet && (conf->verbose || isatty(STDERR_FILENO));
}

/* --- the end -------------------------------------------------------------------------- */

void
cli_worse(int status)
{
	cli.status = status_worse(cli.status, status);
}

void
cli_fail(const struct err *err)
{
	int status = err->status;

	cli_warn("%s", err->text);
	if (status == STATUS_USAGE)
		cli_warn("see %s --help", cli.command->name);
	if (cli.command->on_failure != NULL)
		status = cli.command->on_failure(err->text);
	output_flush();
	exit(status);
}

void
cli_bad_usage(const char *fmt, ...)
{
	struct err err;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&err, STATUS_USAGE, fmt, ap);
	va_end(ap);
	cli_fail(&err);
}

bool
cli_flush(int status, const char *hint)
{
	struct err err;

	if (cli.stdout_failed || output_flush() == 0)
		return !cli.stdout_failed;
	cli.stdout_failed = true;
	err_sys(&err, status, "write standard output%s", hint);
	if (cli.command->on_failure != NULL)
		cli_fail(&err);
	cli_report(NULL, status, err.text);
	return false;
}

int
cli_finish(void)
{
	remove_progress();
	cli_flush(STATUS_UNSAFE, "");
	conf_free(cli.command->conf);
	return cli.status;
}

static void
on_stop_signal(int sig)
{
	cli_stopped = sig;
	process_stop_signals++;
}

void
cli_stop_on(int sig)
{
	process_on_signal(sig, on_stop_signal);
}

/* --- the command line ------------------------------------------------------------------ */

static void
print_and_exit(const struct cli_command *c)
{
	if (c->conf->help)
		help_print(c);
	else
		cli_printf("%s " EB_VERSION "\n", c->name);
	exit(cli_finish());
}

struct cli_args
cli_start(const struct cli_command *c, int argc, char **argv)
{
	struct cli_args args = {0};
	size_t words = 0;
	struct err err;

	process_init();
	cli.command = c;
	conf_init(c->conf);
	if (options_read(c, argc, argv, &err) == -1 || conf_finish(c->conf, argc, argv, &err) == -1)
		cli_fail(&err);
	if (c->conf->json)
		cli_records('\n');
	if (c->conf->help || c->conf->version)
		print_and_exit(c);
	args.v = argv + optind;
	args.n = (size_t)(argc - optind);
	if (c->usage[0] != NULL)
		return args;
	if ((args.mode = mode_find(c, args.v, args.n, &words, &err)) == NULL ||
	    mode_check(c, args.mode, args.n - words, &err) == -1)
		cli_fail(&err);
	args.v += words;
	args.n -= words;
	return args;
}

void
cli_check_mode(const struct cli_mode *mode)
{
	struct err err;

	if (options_check_mode(cli.command, mode, &err) == -1)
		cli_fail(&err);
}

void
cli_check_types(char **types, size_t n, const char *patterns)
{
	for (size_t i = 0; i < n; i++) {
		bool pattern = names_is_pattern(types[i]);

		if (pattern && patterns != NULL)
			cli_bad_usage("'%s': patterns are allowed only with %s; name each type",
			    types[i], patterns);
		if (!pattern && !names_legal(types[i], strlen(types[i])))
			cli_bad_usage("'%s': an event type is " NAMES_LEGAL "%s", types[i],
			    patterns == NULL ? "; a pattern has * ? or [" : "");
	}
}

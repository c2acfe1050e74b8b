/* ebhealth: checks the disk buffer and Redis, as a monitoring plugin (ebhealth(1)). */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "base/process.h"
#include "conf/conf.h"
#include "event/names.h"
#include "report/check.h"
#include "report/problems.h"
#include "report/snapshotfmt.h"
#include "report/threshold.h"

/* --wait */
#define CHECK_MIN_MS 100 /* time limit of the last check */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 1000

enum { OPT_MIN_FREE = 256, OPT_WAIT };

/* clang-format off */
static const struct option options[] = {
	CONF_LONG,
	{"critical", required_argument, NULL, 'c'},
	{"warning", required_argument, NULL, 'w'},
	{"min-free", required_argument, NULL, OPT_MIN_FREE},
	{"wait", required_argument, NULL, OPT_WAIT},
	{NULL, 0, NULL, 0},
};
/* clang-format on */

static struct ebhealth {
	struct conf conf;
	struct threshold limits[THRESHOLDS];
	int64_t wait_ms; /* -1: check once */
	char **types;
	size_t ntypes;
} eb;

static void
ebhealth_usage(FILE *to)
{
	fputs("usage: ebhealth [-hjqvV] [-b dir] [-c name=value,...] [-p prefix] [-s service] [-t "
	      "seconds] [-u url]\n"
	      "           [-w name=value,...] [--min-free size] [--wait seconds] [type ...]\n",
	    to);
}

/* --- output -------------------------------------------------------------------------- */

/* Returns the exit status; UNKNOWN when the result could not be written. */
static int
print_health(const struct bytes *out, enum severity g)
{
	if (io_write_all(STDOUT_FILENO, out->p, out->len) == 0)
		return (int)g;
	warn("write standard output");
	return SEVERITY_UNKNOWN;
}

static void
add_health_json(struct bytes *out, const struct problems *v, const struct snapshot *p)
{
	struct record document = {.json = true};

	snapshotfmt_time(&document);
	problems_json(&document, v);
	if (p != NULL)
		snapshotfmt_json(&document, p);
	record_json(out, &document);
	bytes_addc(out, '\n');
}

/* p: NULL when no snapshot was taken. Returns the exit status. */
static int
report_problems(const struct problems *v, const struct snapshot *p)
{
	struct bytes out = {0}, ok_text = {0};
	int status;

	if (p != NULL)
		check_ok_text(&ok_text, p);
	if (eb.conf.json)
		add_health_json(&out, v, p);
	else if (!eb.conf.quiet) {
		problems_line(&out, v, bytes_str(&ok_text));
		bytes_addc(&out, '\n');
	}
	status = print_health(&out, problems_worst(v));
	bytes_free(&ok_text);
	bytes_free(&out);
	return status;
}

/* Prints errors on stdout too, usage errors included: monitoring shows only stdout. */
static void __attribute__((noreturn, format(printf, 2, 3)))
exit_unknown(bool with_usage, const char *fmt, ...)
{
	struct problems v = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	warnx("%s", text);
	if (with_usage)
		ebhealth_usage(stderr);
	problems_add(&v, SEVERITY_UNKNOWN, "configuration", "%s", text);
	report_problems(&v, NULL);
	problems_free(&v);
	exit(SEVERITY_UNKNOWN);
}

static void
print_limits(void)
{
	struct bytes b = {0};

	for (int i = 0; i < THRESHOLDS; i++) {
		const struct threshold *l = &eb.limits[i];

		if (!l->has_warn && !l->has_crit)
			continue;
		b.len = 0;
		bytes_addf(&b, "limit %s%s: warning ", threshold_name((enum threshold_index)i),
		    i == THRESHOLD_FREE ? ", below" : "");
		if (l->has_warn)
			threshold_text(&b, (enum threshold_index)i, l->warn);
		else
			bytes_adds(&b, "none");
		bytes_adds(&b, ", critical ");
		if (l->has_crit)
			threshold_text(&b, (enum threshold_index)i, l->crit);
		else
			bytes_adds(&b, "none");
		warnx("%s", bytes_str(&b));
	}
	bytes_free(&b);
}

/* --- checking ------------------------------------------------------------------------ */

static enum severity
take_and_check(struct snapshot *p, struct problems *v, int64_t timeout_ms)
{
	const struct survey_options survey_options = {.types = eb.types,
	    .n = eb.ntypes,
	    .all = threshold_any_of_streams(eb.limits),
	    .timeout_ms = timeout_ms};

	snapshot_take(p, &eb.conf, eb.conf.buffer, &survey_options);
	check_snapshot(v, p, eb.limits);
	return problems_worst(v);
}

static void
free_check(struct snapshot *p, struct problems *v)
{
	problems_free(v);
	snapshot_free(p);
}

static void
print_check(const struct problems *v)
{
	struct bytes b = {0};

	if (!eb.conf.verbose)
		return;
	problems_line(&b, v, "");
	warnx("%s", bytes_str(&b));
	bytes_free(&b);
}

/* Checks until the status is OK or the time is up. Then the status is CRITICAL, whatever the last
 * check gave. */
static void
check_until_ok(struct snapshot *p, struct problems *v)
{
	int64_t end = clock_mono() + eb.wait_ms, left = eb.wait_ms, pause = PAUSE_MIN_MS;

	for (;;) {
		int64_t timeout = left > CHECK_MIN_MS ? left : CHECK_MIN_MS;

		if (take_and_check(p, v,
		        timeout < eb.conf.timeout_ms ? timeout : eb.conf.timeout_ms) == SEVERITY_OK)
			return;
		if ((left = end - clock_mono()) <= 0)
			break;
		print_check(v);
		free_check(p, v);
		if (pause > left)
			pause = left;
		usleep((useconds_t)pause * 1000);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
		left = end - clock_mono();
	}
	problems_add(v, SEVERITY_CRITICAL, "wait", "not OK within %g s", (double)eb.wait_ms / 1000);
	problems_sort(v);
}

/* --- the command line ------------------------------------------------------------------ */

static void
take_min_free(const char *arg)
{
	struct threshold *l = &eb.limits[THRESHOLD_FREE];

	if (num_parse_size(arg, &l->crit) == -1)
		exit_unknown(
		    true, "--min-free %s: a size expected, such as 4096, 64K, 8M or 1G", arg);
	l->has_crit = l->given = true;
}

static void
take_wait(const char *arg)
{
	if (num_parse_ms(arg, &eb.wait_ms) == -1 || eb.wait_ms > INT32_MAX)
		exit_unknown(true, "--wait %s: seconds expected", arg);
}

static void
take_threshold(int ch, const char *arg)
{
	struct err err;

	if (threshold_parse(eb.limits, ch == 'c', arg, &err) == -1)
		exit_unknown(true, "%s", err.text);
}

static void
take_ebhealth_option(int ch, const char *arg)
{
	struct err err;
	int r = conf_option(&eb.conf, ch, arg, &err);

	if (r == -1)
		exit_unknown(true, "%s", err.text);
	if (r == 1)
		return;
	switch (ch) {
	case 'c':
	case 'w': take_threshold(ch, arg); break;
	case OPT_MIN_FREE: take_min_free(arg); break;
	case OPT_WAIT: take_wait(arg); break;
	default: exit_unknown(true, "usage");
	}
}

static void
read_ebhealth_options(int argc, char **argv)
{
	struct err err;
	int ch;

	conf_init(&eb.conf);
	threshold_defaults(eb.limits);
	eb.wait_ms = -1;
	while ((ch = getopt_long(argc, argv, CONF_SHORT "c:w:", options, NULL)) != -1)
		take_ebhealth_option(ch, optarg);
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		exit_unknown(false, "%s", err.text);
	eb.types = argv + optind;
	eb.ntypes = (size_t)(argc - optind);
}

static void
check_ebhealth_arguments(void)
{
	struct err err;

	for (char **t = eb.types; *t != NULL; t++)
		if (!names_is_pattern(*t) && !names_legal(*t, strlen(*t)))
			exit_unknown(true,
			    "'%s': an event type is " NAMES_LEGAL "; "
			    "a pattern has * ? or [",
			    *t);
	if (conf_buffer(&eb.conf, &err) == NULL)
		exit_unknown(false, "%s", err.text);
}

int
main(int argc, char **argv)
{
	struct snapshot p;
	struct problems v = {0};
	int status;

	process_init();
	read_ebhealth_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			ebhealth_usage(stdout);
		else
			puts("ebhealth " EB_VERSION);
		return fflush(stdout) == EOF ? SEVERITY_UNKNOWN : SEVERITY_OK;
	}
	check_ebhealth_arguments();
	if (eb.conf.verbose)
		print_limits();
	if (eb.wait_ms >= 0)
		check_until_ok(&p, &v);
	else
		take_and_check(&p, &v, eb.conf.timeout_ms);
	status = report_problems(&v, &p);
	free_check(&p, &v);
	conf_free(&eb.conf);
	return status;
}

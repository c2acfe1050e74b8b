/* ebhealth: checks the disk buffer and Redis, as a monitoring plugin (ebhealth(1)). */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "report/problems.h"
#include "report/snapshot.h"
#include "report/threshold.h"

/* --wait */
#define CHECK_MIN_MS 100 /* time limit of the last check */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 1000

static struct ebhealth {
	struct conf conf;
	struct threshold limits[THRESHOLDS];
	int64_t wait_ms; /* -1: check once */
	char **types;
	size_t ntypes;
} eb = {.wait_ms = -1};

/* --- output -------------------------------------------------------------------------- */

/* p: NULL when no snapshot was taken. Returns the exit status. */
static int
report_problems(const struct problems *v, const struct snapshot *p)
{
	struct item document = {.json = true};
	struct bytes out = {0}, ok_text = {0};

	if (p != NULL)
		problems_ok_text(&ok_text, p);
	if (eb.conf.json) {
		item_time(&document, "time", NULL, clock_now());
		problems_json(&document, v);
		if (p != NULL)
			snapshot_json(&document, p);
		item_json(&out, &document);
	} else if (!eb.conf.quiet)
		problems_line(&out, v, bytes_str(&ok_text));
	if (out.len > 0)
		cli_print(NULL, bytes_str(&out));
	bytes_free(&ok_text);
	bytes_free(&out);
	return (int)problems_worst(v);
}

/* Prints errors on stdout too, usage errors included: monitoring shows only stdout. */
static int
report_failure(const char *text)
{
	struct problems v = {0};

	problems_add(&v, SEVERITY_UNKNOWN, "configuration", "%s", text);
	report_problems(&v, NULL);
	problems_free(&v);
	return SEVERITY_UNKNOWN;
}

static void
print_limits(void)
{
	struct bytes b = {0};

	for (int i = 0; i < THRESHOLDS; i++) {
		const struct threshold *l = &eb.limits[i];

		if (l->warn == THRESHOLD_NONE && l->crit == THRESHOLD_NONE)
			continue;
		b.len = 0;
		bytes_addf(&b, "limit %s%s: warning ", threshold_name((enum threshold_index)i),
		    i == THRESHOLD_FREE ? ", below" : "");
		threshold_text(&b, (enum threshold_index)i, l->warn);
		bytes_adds(&b, ", critical ");
		threshold_text(&b, (enum threshold_index)i, l->crit);
		cli_warn("%s", bytes_str(&b));
	}
	bytes_free(&b);
}

/* --- checking ------------------------------------------------------------------------ */

static enum severity
take_and_check(struct snapshot *p, struct problems *v, int64_t timeout_ms)
{
	const struct survey_options survey_options = {.conf = &eb.conf,
	    .timeout_ms = timeout_ms,
	    .types = eb.types,
	    .n = eb.ntypes,
	    .all = threshold_any_of_streams(eb.limits)};

	snapshot_take(p, &survey_options);
	problems_find(v, p, eb.limits);
	return problems_worst(v);
}

static void
print_check(const struct problems *v)
{
	struct bytes b = {0};

	if (!eb.conf.verbose)
		return;
	problems_line(&b, v, "");
	cli_warn("%s", bytes_str(&b));
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
		problems_free(v);
		snapshot_free(p);
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

static int
take_limits(const char *option, const char *arg, struct err *err)
{
	bool critical = strcmp(option, "-c") == 0 || strcmp(option, "--critical") == 0;

	return threshold_parse(eb.limits, critical, arg, err);
}

static const struct cli_option options[] = {
    CLI_HEAD(0, "Limits"),
    CLI_CALL(
        'c', "critical", "name=value,...", take_limits, "set critical limits; see ebhealth(1)"),
    CLI_CALL('w', "warning", "name=value,...", take_limits, "set warning limits"),
    CLI_SIZE(
        0, "min-free", "size", 0, 0, &eb.limits[THRESHOLD_FREE].crit, "the same as -c free=size"),
    CLI_HEAD(0, "Waiting"),
    CLI_SPAN(0, "wait", "seconds", 0, INT32_MAX, &eb.wait_ms,
        "check again until the status is OK, for so long"),
    CLI_END,
};

static const struct cli_command command = {
    .name = "ebhealth",
    .conf = &eb.conf,
    .about = {"Checks the disk buffer and Redis, and with types their streams and groups;",
        "prints one line for monitoring, cron and CI."},
    .usage = {"[option ...] [type ...]"},
    .examples = {"ebhealth", "ebhealth -c events=1000,age=10m -w lag=100 'order.*'",
        "ebhealth --wait 5"},
    .statuses = "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
    .options = options,
    .on_failure = report_failure,
};

int
main(int argc, char **argv)
{
	struct cli_args args;
	struct snapshot p;
	struct problems v = {0};

	threshold_defaults(eb.limits);
	args = cli_start(&command, argc, argv);
	if (cli_given("min-free"))
		eb.limits[THRESHOLD_FREE].given = true;
	cli_check_types(args.v, args.n, NULL);
	eb.types = args.v;
	eb.ntypes = args.n;
	if (eb.conf.verbose)
		print_limits();
	if (eb.wait_ms >= 0)
		check_until_ok(&p, &v);
	else
		take_and_check(&p, &v, eb.conf.timeout_ms);
	cli_worse(report_problems(&v, &p));
	problems_free(&v);
	snapshot_free(&p);
	return cli_finish();
}

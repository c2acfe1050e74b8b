#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "report/judge.h"
#include "report/limit.h"
#include "event/names.h"
#include "report/picture.h"
#include "base/util.h"
#include "report/verdict.h"
#include "base/when.h"

#define LEAST_MS 100		/* what the last look before the end of --wait may take */
#define PAUSE_MIN 50
#define PAUSE_MAX 1000

enum { OPT_MIN_FREE = 256, OPT_WAIT };

static const struct option options[] = {
	CONF_LONG,
	{"critical", required_argument, NULL, 'c'},
	{"warning", required_argument, NULL, 'w'},
	{"min-free", required_argument, NULL, OPT_MIN_FREE},
	{"wait", required_argument, NULL, OPT_WAIT},
	{NULL, 0, NULL, 0}
};

static struct ebhealth {
	struct conf conf;
	struct limit limits[LIMITS];
	int64_t wait_ms;	/* -1: look once */
	char **types;
	size_t ntypes;
} eb;

static void
usage(FILE *to)
{
	fputs("usage: ebhealth [-hjqvV] [-b dir] [-c name=value,...] [-p prefix] [-s service] [-t seconds] [-u url]\n"
	    "           [-w name=value,...] [--min-free size] [--wait seconds] [type ...]\n", to);
}

/* --- saying it ----------------------------------------------------------------------- */

/* Nobody reads it: then nobody can know. */
static int
write_out(const struct buf *out, enum grade g)
{
	if (util_write(STDOUT_FILENO, out->p, out->len) == 0)
		return (int)g;
	warn("standard output");
	return GRADE_UNKNOWN;
}

static void
put_json(struct buf *out, const struct verdict *v, const struct picture *p)
{
	char now[WHEN_SIZE];

	when_format(when_now(), now);
	buf_addf(out, "{\"time\":\"%s\",", now);
	verdict_json(out, v);
	if (p != NULL) {
		picture_json(out, p);
		survey_streams_json(out, &p->redis);
	} else
		out->len--;		/* the comma */
	buf_adds(out, "}\n");
}

/* p: NULL when there was nothing to look at. */
static int
say(const struct verdict *v, const struct picture *p)
{
	struct buf out = {0}, fine = {0};
	int status;

	if (p != NULL)
		judge_fine(&fine, p);
	if (eb.conf.json)
		put_json(&out, v, p);
	else if (!eb.conf.quiet) {
		verdict_line(&out, v, buf_str(&fine));
		buf_addc(&out, '\n');
	}
	status = write_out(&out, verdict_grade(v));
	buf_free(&fine);
	buf_free(&out);
	return status;
}

/* Also for usage: monitoring shows what is on stdout. */
static void __attribute__((noreturn, format(printf, 2, 3)))
unknown(bool show_usage, const char *fmt, ...)
{
	struct verdict v = {0};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	warnx("%s", text);
	if (show_usage)
		usage(stderr);
	verdict_add(&v, GRADE_UNKNOWN, "configuration", "%s", text);
	say(&v, NULL);
	verdict_free(&v);
	exit(GRADE_UNKNOWN);
}

static void
tell_limits(void)
{
	struct buf b = {0};

	for (int i = 0; i < LIMITS; i++) {
		const struct limit *l = &eb.limits[i];

		if (!l->warns && !l->alarms)
			continue;
		b.len = 0;
		buf_addf(&b, "limit %s%s: warning ", limit_word((enum limit_name)i), i == LIMIT_FREE ? ", below" : "");
		if (l->warns)
			limit_text(&b, (enum limit_name)i, l->warn);
		else
			buf_adds(&b, "none");
		buf_adds(&b, ", critical ");
		if (l->alarms)
			limit_text(&b, (enum limit_name)i, l->crit);
		else
			buf_adds(&b, "none");
		warnx("%s", buf_str(&b));
	}
	buf_free(&b);
}

/* --- looking ------------------------------------------------------------------------- */

static enum grade
look(struct picture *p, struct verdict *v, int64_t timeout_ms)
{
	const struct survey_ask ask = {
		.types = eb.types, .n = eb.ntypes, .all = limit_streams(eb.limits), .timeout_ms = timeout_ms
	};

	picture_take(p, &eb.conf, eb.conf.buffer, &ask);
	judge_picture(v, p, eb.limits);
	return verdict_grade(v);
}

static void
forget(struct picture *p, struct verdict *v)
{
	verdict_free(v);
	picture_free(p);
}

static void
tell_look(const struct verdict *v)
{
	struct buf b = {0};

	if (!eb.conf.verbose)
		return;
	verdict_line(&b, v, "");
	warnx("%s", buf_str(&b));
	buf_free(&b);
}

/* Until it is OK or the time is up: then it is CRITICAL, whatever the last look gave. */
static void
look_until(struct picture *p, struct verdict *v)
{
	int64_t end = when_mono() + eb.wait_ms, left = eb.wait_ms, pause = PAUSE_MIN;

	for (;;) {
		int64_t most = left > LEAST_MS ? left : LEAST_MS;

		if (look(p, v, most < eb.conf.timeout_ms ? most : eb.conf.timeout_ms) == GRADE_OK)
			return;
		if ((left = end - when_mono()) <= 0)
			break;
		tell_look(v);
		forget(p, v);
		if (pause > left)
			pause = left;
		usleep((useconds_t)pause * 1000);
		pause = pause * 2 < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
		left = end - when_mono();
	}
	verdict_add(v, GRADE_CRITICAL, "wait", "not OK within %g s", (double)eb.wait_ms / 1000);
	verdict_sort(v);
}

/* --- the command line ------------------------------------------------------------------ */

static void
take_min_free(const char *arg)
{
	struct limit *l = &eb.limits[LIMIT_FREE];

	if (util_size(arg, &l->crit) == -1)
		unknown(true, "--min-free %s: a size expected: 4096, 64K, 8M, 1G", arg);
	l->alarms = l->given = true;
}

static void
take_wait(const char *arg)
{
	if (util_ms(arg, &eb.wait_ms) == -1 || eb.wait_ms > INT32_MAX)
		unknown(true, "--wait %s: seconds expected", arg);
}

static void
take_limits(int ch, const char *arg)
{
	struct fail f;

	if (limit_read(eb.limits, ch == 'c', arg, &f) == -1)
		unknown(true, "%s", f.text);
}

static void
take_option(int ch, const char *arg)
{
	struct fail f;
	int r = conf_option(&eb.conf, ch, arg, &f);

	if (r == -1)
		unknown(true, "%s", f.text);
	if (r == 1)
		return;
	switch (ch) {
	case 'c':
	case 'w':
		take_limits(ch, arg);
		break;
	case OPT_MIN_FREE:
		take_min_free(arg);
		break;
	case OPT_WAIT:
		take_wait(arg);
		break;
	default:
		unknown(true, "usage");
	}
}

static void
read_options(int argc, char **argv)
{
	struct fail f;
	int ch;

	conf_init(&eb.conf);
	limit_defaults(eb.limits);
	eb.wait_ms = -1;
	while ((ch = getopt_long(argc, argv, CONF_SHORT "c:w:", options, NULL)) != -1)
		take_option(ch, optarg);
	if (conf_finish(&eb.conf, argc, argv, &f) == -1)
		unknown(false, "%s", f.text);
	eb.types = argv + optind;
	eb.ntypes = (size_t)(argc - optind);
}

static void
check_arguments(void)
{
	struct fail f;

	for (char **t = eb.types; *t != NULL; t++)
		if (!names_pattern(*t) && !names_legal(*t, strlen(*t)))
			unknown(true, "'%s': an event type is " NAMES_LEGAL "; "
			    "a pattern has * ? or [", *t);
	if (conf_buffer(&eb.conf, &f) == NULL)
		unknown(false, "%s", f.text);
}

int
main(int argc, char **argv)
{
	struct picture p;
	struct verdict v = {0};
	int status;

	util_start();
	read_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			usage(stdout);
		else
			puts("ebhealth " EB_VERSION);
		return fflush(stdout) == EOF ? GRADE_UNKNOWN : GRADE_OK;
	}
	check_arguments();
	if (eb.conf.verbose)
		tell_limits();
	if (eb.wait_ms >= 0)
		look_until(&p, &v);
	else
		look(&p, &v, eb.conf.timeout_ms);
	status = say(&v, &p);
	forget(&p, &v);
	conf_free(&eb.conf);
	return status;
}

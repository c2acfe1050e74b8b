/* ebreplay --dead. */
#include <err.h>
#include <stdio.h>
#include <unistd.h>

#include "ebreplay.h"
#include "when.h"

/* --- dead letters ------------------------------------------------------------------------------- */

static void
on_redriven(void *arg, uint64_t moved, uint64_t of)
{
	eb.total = of;
	on_tick(arg, moved);
}

static void
report_dead(const struct redrive_result *r)
{
	struct buf out = { 0 };

	clear_line();
	if (eb.conf.json) {
		redrive_json(&out, r, eb.status);
		puts(buf_str(&out));
	} else if (eb.loud && !eb.conf.quiet) {
		redrive_text(&out, r, when_mono() - eb.started);
		warnx("%s", buf_str(&out));
	}
	buf_free(&out);
}

void
redrive(char **types, size_t n)
{
	struct redrive_options *o = &eb.dead;
	struct redrive_result r;

	o->conf = &eb.conf;
	o->types = types;
	o->ntypes = n;
	o->maxlen = eb.drain.maxlen;
	o->force = eb.drain.force;
	o->limit = eb.drain.limit;
	o->rate = eb.drain.rate;
	o->json = eb.conf.json;
	o->quiet = eb.conf.quiet;
	o->stop = &stopped;
	o->say = on_say;
	if (eb.action == OPT_DRY_RUN)
		o->dry = print_line;
	else if (isatty(STDERR_FILENO) && !eb.conf.quiet)
		o->tick = on_redriven;
	redrive_run(o, &r);
	worse(r.status);
	if (stopped && r.left)
		worse(128 + stopped);
	if (!o->dry)
		report_dead(&r);
	redrive_free(o);
}

/* ebgroup: shows and changes consumer groups by hand (ebgroup(1)). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "cli/cli.h"
#include "consume/consumer.h"
#include "event/id.h"
#include "redis/group.h"
#include "redis/pool.h"
#include "report/groupadmin.h"
#include "report/groupfmt.h"
#include "report/survey.h"

#define REAP_IDLE_MS (3600L * 1000)

static struct ebgroup {
	struct conf conf;
	const char *group, *consumer;
	uint64_t limit; /* entries still to show */
	int64_t idle;   /* ms */
	bool yes;
	/* Arguments after the type. */
	char **ids;
	size_t nids; /* 0: read the IDs from standard input */
	struct id_place where;
	struct groupadmin_choice choice;
	struct pool pool;
	struct conn *conn; /* of the pool */
	struct groupfmt fmt;
	struct groupadmin admin;
} eb = {.limit = UINT64_MAX, .choice.to = "eb-retired"};

/* --- each group ------------------------------------------------------------------- */

static void
connect_to_redis(void)
{
	struct err err;

	eb.pool = (struct pool){.url = &eb.conf.url, .timeout_ms = eb.conf.timeout_ms};
	if ((eb.conn = pool_get(&eb.pool, NULL, &err)) == NULL)
		cli_fail(&err);
	eb.admin.conn = eb.conn;
}

/* A group that fails does not stop the others, unless the connection is dead. */
static void
for_each_group(char **types, size_t n, int (*fn)(struct group_ref *g, struct err *err))
{
	struct group_ref g;
	struct err err;
	bool gone = false;

	cli_check_types(types, n, "list");
	groupfmt_fit_types(&eb.fmt, types, n);
	connect_to_redis();
	for (size_t i = 0; i < n && !gone; i++) {
		group_ref_init(&g, eb.conf.prefix, eb.conf.service, eb.group, types[i]);
		if (group_find(&g, eb.conn, &err) == -1 || fn(&g, &err) == -1) {
			cli_warn("'%s': %s", types[i], err.text);
			cli_worse(err.status);
			gone = conn_why(eb.conn) != CONN_OK;
		}
		group_ref_free(&g);
	}
}

/* --- list --------------------------------------------------------------------------- */

static void
list_stream(const struct survey *s, const struct survey_stream *st, bool named)
{
	size_t shown = groupfmt_groups(&eb.fmt, s, st, eb.group);

	if (st->error != NULL)
		cli_warn("'%s': %s", st->type, st->error);
	else if (named && !st->info.exists) {
		cli_warn("no such stream '%s'; 'ebgroup list' shows all groups", st->key);
		cli_worse(STATUS_SOME);
	} else if (named && shown == 0 && !eb.conf.quiet)
		cli_warn(
		    "'%s' has no %s", st->key, st->ngroups > 0 ? "group of that name" : "groups");
}

static bool
is_named(const char *type, char **types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

static void
list_groups(char **types, size_t n)
{
	struct survey_options survey_options = {.conf = &eb.conf,
	    .timeout_ms = eb.conf.timeout_ms,
	    .types = types,
	    .n = n,
	    .all = true};
	struct survey s;
	struct err err;

	cli_check_types(types, n, NULL);
	survey_take(&s, &survey_options);
	if (!s.up) {
		err_set(&err, conn_exit_status(s.why), "%s", s.error);
		cli_fail(&err);
	}
	for (size_t i = 0; i < s.n; i++)
		list_stream(&s, &s.streams[i], is_named(s.streams[i].type, types, n));
	for (size_t i = 0; i < s.nunmatched && !eb.conf.quiet; i++)
		cli_warn("no stream matches '%s'", s.unmatched[i]);
	if (s.why_incomplete != NULL)
		cli_warn("list incomplete: %s", s.why_incomplete);
	cli_worse(s.status);
	survey_free(&s);
}

/* --- consumers, pending ----------------------------------------------------------------- */

static int
show_consumers(struct group_ref *g, struct err *err)
{
	return groupfmt_consumers(&eb.fmt, eb.conn, g, eb.idle, err);
}

static void
run_consumers(char **types, size_t n)
{
	for_each_group(types, n, show_consumers);
}

static int
on_pending(void *arg, const struct pending *p)
{
	eb.limit--;
	return groupfmt_pending(&eb.fmt, arg, p);
}

static int
show_pending(struct group_ref *g, struct err *err)
{
	struct pending_query ask = {g->key, g->name, eb.consumer, eb.idle, eb.limit};

	if (eb.limit == 0)
		return 0;
	if (groupfmt_read_clock(&eb.fmt, eb.conn, err) == -1)
		return -1;
	return pending_scan(eb.conn, &ask, on_pending, g, err) == -1 ? -1 : 0;
}

static void
run_pending(char **types, size_t n)
{
	for_each_group(types, n, show_pending);
}

/* --- ack, set-id, destroy, retire, reap ---------------------------------------------------- */

static int
ack_group(struct group_ref *g, struct err *err)
{
	return groupadmin_ack(&eb.admin, g, eb.ids, eb.nids, err);
}

static void
run_ack(char **args, size_t n)
{
	struct stream_id id;

	eb.ids = args + 1;
	eb.nids = n == 2 && strcmp(args[1], "-") == 0 ? 0 : n - 1;
	for (size_t i = 0; i < eb.nids; i++)
		if (id_parse(slice_of(eb.ids[i]), &id) == -1)
			cli_bad_usage(
			    "ack '%s': expected the ID of an entry, such as 1764844200123-0; - "
			    "reads them from standard input",
			    eb.ids[i]);
	for_each_group(args, 1, ack_group);
}

static int
set_group_id(struct group_ref *g, struct err *err)
{
	return groupadmin_set_id(&eb.admin, g, &eb.where, err);
}

static void
run_set_id(char **args, size_t n)
{
	struct err err;

	(void)n;
	if (id_parse_place(args[1], clock_now(), "set-id", &eb.where, &err) == -1)
		cli_bad_usage("%s", err.text);
	for_each_group(args, 1, set_group_id);
}

static int
destroy_one_group(struct group_ref *g, struct err *err)
{
	return groupadmin_destroy(&eb.admin, g, err);
}

static void
run_destroy(char **types, size_t n)
{
	for_each_group(types, n, destroy_one_group);
}

static int
retire_from_group(struct group_ref *g, struct err *err)
{
	return groupadmin_retire(&eb.admin, g, &eb.choice, err);
}

static void
run_reap(char **types, size_t n)
{
	eb.choice.idle = cli_given("idle") ? eb.idle : REAP_IDLE_MS;
	for_each_group(types, n, retire_from_group);
}

static void
run_retire(char **args, size_t n)
{
	eb.choice.name = args[n - 1];
	if (strcmp(eb.choice.name, eb.choice.to) == 0)
		cli_bad_usage(
		    "retire %s: its pending entries cannot move to itself; name another with --to",
		    eb.choice.name);
	for_each_group(args, n - 1, retire_from_group);
}

/* --- the command line ------------------------------------------------------------- */

static int
take_destination(const char *option, const char *arg, struct err *err)
{
	eb.choice.to = arg;
	return consumer_check(option, arg, err);
}

enum { LIST, CONSUMERS, PENDING, ACK, SET_ID, RETIRE, REAP, DESTROY };

static const struct cli_mode modes[] = {
    [LIST] = {"list", "[type ...]", 0, SIZE_MAX, "show the groups of these streams, or of all",
        list_groups, NULL},
    [CONSUMERS] = {"consumers", "type ...", 1, SIZE_MAX, "show the consumers of a group",
        run_consumers, NULL},
    [PENDING] = {"pending", "type ...", 1, SIZE_MAX, "show the entries that are not acknowledged",
        run_pending, NULL},
    [ACK] = {"ack", "type id ... | -", 2, SIZE_MAX, "acknowledge entries, handled or not", run_ack,
        "acknowledges entries"},
    [SET_ID] = {"set-id", "type where", 2, 2, "move a group to another position in its stream",
        run_set_id, "moves the group"},
    [RETIRE] = {"retire", "type ... consumer", 2, SIZE_MAX,
        "move a consumer's pending entries, then delete it", run_retire, "deletes a consumer"},
    [REAP] = {"reap", "type ...", 1, SIZE_MAX, "retire every consumer that is idle for an hour",
        run_reap, "deletes consumers"},
    [DESTROY] = {"destroy", "type ...", 1, SIZE_MAX, "delete a group with its pending entries",
        run_destroy, "deletes the group"},
    {0},
};

#define IN(mode) (1u << (mode))

static const struct cli_option options[] = {
    CLI_HEAD(0, "Which group"),
    CLI_NAME('g', "group", "group", &eb.group, "its exact name, instead of that of the service"),
    CLI_HEAD(IN(PENDING), "Options of pending"),
    CLI_TEXT('C', "consumer", "consumer", &eb.consumer, "show only the entries of this consumer"),
    CLI_NUMBER(0, "limit", "n", 0, 0, &eb.limit, "show so many entries at most"),
    CLI_HEAD(IN(CONSUMERS) | IN(PENDING) | IN(REAP), "Options of consumers, pending and reap"),
    CLI_SPAN(0, "idle", "span", 0, 0, &eb.idle, "only those that are idle for so long"),
    CLI_HEAD(IN(RETIRE) | IN(REAP), "Options of retire and reap"),
    CLI_CALL(0, "to", "consumer", take_destination, "who gets the entries (eb-retired)"),
    CLI_HEAD(IN(ACK) | IN(SET_ID) | IN(RETIRE) | IN(REAP) | IN(DESTROY),
        "Options of ack, set-id, retire, reap and destroy"),
    CLI_FLAG(0, "dry-run", &eb.fmt.dry_run, "print what would be done, change nothing"),
    CLI_FLAG(0, "yes", &eb.yes, "do it"),
    CLI_END,
};

static const struct cli_command command = {.name = "ebgroup",
    .conf = &eb.conf,
    .about = {"Shows and changes consumer groups by hand: acknowledges entries, moves groups,",
        "retires consumers without losing what they hold."},
    .examples = {"ebgroup list", "ebgroup pending --idle 10m order.created",
        "ebgroup reap --dry-run order.created"},
    .statuses = "0 done, 1 some failed, 64 usage, 69 no Redis, 77 denied",
    .options = options,
    .modes = modes};

int
main(int argc, char **argv)
{
	struct cli_args args = cli_start(&command, argc, argv);

	eb.fmt.table.json = eb.conf.json;
	eb.fmt.table.quiet = eb.conf.quiet;
	eb.fmt.table.emit = cli_print;
	eb.admin.fmt = &eb.fmt;
	eb.admin.verbose = cli_verbose();
	eb.admin.warn = cli_report;
	args.mode->run(args.v, args.n);
	table_end(&eb.fmt.table);
	pool_close(&eb.pool);
	return cli_finish();
}

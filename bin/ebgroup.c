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
#include "report/survey.h"

#define REAP_IDLE_MS (3600L * 1000)

static struct ebgroup {
	struct conf conf;
	const char *group;
	bool yes;
	struct groupadmin admin;
} eb = {.admin = {.limit = UINT64_MAX, .to = "eb-retired"}};

/* --- each group ------------------------------------------------------------------- */

/* A group that fails does not stop the others, unless the connection is dead. */
static int
for_each_group(char **types, size_t n, groupadmin_action *action, struct err *err)
{
	struct pool pool = {.url = &eb.conf.url, .timeout_ms = eb.conf.timeout_ms};
	struct group_ref g;
	bool gone = false;

	cli_check_types(types, n, "list");
	groupadmin_fit_types(&eb.admin, types, n);
	if ((eb.admin.conn = pool_get(&pool, NULL, err)) == NULL)
		return -1;
	eb.admin.group = &g;
	for (size_t i = 0; i < n && !gone; i++) {
		group_ref_init(&g, eb.conf.prefix, eb.conf.service, eb.group, types[i]);
		if (group_find(&g, eb.admin.conn, err) == -1 || action(&eb.admin, err) == -1) {
			cli_warn("'%s': %s", types[i], err->text);
			cli_worse(err->status);
			gone = conn_why(eb.admin.conn) != CONN_OK;
		}
		group_ref_free(&g);
	}
	pool_close(&pool);
	return 0;
}

/* --- list --------------------------------------------------------------------------- */

static void
list_stream(const struct survey *s, const struct survey_stream *st, bool named)
{
	size_t shown = groupadmin_list_groups(&eb.admin, s, st, eb.group);

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

static int
list_groups(char **types, size_t n, struct err *err)
{
	struct survey_options survey_options = {.conf = &eb.conf,
	    .timeout_ms = eb.conf.timeout_ms,
	    .types = types,
	    .n = n,
	    .all = true};
	struct survey s;

	cli_check_types(types, n, NULL);
	survey_take(&s, &survey_options);
	if (!s.up) {
		err_set(err, conn_exit_status(s.why), "%s", s.error);
		survey_free(&s);
		return -1;
	}
	for (size_t i = 0; i < s.n; i++)
		list_stream(&s, &s.streams[i], is_named(s.streams[i].type, types, n));
	for (size_t i = 0; i < s.nunmatched && !eb.conf.quiet; i++)
		cli_warn("no stream matches '%s'", s.unmatched[i]);
	if (s.why_incomplete != NULL)
		cli_warn("list incomplete: %s", s.why_incomplete);
	cli_worse(s.status);
	survey_free(&s);
	return 0;
}

/* --- the other commands ----------------------------------------------------------------- */

static int
run_consumers(char **types, size_t n, struct err *err)
{
	return for_each_group(types, n, groupadmin_list_consumers, err);
}

static int
run_pending(char **types, size_t n, struct err *err)
{
	return for_each_group(types, n, groupadmin_list_pending, err);
}

static int
run_ack(char **args, size_t n, struct err *err)
{
	struct stream_id id;

	eb.admin.ids = args + 1;
	eb.admin.nids = n == 2 && strcmp(args[1], "-") == 0 ? 0 : n - 1;
	for (size_t i = 1; i <= eb.admin.nids; i++)
		if (id_parse(slice_of(args[i]), &id) == -1)
			cli_bad_usage(
			    "ack '%s': expected the ID of an entry, such as 1764844200123-0; - "
			    "reads them from standard input",
			    args[i]);
	return for_each_group(args, 1, groupadmin_ack, err);
}

static int
run_set_id(char **args, size_t n, struct err *err)
{
	(void)n;
	if (id_parse_place(args[1], clock_now(), "set-id", &eb.admin.where, err) == -1)
		return -1;
	return for_each_group(args, 1, groupadmin_set_id, err);
}

static int
run_destroy(char **types, size_t n, struct err *err)
{
	return for_each_group(types, n, groupadmin_destroy, err);
}

static int
run_reap(char **types, size_t n, struct err *err)
{
	if (!cli_given("idle"))
		eb.admin.idle = REAP_IDLE_MS;
	return for_each_group(types, n, groupadmin_retire, err);
}

static int
run_retire(char **args, size_t n, struct err *err)
{
	eb.admin.consumer = args[n - 1];
	if (strcmp(eb.admin.consumer, eb.admin.to) == 0)
		cli_bad_usage(
		    "retire %s: its pending entries cannot move to itself; name another with --to",
		    eb.admin.consumer);
	return for_each_group(args, n - 1, groupadmin_retire, err);
}

/* --- the command line ------------------------------------------------------------- */

static int
take_destination(const char *option, const char *arg, struct err *err)
{
	eb.admin.to = arg;
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
    CLI_TEXT(
        'C', "consumer", "consumer", &eb.admin.consumer, "show only the entries of this consumer"),
    CLI_NUMBER(0, "limit", "n", 0, 0, &eb.admin.limit, "show so many entries at most"),
    CLI_HEAD(IN(CONSUMERS) | IN(PENDING) | IN(REAP), "Options of consumers, pending and reap"),
    CLI_SPAN(0, "idle", "span", 0, 0, &eb.admin.idle, "only those that are idle for so long"),
    CLI_HEAD(IN(RETIRE) | IN(REAP), "Options of retire and reap"),
    CLI_CALL(0, "to", "consumer", take_destination, "who gets the entries (eb-retired)"),
    CLI_HEAD(IN(ACK) | IN(SET_ID) | IN(RETIRE) | IN(REAP) | IN(DESTROY),
        "Options of ack, set-id, retire, reap and destroy"),
    CLI_FLAG(0, "dry-run", &eb.admin.dry_run, "print what would be done, change nothing"),
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
	struct err err;

	eb.admin.table =
	    (struct table){.json = eb.conf.json, .quiet = eb.conf.quiet, .emit = cli_print};
	eb.admin.verbose = cli_verbose();
	eb.admin.warn = cli_report;
	if (args.mode->run(args.v, args.n, &err) == -1)
		cli_fail(&err);
	table_end(&eb.admin.table);
	return cli_finish();
}

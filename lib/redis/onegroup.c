#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/names.h"
#include "redis/onegroup.h"
#include "redis/reply.h"
#include "base/status.h"
#include "base/mem.h"

void
onegroup_init(struct group_choice *g, const char *prefix, const char *service, const char *name, const char *type)
{
	*g = (struct group_choice){.type = type, .key = names_stream(prefix, type)};
	g->name = name != NULL ? mem_strdup(name) : names_group(prefix, service, type);
}

void
onegroup_free(struct group_choice *g)
{
	free(g->info.name);
	free(g->name);
	free(g->key);
}

static int
choose(struct group_choice *g, struct stream_group *some, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(some[i].name, g->name) == 0) {
			g->known = true;
			g->info = some[i];
			some[i].name = NULL;
			return 0;
		}
	if (n == 0)
		return err_set(err, STATUS_SOME, "no stream '%s', or no group on it: 'ebgroup list' shows what there is", g->key);
	return err_set(err, STATUS_SOME, "no group '%s': 'ebgroup list %s' shows those that there are; -s or -g chooses", g->name,
	    g->type);
}

int
onegroup_find(struct group_choice *g, struct conn *conn, struct err *err)
{
	struct stream_group *some;
	enum conn_why why;
	struct reply *r;
	size_t n;
	int ok;

	stream_put_groups(conn, g->key);
	if ((r = conn_wait(conn, 0, err)) == NULL)
		return -1;
	ok = stream_take_groups(r, &some, &n, &why, err);
	reply_free(r);
	if (ok == -1)
		return why == CONN_NOPERM || why == CONN_OTHER ? 0 : -1;
	ok = choose(g, some, n, err);
	stream_groups_free(some, n);
	return ok;
}

int
onegroup_same(const struct group_choice *g, struct conn *conn, struct err *err)
{
	struct group_choice now = {.type = g->type, .key = g->key, .name = g->name};
	bool same;

	if (!g->known)
		return 0;
	if (onegroup_find(&now, conn, err) == -1)
		return -1;
	free(now.info.name);
	same = !now.known || (id_cmp(now.info.last_delivered, g->info.last_delivered) == 0 &&
	    now.info.pending <= g->info.pending && now.info.consumers <= g->info.consumers);
	if (same)
		return 0;
	return err_set(err, STATUS_SOME, "group '%s' has been read through while the question stood: nothing was done", g->name);
}

/* Else the target is the ID before p->low. */
static bool
is_exact(const struct id_place *p)
{
	return p->end || id_cmp(p->low, p->high) == 0;
}

void
onegroup_target(const struct id_place *p, char out[ID_SIZE])
{
	if (p->end)
		snprintf(out, ID_SIZE, "$");
	else
		id_format(is_exact(p) ? p->low : id_before(p->low), out);
}

void
onegroup_words(const struct id_place *p, char out[ONEGROUP_WORDS])
{
	char id[ID_SIZE];

	if (is_exact(p))
		onegroup_target(p, id);
	else
		id_format(p->low, id);
	snprintf(out, ONEGROUP_WORDS, "%s%s", is_exact(p) ? "" : "before ", id);
}

int
onegroup_next(const struct group_choice *g, struct conn *conn, const char *target, char out[ID_SIZE], struct err *err)
{
	char from[ID_SIZE + 1];
	struct stream_id next;
	struct reply *r;

	*out = '\0';
	if (strcmp(target, "$") == 0)
		return 0;
	snprintf(from, sizeof(from), "(%s", target);
	if ((r = conn_call(conn, err, "XRANGE", g->key, from, "+", "COUNT", "1", NULL)) == NULL)
		return -1;
	if (id_parse(reply_text(reply_at(reply_at(r, 0), 0)), &next) == 0)
		id_format(next, out);
	reply_free(r);
	return 0;
}

int
group_set_id(const struct group_choice *g, struct conn *conn, const char *target, struct err *err)
{
	struct reply *r = conn_call(conn, err, "XGROUP", "SETID", g->key, g->name, target, NULL);
	int ok = r == NULL ? -1 : 0;

	if (r != NULL && reply_is_error(r))
		ok = reply_fail(err, r, "XGROUP SETID");
	reply_free(r);
	return ok;
}

int
group_destroy(const struct group_choice *g, struct conn *conn, struct err *err)
{
	struct reply *r = conn_call(conn, err, "XGROUP", "DESTROY", g->key, g->name, NULL);
	int ok = r == NULL ? -1 : 0;

	if (r != NULL && reply_is_error(r))
		ok = reply_fail(err, r, "XGROUP DESTROY");
	else if (r != NULL && reply_int(r) != 1)
		ok = err_set(err, STATUS_SOME, "'%s' has no group '%s' any more", g->key, g->name);
	reply_free(r);
	return ok;
}

#include "buffer/setaside.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "buffer/inspect.h"
#include "buffer/quarantine.h"
#include "buffer/suspect.h"
#include "buffer/walk.h"

/* --- which events ------------------------------------------------------------------------ */

int
setaside_add_match(struct setaside *s, const char *text, struct err *err)
{
	const char *eq = strchr(text, '=');
	struct slice name = {text, eq != NULL ? (size_t)(eq - text) : 0};
	size_t field = 0;

	if (name.n == 0)
		return err_set(err, STATUS_USAGE, "--match '%s': expected field=value", text);
	while (field < EVENT_FIELDS && !slice_equal(event_field_names[field], name))
		field++;
	if (field == EVENT_FIELDS)
		return err_set(err, STATUS_USAGE,
		    "--match '%s': an event has no field '%.*s'; see ebbuffer list -j", text,
		    (int)name.n, name.p);
	s->match = mem_realloc(s->match, (s->nmatch + 1) * sizeof(*s->match));
	s->match[s->nmatch++] = (struct setaside_match){field, slice_of(eq + 1)};
	return 0;
}

bool
setaside_chooses(struct setaside *s, const struct event *e)
{
	bool named = s->nids == 0;

	for (size_t i = 0; i < s->nmatch; i++)
		if (!slice_equal(e->field[s->match[i].field], s->match[i].value))
			return false;
	for (size_t i = 0; i < s->nids; i++)
		if (slice_is(e->event_id, s->ids[i]))
			named = s->seen[i] = true;
	return named;
}

/* Lists the chosen lines in the checkpoint in memory. Returns how many, or -1. */
static int64_t
list_chosen_lines(struct undelivered *u, struct setaside *s, struct err *err)
{
	struct checkpoint *cp = &u->checkpoint;
	const struct walk_line *at = &u->at;
	struct line_derived derived;
	int64_t n = 0;
	int r;

	while ((r = undelivered_next(u, err)) == 1) {
		if (u->bad != NULL)
			continue;
		line_complete(&u->line, &derived, at->stem, at->at, at->text);
		if (!setaside_chooses(s, &u->line.e))
			continue;
		positions_add(&cp->aside, at->stem, at->pos);
		/* fixes what positions in this file count */
		if (!at->chain && positions_find(&cp->positions, at->stem) == NULL)
			positions_set(&cp->positions, false, at->stem, 0, at->limit);
		n++;
	}
	return r == -1 ? -1 : n;
}

/* --- moving them ------------------------------------------------------------------------- */

/* Returns whether a later segment has the line of a suspect one too. -1 with err. */
static int
is_repeated(struct buffer *buf, const struct undelivered *u, int64_t lock_ms, struct err *err)
{
	struct suspect *s;
	int r;

	if (!u->at.suspect)
		return 0;
	if ((s = suspect_open(buf, u->at.stem, lock_ms, err)) == NULL)
		return -1;
	r = suspect_is_repeated(s, &u->line.e);
	suspect_close(s);
	return r;
}

/* Moves the line that u has reached. A line that could not be moved stays. -1 with err. */
static int
move_line(struct buffer *buf, struct undelivered *u, struct quarantine *q, int64_t lock_ms,
    struct setaside_result *r, struct err *err)
{
	int repeated = is_repeated(buf, u, lock_ms, err);

	if (repeated == -1)
		return -1;
	if (repeated == 0 && inspect_quarantine_line(u, q, u->checkpoint.aside_reason, err) == -1) {
		if (r->kept++ == 0)
			r->why = *err;
		return 0;
	}
	r->moved += repeated == 0;
	checkpoint_add_delivered(&u->checkpoint, u->at.stem, u->at.pos, u->at.mark_before);
	return 0;
}

static int
move_listed_lines(struct buffer *buf, struct undelivered *u, int64_t lock_ms,
    struct setaside_result *r, struct err *err)
{
	struct quarantine *q = quarantine_open(buf);
	int got = 1, ok = 0;

	while (ok == 0 && (got = undelivered_next(u, err)) == 1)
		if (u->bad == NULL && positions_has(&u->checkpoint.aside, u->at.stem, u->at.pos))
			ok = move_line(buf, u, q, lock_ms, r, err);
	if (ok == 0 && got == 0)
		ok = quarantine_sync(q, err);
	quarantine_close(q);
	return got == -1 ? -1 : ok;
}

int
setaside_complete(struct buffer *buf, int64_t lock_ms, struct setaside_result *r, struct err *err)
{
	struct undelivered u;
	int ok;

	memset(r, 0, sizeof(*r));
	ok = undelivered_open(&u, buf, 0, true, err);
	if (ok == 0 && !positions_empty(&u.checkpoint.aside) &&
	    (ok = move_listed_lines(buf, &u, lock_ms, r, err)) == 0) {
		checkpoint_clear_aside(&u.checkpoint);
		ok = checkpoint_store(buf, &u.checkpoint, err);
	}
	undelivered_close(&u);
	return ok;
}

int
setaside_run(struct buffer *buf, struct setaside *s, const char *reason, int64_t lock_ms,
    struct setaside_result *r, struct err *err)
{
	struct setaside_result earlier;
	struct undelivered u;
	int64_t n = -1;
	int ok = -1;

	memset(r, 0, sizeof(*r));
	if (setaside_complete(buf, lock_ms, &earlier, err) == -1 ||
	    inspect_adopt_files(buf, err) == -1)
		return -1;
	if (undelivered_open(&u, buf, WALK_SYNC, true, err) == 0)
		n = list_chosen_lines(&u, s, err);
	if (n == 0)
		ok = 0;
	if (n > 0) {
		free(u.checkpoint.aside_reason);
		u.checkpoint.aside_reason = mem_strdup(reason);
		ok = checkpoint_store(buf, &u.checkpoint, err);
	}
	undelivered_close(&u);
	return n > 0 && ok == 0 ? setaside_complete(buf, lock_ms, r, err) : ok;
}

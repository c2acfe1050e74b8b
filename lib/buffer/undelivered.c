#include "buffer/undelivered.h"

#include <string.h>

int
undelivered_open(struct undelivered *u, struct buffer *buf, int flags, bool parse, struct err *err)
{
	memset(u, 0, sizeof(*u));
	if (checkpoint_load(buf, &u->checkpoint, err) == -1)
		return -1;
	u->parse =
	    parse || u->checkpoint.nlagging > 0 || !positions_empty(&u->checkpoint.delivered);
	u->walk = walk_open(buf, &u->checkpoint, flags | WALK_LAGGING, err);
	return u->walk != NULL ? 0 : -1;
}

bool
undelivered_examine(struct undelivered *u)
{
	const struct walk_line *at = &u->at;
	/* A bad line has no type: when it is before the positions, it is in quarantine. */
	struct slice type = {"", 0};

	u->bad = NULL;
	if (!u->parse)
		return false; /* no type lags, and the walk began at the positions */
	if (line_parse_checked(at->text.p, at->text.n, &u->line, &u->text, &u->why) == 0)
		type = u->line.e.type;
	else
		u->bad = u->why.text;
	return checkpoint_is_delivered(
	    &u->checkpoint, type.p, type.n, at->chain, at->stem, at->pos);
}

int
undelivered_next(struct undelivered *u, struct err *err)
{
	int r;

	while ((r = walk_next(u->walk, &u->at, err)) == 1)
		if (u->at.text.n > 0 && !undelivered_examine(u))
			return 1;
	return r;
}

void
undelivered_close(struct undelivered *u)
{
	walk_close(u->walk);
	bytes_free(&u->text);
	checkpoint_free(&u->checkpoint);
}

#include "consume/reconnect.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

void
reconnect_init(struct reconnect *rc, size_t connections, sub_note_fn *note, void *arg)
{
	*rc = (struct reconnect){.note = note, .arg = arg};
	rc->backoff = mem_alloc(connections * sizeof(*rc->backoff));
	for (size_t i = 0; i < connections; i++)
		rc->backoff[i] = (struct backoff){.first = 50, .max = 5000};
}

void
reconnect_free(struct reconnect *rc)
{
	free(rc->backoff);
	rc->backoff = NULL;
}

static bool
is_transient(const struct err *err)
{
	switch (err->why) {
	case CONN_REFUSED:
	case CONN_TIMEOUT:
	case CONN_CUT:
	case CONN_GARBAGE:
	case CONN_LATER:
	case CONN_READONLY:
	case CONN_UNBLOCKED:
	case CONN_NOGROUP: return true;
	default: return false;
	}
}

bool
reconnect_note_loss(struct reconnect *rc, size_t i, const struct err *err)
{
	char text[sizeof(err->text) + 32];

	if (!is_transient(err))
		return false;
	if (rc->down_since != 0) {
		if (rc->unconfirmed)
			rc->next_try = clock_mono() + backoff_next(&rc->backoff[i]);
		rc->unconfirmed = false;
		return true;
	}
	snprintf(text, sizeof(text), "%s; trying again", err->text);
	rc->note(rc->arg, SUB_WARNING, text);
	rc->last_err = *err;
	rc->down_since = clock_mono();
	rc->next_try = rc->down_since + backoff_next(&rc->backoff[i]);
	return true;
}

bool
reconnect_is_due(const struct reconnect *rc)
{
	return rc->down_since == 0 || clock_mono() >= rc->next_try;
}

bool
reconnect_note_failure(struct reconnect *rc, size_t i, const struct err *err)
{
	bool goes_on = reconnect_note_loss(rc, i, err);

	rc->last_err = *err;
	rc->next_try = clock_mono() + backoff_next(&rc->backoff[i]);
	return goes_on;
}

void
reconnect_note_open(struct reconnect *rc)
{
	if (rc->down_since != 0)
		rc->unconfirmed = true;
}

void
reconnect_note_reply(struct reconnect *rc)
{
	char span[32], text[64];

	if (!rc->unconfirmed)
		return;
	clock_format_span(clock_mono() - rc->down_since, span, sizeof(span));
	snprintf(text, sizeof(text), "connected again after %s", span);
	rc->note(rc->arg, SUB_WARNING, text);
	rc->down_since = 0;
	rc->unconfirmed = false;
}

void
reconnect_reset_backoff(struct reconnect *rc, size_t i)
{
	backoff_reset(&rc->backoff[i]);
}

int64_t
reconnect_next_try(const struct reconnect *rc)
{
	return rc->down_since != 0 && !rc->unconfirmed ? rc->next_try : -1;
}

#include "consume/reconnect.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

void
reconnect_init(struct reconnect *m, size_t connections, sub_note_fn *note, void *arg)
{
	*m = (struct reconnect){.note = note, .arg = arg};
	m->backoff = mem_alloc(connections * sizeof(*m->backoff));
	for (size_t i = 0; i < connections; i++)
		m->backoff[i] = (struct backoff){.first = 50, .max = 5000};
}

void
reconnect_free(struct reconnect *m)
{
	free(m->backoff);
	m->backoff = NULL;
}

static bool
passes(enum conn_why why)
{
	switch (why) {
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
reconnect_lost(struct reconnect *m, size_t i, enum conn_why why, const struct err *err)
{
	char text[sizeof(err->text) + 32];

	if (!passes(why))
		return false;
	if (m->down_since != 0) {
		if (m->on_trial)
			m->next_try = clock_mono() + backoff_next(&m->backoff[i]);
		m->on_trial = false;
		return true;
	}
	snprintf(text, sizeof(text), "%s; trying again", err->text);
	m->note(m->arg, SUB_WARNING, text);
	m->outage = *err;
	m->down_since = clock_mono();
	m->next_try = m->down_since + backoff_next(&m->backoff[i]);
	return true;
}

bool
reconnect_due(const struct reconnect *m)
{
	return m->down_since == 0 || clock_mono() >= m->next_try;
}

bool
reconnect_failed(struct reconnect *m, size_t i, enum conn_why why, const struct err *err)
{
	bool goes_on = reconnect_lost(m, i, why, err);

	m->outage = *err;
	m->next_try = clock_mono() + backoff_next(&m->backoff[i]);
	return goes_on;
}

void
reconnect_opened(struct reconnect *m)
{
	if (m->down_since != 0)
		m->on_trial = true;
}

void
reconnect_answered(struct reconnect *m)
{
	char span[32], text[64];

	if (!m->on_trial)
		return;
	clock_format_span(clock_mono() - m->down_since, span, sizeof(span));
	snprintf(text, sizeof(text), "connected again after %s", span);
	m->note(m->arg, SUB_WARNING, text);
	m->down_since = 0;
	m->on_trial = false;
}

void
reconnect_reset_backoff(struct reconnect *m, size_t i)
{
	backoff_reset(&m->backoff[i]);
}

int64_t
reconnect_next_try(const struct reconnect *m)
{
	return m->down_since != 0 && !m->on_trial ? m->next_try : -1;
}

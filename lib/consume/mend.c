#include <stdio.h>
#include <stdlib.h>

#include "consume/mend.h"
#include "base/util.h"
#include "base/when.h"

void
mend_init(struct mend *m, size_t connections, tap_note_fn *note, void *arg)
{
	*m = (struct mend){.note = note, .arg = arg};
	m->backoff = util_alloc(connections * sizeof(*m->backoff));
	for (size_t i = 0; i < connections; i++)
		m->backoff[i] = (struct backoff){.first = 50, .most = 5000};
}

void
mend_free(struct mend *m)
{
	free(m->backoff);
	m->backoff = NULL;
}

static bool
passes(enum bus_why why)
{
	switch (why) {
	case BUS_REFUSED:
	case BUS_TIMEOUT:
	case BUS_CUT:
	case BUS_GARBAGE:
	case BUS_LATER:
	case BUS_READONLY:
	case BUS_UNBLOCKED:
	case BUS_NOGROUP:
		return true;
	default:
		return false;
	}
}

bool
mend_lost(struct mend *m, size_t i, enum bus_why why, const struct fail *f)
{
	char text[sizeof(f->text) + 32];

	if (!passes(why))
		return false;
	if (m->down_since != 0) {
		if (m->on_trial)
			m->next_try = when_mono() + backoff_next(&m->backoff[i]);
		m->on_trial = false;
		return true;
	}
	snprintf(text, sizeof(text), "%s; trying again", f->text);
	m->note(m->arg, TAP_WARNING, text);
	m->outage = *f;
	m->down_since = when_mono();
	m->next_try = m->down_since + backoff_next(&m->backoff[i]);
	return true;
}

bool
mend_due(const struct mend *m)
{
	return m->down_since == 0 || when_mono() >= m->next_try;
}

bool
mend_failed(struct mend *m, size_t i, enum bus_why why, const struct fail *f)
{
	bool goes_on = mend_lost(m, i, why, f);

	m->outage = *f;
	m->next_try = when_mono() + backoff_next(&m->backoff[i]);
	return goes_on;
}

void
mend_opened(struct mend *m)
{
	if (m->down_since != 0)
		m->on_trial = true;
}

void
mend_answered(struct mend *m)
{
	char span[32], text[64];

	if (!m->on_trial)
		return;
	when_span(when_mono() - m->down_since, span, sizeof(span));
	snprintf(text, sizeof(text), "connected again after %s", span);
	m->note(m->arg, TAP_WARNING, text);
	m->down_since = 0;
	m->on_trial = false;
}

void
mend_well(struct mend *m, size_t i)
{
	backoff_reset(&m->backoff[i]);
}

int64_t
mend_next(const struct mend *m)
{
	return m->down_since != 0 && !m->on_trial ? m->next_try : -1;
}

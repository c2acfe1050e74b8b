#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/event.h"
#include "handle/handle_int.h"

#define GRACE 5000 /* ms between being told to end and being killed */
#define TICK 20    /* ms: what it answers meanwhile is what it is given ahead */
#define INFLIGHT_FIRST 16
#define INFLIGHT_LEAST 2
#define AHEAD (1 << 20) /* bytes that wait to be written at most; then it takes nothing more */
#define ANSWER_MAX 4096 /* bytes of a line */

static const struct slice none;

/* --- starting -------------------------------------------------------------------- */

int
worker_spawn(struct runner *h, struct err *err)
{
	struct handle *w = h->w;
	struct child_plan plan = {
	    .argv = w->plan->argv, .env = childenv_without_event(w->env), .in = -1, .out = true};

	h->out.len = h->written = h->in.len = 0;
	h->answered = h->overdue = h->cut_short = false;
	h->window = INFLIGHT_FIRST;
	h->answers = 0;
	h->inflight_at = clock_mono();
	if (h->pause.first == 0)
		h->pause = (struct backoff){.first = 100, .max = 30000};
	return child_start(&h->child, &plan, err);
}

static void
start_again(struct runner *h)
{
	struct err err;

	if (worker_spawn(h, &err) == 0)
		return;
	if (err.sys != EAGAIN && err.sys != ENOMEM && err.sys != EMFILE && err.sys != ENFILE)
		handle_fail(h->w, &err);
	h->next_start = clock_mono() + backoff_next(&h->pause);
}

/* --- giving ------------------------------------------------------------------------ */

/* One that failed before goes alone: what kills the worker takes no others with it. */
bool
worker_has_room(struct runner *h, const struct job *j)
{
	if (h->child.in == -1 || h->overdue || h->alone || h->out.len - h->written > AHEAD)
		return false;
	return j->attempts > 0 ? h->load == 0 : h->load < h->window;
}

static void
push(struct runner *h, struct job *j)
{
	if (h->count == h->room) {
		size_t room = h->room > 0 ? 2 * h->room : 64;
		struct job **ring = mem_alloc(room * sizeof(*ring));

		for (size_t i = 0; i < h->count; i++)
			ring[i] = h->given[(h->first + i) % h->room];
		free(h->given);
		h->given = ring;
		h->room = room;
		h->first = 0;
	}
	h->given[(h->first + h->count++) % h->room] = j;
}

static struct job *
pop(struct runner *h)
{
	struct job *j = h->given[h->first];

	h->first = (h->first + 1) % h->room;
	h->count--;
	return j;
}

static void
set_deadline(struct runner *h)
{
	int64_t ms = h->w->plan->cmd_timeout;

	h->deadline = ms > 0 && h->count > 0 ? clock_mono() + ms : -1;
}

void
worker_send(struct runner *h, struct job *j, const struct record *r)
{
	if (h->child.in == -1 || h->overdue) {
		attempt_finish(h->w, j, OUTCOME_UNDONE, "", none);
		return;
	}
	if (h->count == 0 && h->load == 1)
		h->inflight_at = clock_mono();
	push(h, j);
	event_add_json(&h->out, r->id, r->stream, r->type, r->kv, r->nkv, r->deliveries);
	bytes_addc(&h->out, '\n');
	job_clear_entry(j);
	if (h->count == 1)
		set_deadline(h);
}

static bool
write_some(struct runner *h)
{
	ssize_t n;

	if (h->child.in == -1 || h->out.len == h->written)
		return false;
	n = write(h->child.in, h->out.p + h->written, h->out.len - h->written);
	if (n > 0)
		h->written += (size_t)n;
	/* it does not read any more: its end is near */
	else if (n == -1 && errno != EAGAIN && errno != EINTR) {
		close(h->child.in);
		h->child.in = -1;
		child_terminate(&h->child, GRACE);
		return true;
	}
	if (h->written == h->out.len)
		h->written = h->out.len = 0;
	return n > 0;
}

/* --- its answers -------------------------------------------------------------------- */

/* "WORD" or "WORD reason" */
static bool
says(struct slice line, const char *word)
{
	size_t n = strlen(word);

	return line.n >= n && memcmp(line.p, word, n) == 0 && (line.n == n || line.p[n] == ' ');
}

static void
fault(struct runner *h, const char *why)
{
	h->overdue = true;
	h->fault = why;
	child_terminate(&h->child, GRACE);
}

static void
nonsense(struct runner *h, struct slice line)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)(line.n < 60 ? line.n : 60), line.p);
	handle_note(h->w, SUB_WARNING,
	    h->count == 0 ? "the worker answered '%s' to nothing"
	                  : "the worker answered '%s', which is none of ok, retry and dead; it is "
	                    "started again",
	    text);
	fault(h, "no answer");
}

static void
answer(struct runner *h, struct slice line)
{
	enum outcome what = says(line, "ok") ? OUTCOME_DONE
	    : says(line, "retry")            ? OUTCOME_POSTPONED
	                                     : OUTCOME_DEAD;
	char text[1024];

	if (h->overdue)
		return;
	if (h->count == 0 || (what == OUTCOME_DEAD && !says(line, "dead"))) {
		nonsense(h, line);
		return;
	}
	text[0] = '\0';
	if (what != OUTCOME_DONE)
		snprintf(text, sizeof(text), "%.*s", (int)line.n, line.p);
	attempt_finish(h->w, pop(h), what, text, none);
	h->answers++;
	if (!h->answered)
		backoff_reset(&h->pause);
	h->answered = true;
	set_deadline(h);
}

static void
take_lines(struct runner *h)
{
	size_t at = 0;
	char *nl;

	while (at < h->in.len && (nl = memchr(h->in.p + at, '\n', h->in.len - at)) != NULL) {
		size_t n = (size_t)(nl - (h->in.p + at));

		answer(h, (struct slice){h->in.p + at, n});
		at += n + 1;
	}
	bytes_drop(&h->in, at);
	if (h->in.len > ANSWER_MAX && !h->overdue)
		nonsense(h, (struct slice){h->in.p, h->in.len});
	if (h->overdue)
		h->in.len = 0;
}

static bool
read_some(struct runner *h)
{
	bool some = false;
	ssize_t n;

	while (h->child.out != -1) {
		bytes_reserve(&h->in, 65536);
		n = read(h->child.out, h->in.p + h->in.len, 65536);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		some = true;
		if (n <= 0) { /* no more answers will come */
			close(h->child.out);
			h->child.out = -1;
			child_terminate(&h->child, GRACE);
			break;
		}
		h->in.len += (size_t)n;
		take_lines(h);
		if (n < 65536)
			break;
	}
	return some;
}

static void
adapt(struct runner *h)
{
	if (clock_mono() - h->inflight_at < TICK || (h->answers == 0 && h->count == 0))
		return;
	h->window = 2 * h->answers;
	if (h->window < INFLIGHT_LEAST)
		h->window = INFLIGHT_LEAST;
	if (h->window > HANDLE_PAGE)
		h->window = HANDLE_PAGE;
	h->answers = 0;
	h->inflight_at = clock_mono();
}

/* --- its end --------------------------------------------------------------------------- */

static void
ended(struct runner *h, int status)
{
	struct handle *w = h->w;
	bool cannot = WIFEXITED(status) &&
	    (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127) && !h->answered;
	bool blameless = h->cut_short || cannot;
	char word[32], text[64];
	struct bytes tail = {0};
	struct err err;

	child_status_text(status, word);
	snprintf(text, sizeof(text), "worker: %s", h->overdue ? h->fault : word);
	child_tail(&h->child, &tail);
	h->next_start = clock_mono() + backoff_next(&h->pause);
	if (!blameless && !w->ending)
		handle_note(w, SUB_WARNING,
		    "the worker ended (%s), %zu unanswered; it is started again", word, h->count);
	while (h->count > 0)
		attempt_finish(w, pop(h), blameless ? OUTCOME_UNDONE : OUTCOME_FAILED, text,
		    (struct slice){tail.p, tail.len});
	bytes_free(&tail);
	child_destroy(&h->child);
	h->deadline = -1;
	if (cannot) {
		err_set(&err, STATUS_CONFIG, "run '%s': %s", w->plan->argv[0], word);
		handle_fail(w, &err);
	}
}

bool
worker_process(struct runner *h)
{
	bool some;
	int status;

	if (h->child.pid == 0) {
		if (h->w->ending || clock_mono() < h->next_start)
			return false;
		start_again(h);
		return true; /* what is ready may be given to it */
	}
	if (h->w->ending && h->load == 0 && h->child.in != -1 && h->out.len == h->written) {
		close(h->child.in);
		h->child.in = -1;
	}
	some = write_some(h);
	if (h->deadline != -1 && clock_mono() >= h->deadline && !h->overdue)
		fault(h, "timeout");
	some = read_some(h) || some;
	adapt(h);
	if (!h->w->child_news || !child_reap(&h->child, &status))
		return some;
	read_some(h);
	ended(h, status);
	return true;
}

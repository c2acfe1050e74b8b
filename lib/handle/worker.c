/* worker: a command that stays, reads JSON lines and answers "ok", "retry" or "dead" to each.
 * Declared in handle_int.h. */
#include <sys/wait.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "event/event.h"
#include "handle/handle.h"
#include "handle/handle_int.h"

#define ADAPT_MS 20 /* the window is twice what the worker answers in that time */
#define WINDOW_FIRST 16
#define WINDOW_LEAST 2
#define WINDOW_MOST 500
/* bytes not yet written; a worker with more gets no further event */
#define UNWRITTEN_MAX (1 << 20)
#define ANSWER_MAX 4096 /* bytes of an answer line */

static const struct slice none;

/* --- starting ------------------------------------------------------------------------ */

int
worker_spawn(struct runner *runner, struct err *err)
{
	struct child_plan plan = {.argv = runner->set->plan->argv,
	    .env = childenv_without_event(runner->set->env),
	    .stdin_fd = -1,
	    .pipe_stdout = true};

	runner->out.len = runner->written = runner->in.len = 0;
	runner->answered = runner->at_fault = runner->stopped = false;
	runner->window = WINDOW_FIRST;
	runner->answers = 0;
	runner->window_since = clock_mono();
	if (runner->backoff.first == 0)
		runner->backoff = (struct backoff){.first = 100, .max = 30000};
	return child_start(&runner->child, &plan, err);
}

static void
restart_worker(struct runner *runner)
{
	struct err err;

	if (worker_spawn(runner, &err) == 0)
		return;
	if (!child_is_shortage(&err))
		loop_fail(&runner->set->handle->loop, &err);
	runner->next_start = clock_mono() + backoff_next(&runner->backoff);
}

/* --- sending ------------------------------------------------------------------------- */

/* Returns whether the worker can take a job. A job that failed before is sent alone, so that an
 * event that kills the worker fails no others. */
bool
worker_has_room(const struct runner *runner, const struct job *job)
{
	if (runner->child.stdin_fd == -1 || runner->at_fault || runner->alone ||
	    runner->out.len - runner->written > UNWRITTEN_MAX)
		return false;
	return job->attempts > 0 ? runner->load == 0 : runner->load < runner->window;
}

static struct job *
pop_unanswered(struct runner *runner)
{
	struct job *job = runner->unanswered.first;

	job_unlist(job);
	return job;
}

static void
set_answer_deadline(struct runner *runner)
{
	int64_t ms = runner->set->plan->cmd_timeout;

	runner->deadline = ms > 0 && runner->unanswered.n > 0 ? clock_mono() + ms : -1;
}

void
worker_send(struct runner *runner, struct job *job, const struct event_entry *record)
{
	if (runner->child.stdin_fd == -1 || runner->at_fault) {
		attempt_finish(runner->set->handle, job, OUTCOME_UNDONE, "", none);
		return;
	}
	if (runner->unanswered.n == 0 && runner->load == 1)
		runner->window_since = clock_mono();
	jobs_append(&runner->unanswered, job);
	event_add_json(&runner->out, record);
	bytes_addc(&runner->out, '\n');
	job_clear_entry(job);
	if (runner->unanswered.n == 1)
		set_answer_deadline(runner);
}

static bool
write_to_worker(struct runner *runner)
{
	ssize_t n;

	if (runner->child.stdin_fd == -1 || runner->out.len == runner->written)
		return false;
	n = write(runner->child.stdin_fd, runner->out.p + runner->written,
	    runner->out.len - runner->written);
	if (n > 0)
		runner->written += (size_t)n;
	/* it has closed its stdin */
	else if (n == -1 && errno != EAGAIN && errno != EINTR) {
		child_close_pipe(&runner->child.stdin_fd);
		child_terminate(&runner->child, RUNNER_KILL_GRACE);
		return true;
	}
	if (runner->written == runner->out.len)
		runner->written = runner->out.len = 0;
	return n > 0;
}

/* --- answers ------------------------------------------------------------------------- */

/* Returns whether the line is "WORD" or "WORD reason". */
static bool
is_answer(struct slice line, const char *word)
{
	size_t n = strlen(word);

	return line.n >= n && memcmp(line.p, word, n) == 0 && (line.n == n || line.p[n] == ' ');
}

static void
end_faulty_worker(struct runner *runner, const char *why)
{
	runner->at_fault = true;
	runner->fault = why;
	child_terminate(&runner->child, RUNNER_KILL_GRACE);
}

static void
reject_answer(struct runner *runner, struct slice line)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)(line.n < 60 ? line.n : 60), line.p);
	sub_notef(runner->set->handle->loop.plan->sub, SUB_WARNING,
	    runner->unanswered.n == 0
	        ? "the worker answered '%s' without an unanswered event; restarting it"
	        : "the worker answered '%s', not ok, retry or dead; restarting it",
	    text);
	end_faulty_worker(runner, "bad answer");
}

static void
take_worker_answer(struct runner *runner, struct slice line)
{
	enum outcome outcome = is_answer(line, "ok") ? OUTCOME_DONE
	    : is_answer(line, "retry")               ? OUTCOME_POSTPONED
	                                             : OUTCOME_DEAD;
	char text[1024];

	if (runner->at_fault)
		return;
	if (runner->unanswered.n == 0 || (outcome == OUTCOME_DEAD && !is_answer(line, "dead"))) {
		reject_answer(runner, line);
		return;
	}
	text[0] = '\0';
	if (outcome != OUTCOME_DONE)
		snprintf(text, sizeof(text), "%.*s", (int)line.n, line.p);
	attempt_finish(runner->set->handle, pop_unanswered(runner), outcome, text, none);
	runner->answers++;
	if (!runner->answered)
		backoff_reset(&runner->backoff);
	runner->answered = true;
	set_answer_deadline(runner);
}

static void
take_answer_lines(struct runner *runner)
{
	size_t at = 0;
	char *nl;

	while (at < runner->in.len &&
	    (nl = memchr(runner->in.p + at, '\n', runner->in.len - at)) != NULL) {
		size_t n = (size_t)(nl - (runner->in.p + at));

		take_worker_answer(runner, (struct slice){runner->in.p + at, n});
		at += n + 1;
	}
	bytes_drop(&runner->in, at);
	if (runner->in.len > ANSWER_MAX && !runner->at_fault)
		reject_answer(runner, (struct slice){runner->in.p, runner->in.len});
	if (runner->at_fault)
		runner->in.len = 0;
}

static bool
read_answers(struct runner *runner)
{
	bool worked = false;
	ssize_t n;

	while (runner->child.stdout_fd != -1) {
		bytes_reserve(&runner->in, 65536);
		n = read(runner->child.stdout_fd, runner->in.p + runner->in.len, 65536);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		worked = true;
		if (n <= 0) { /* it has closed its stdout */
			child_close_pipe(&runner->child.stdout_fd);
			child_terminate(&runner->child, RUNNER_KILL_GRACE);
			break;
		}
		runner->in.len += (size_t)n;
		take_answer_lines(runner);
		if (n < 65536)
			break;
	}
	return worked;
}

static void
adapt_window(struct runner *runner)
{
	if (clock_mono() - runner->window_since < ADAPT_MS ||
	    (runner->answers == 0 && runner->unanswered.n == 0))
		return;
	runner->window = 2 * runner->answers;
	if (runner->window < WINDOW_LEAST)
		runner->window = WINDOW_LEAST;
	if (runner->window > WINDOW_MOST)
		runner->window = WINDOW_MOST;
	runner->answers = 0;
	runner->window_since = clock_mono();
}

/* --- ending -------------------------------------------------------------------------- */

static void
finish_worker(struct runner *runner, int status)
{
	struct handle *handle = runner->set->handle;
	bool cannot = WIFEXITED(status) &&
	    (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127) && !runner->answered;
	bool blameless = runner->stopped || cannot;
	char word[32], text[64];
	struct err err;

	child_status_text(status, word);
	snprintf(text, sizeof(text), "worker: %s", runner->at_fault ? runner->fault : word);
	runner->next_start = clock_mono() + backoff_next(&runner->backoff);
	if (!blameless && !handle->loop.ending)
		sub_notef(handle->loop.plan->sub, SUB_WARNING,
		    "the worker ended (%s) with %zu unanswered events; restarting it", word,
		    runner->unanswered.n);
	while (runner->unanswered.n > 0)
		attempt_finish(handle, pop_unanswered(runner),
		    blameless ? OUTCOME_UNDONE : OUTCOME_FAILED, text,
		    (struct slice){runner->child.tail.p, runner->child.tail.len});
	child_destroy(&runner->child);
	runner->deadline = -1;
	if (cannot) {
		err_set(&err, STATUS_CONFIG, "run '%s': %s", handle->plan->argv[0], word);
		loop_fail(&handle->loop, &err);
	}
}

bool
worker_process(struct runner *runner)
{
	bool worked;
	int status;

	if (runner->child.pid == 0) {
		/* the claims of this turn come after it, and find it */
		if (!runner->set->handle->loop.ending && clock_mono() >= runner->next_start)
			restart_worker(runner);
		return false;
	}
	if (runner->set->handle->loop.ending && runner->load == 0 && runner->child.stdin_fd != -1 &&
	    runner->out.len == runner->written) {
		child_close_pipe(&runner->child.stdin_fd);
	}
	worked = write_to_worker(runner);
	if (runner->deadline != -1 && clock_mono() >= runner->deadline && !runner->at_fault)
		end_faulty_worker(runner, "timeout");
	worked = read_answers(runner) || worked;
	adapt_window(runner);
	if (!runner->set->check_children || !child_reap(&runner->child, &status))
		return worked;
	read_answers(runner);
	finish_worker(runner, status);
	return true;
}

#include "consume/print.h"

#include "base/clock.h"

/* ms; a sink that takes longer for a batch gets no prefetch, so other consumers may have it */
#define SLOW 1000

struct print {
	struct loop loop; /* first, so that print_of works */
	struct sink *sink;
	bool slow; /* the last batch took longer than SLOW */
};

static struct print *
print_of(struct loop *loop)
{
	return (void *)loop;
}

static size_t
count_print_room(struct loop *loop)
{
	uint64_t left;

	if (loop->plan->limit < 0)
		return SIZE_MAX;
	left = (uint64_t)loop->plan->limit - loop->count;
	for (size_t i = 0; i < loop->plan->n; i++)
		left -= sub_requested(loop->plan->subs[i]);
	return (size_t)left;
}

static enum loop_read
choose_print_read(struct loop *loop, size_t i)
{
	return loop->plan->to_end && loop->plan->subs[i]->at_end ? LOOP_READ_NOT : LOOP_READ_WAIT;
}

static void
print_batch(struct loop *loop, size_t i)
{
	struct subscription *sub = loop->plan->subs[i];
	struct print *print = print_of(loop);
	int64_t began = clock_mono();
	size_t written;
	struct err err;

	if (print->sink->broken)
		return;
	if (!loop->ending && !print->slow)
		sub_prefetch(sub, count_print_room(loop));
	written = sub_each(sub, sink_add, print->sink);
	if (sink_flush(print->sink, &err) == -1) {
		written = print->sink->written;
		loop_fail(loop, &err);
	}
	print->slow = clock_mono() - began > SLOW;
	sub_finish_batch(sub, written);
	loop->count += written;
	if (written > 0)
		loop->last_event = clock_mono();
}

/* With to_end, closes the subscriptions at their end, once their acknowledgements are confirmed. */
static bool
close_ended_subs(struct loop *loop)
{
	bool closed = false;

	for (size_t i = 0; i < loop->plan->n && loop->plan->to_end && !loop->ending; i++) {
		struct subscription *sub = loop->plan->subs[i];

		if (sub->state == SUB_IDLE && sub->at_end && sub_settled(sub)) {
			sub_close(sub);
			closed = true;
		}
	}
	return closed;
}

static bool
is_print_done(struct loop *loop)
{
	for (size_t i = 0; i < loop->plan->n; i++)
		if (loop->plan->subs[i]->state != SUB_CLOSED)
			return false;
	return true;
}

static bool
is_print_quiet(struct loop *loop)
{
	for (size_t i = 0; i < loop->plan->n; i++)
		if (loop->plan->subs[i]->state != SUB_CLOSED && !loop->plan->subs[i]->at_end)
			return false;
	return true;
}

/* When nothing can be written any more, closes the subscriptions that only read. Returns whether no
 * subscription reads or acknowledges. */
static bool
finish_subs(struct loop *loop)
{
	bool broken = print_of(loop)->sink->broken != 0 || loop->out_gone, all = true;

	for (size_t i = 0; i < loop->plan->n; i++) {
		struct subscription *sub = loop->plan->subs[i];

		if (sub->conn == NULL || sub_settled(sub))
			continue;
		if (broken && sub->state != SUB_IDLE && sub->acks_in_flight == 0)
			sub_close(sub);
		else
			all = false;
	}
	return all;
}

enum loop_end
print_run(const struct loop_plan *plan, struct sink *sink, uint64_t *count, struct err *err)
{
	static const struct loop_user user = {.room = count_print_room,
	    .choose_read = choose_print_read,
	    .take = print_batch,
	    .work = close_ended_subs,
	    .is_done = is_print_done,
	    .is_quiet = is_print_quiet,
	    .finish = finish_subs};
	struct print print = {.sink = sink};
	enum loop_end end = loop_run(&print.loop, plan, &user, err);

	*count = print.loop.count;
	return end;
}

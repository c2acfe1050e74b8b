/*
 * print: reads subscriptions into a sink until there is a reason to stop.
 *
 * A batch is acknowledged after the sink has written it (G6, eventbus(7)). The requests of all
 * subscriptions together never exceed what is left of the limit.
 */
#ifndef CONSUME_PRINT_H
#define CONSUME_PRINT_H

#include "consume/loop.h"
#include "consume/sink.h"

/* Returns why it ended, and how many events were written. With LOOP_FAILED, err has the reason. */
enum loop_end print_run(
    const struct loop_plan *plan, struct sink *sink, uint64_t *count, struct err *err);

#endif

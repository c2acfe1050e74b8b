/*
 * ebsub.h: what the parts of ebsub(1) share: ebsub.c takes the command line and runs, types.c finds the streams of a type or pattern.
 */
#ifndef EBSUB_H
#define EBSUB_H

#include <stdbool.h>

#include "conf.h"
#include "consumer.h"
#include "follow.h"
#include "handle.h"

struct ebsub {
	struct conf conf;
	struct tap_plan plan;
	struct sink sink;
	struct follow follow;
	struct consumer consumer;
	struct handle_plan handle;
	const char *group;		/* -g */
	const char *of_commands;	/* an option that goes only with -- CMD */
	bool peek, dead, to_given, end, payload, no_sync;
};
extern struct ebsub eb;

void on_note(void *arg, enum tap_note kind, const char *text);
void add_type(const char *type);	/* a tap for it, or for each stream that the pattern fits */

#endif

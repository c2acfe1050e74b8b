/*
 * survey_int: what the parts of survey.h share. Not for others.
 */
#ifndef REPORT_SURVEY_INT_H
#define REPORT_SURVEY_INT_H

#include "report/survey.h"

struct survey_run {
	struct survey *s;
	const struct survey_ask *ask;
	struct conn *b;
	int64_t by;		/* CLOCK_MONOTONIC ms */
	size_t cap;
};

/* The first reason counts. */
void survey_not_all(struct survey *s, int status, const char *why);
/* Frees the streams from `first` on. */
void survey_drop(struct survey *s, size_t first);
/* Looks at all that are listed; those that were not reached are dropped. -1: the connection is dead. */
int survey_look(struct survey_run *w, struct err *err);

#endif

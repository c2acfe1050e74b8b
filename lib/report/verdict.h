/*
 * verdict: problems and how bad they are, in the manner of monitoring plugins.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The numbers are exit statuses; worse is CRITICAL, WARNING, UNKNOWN, OK in this order. */
enum grade {
	GRADE_OK,
	GRADE_WARNING,
	GRADE_CRITICAL,
	GRADE_UNKNOWN
};
const char *grade_word(enum grade g);

struct problem {
	enum grade grade;
	const char *what;	/* a word for programs; static */
	char *type, *group;	/* of which stream; NULL */
	char *text;		/* for people */
	char *word;		/* value, when it is no number; NULL */
	bool measured;		/* value and limit are set */
	uint64_t value, limit;
	const char *unit;	/* of both: "ms", "bytes", "" */
};

struct verdict {
	struct problem *problems;
	size_t n, cap;
};

/* The new problem holds until the next call; its other members may be set, strings as fresh ones. */
struct problem *verdict_add(struct verdict *v, enum grade g, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void verdict_free(struct verdict *v);

enum grade verdict_grade(const struct verdict *v);	/* the worst */
/* Worst first; else as they were added. */
void verdict_sort(struct verdict *v);
/* Appends "STATUS - problem; problem", or "OK - fine"; one line without its end, safe for readers of plugins ('|' starts figures there). */
void verdict_line(struct buf *out, const struct verdict *v, const char *fine);
/* Appends the members status and problems, with a comma behind. */
void verdict_json(struct buf *out, const struct verdict *v);

#endif

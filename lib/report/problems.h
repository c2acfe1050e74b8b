/*
 * problems: problems and how bad they are, in the manner of monitoring plugins.
 */
#ifndef REPORT_PROBLEMS_H
#define REPORT_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* The numbers are exit statuses; worse is CRITICAL, WARNING, UNKNOWN, OK in this order. */
enum severity { SEVERITY_OK, SEVERITY_WARNING, SEVERITY_CRITICAL, SEVERITY_UNKNOWN };
const char *severity_name(enum severity g);

struct problem {
	enum severity severity;
	const char *what;   /* a word for programs; static */
	char *type, *group; /* of which stream; NULL */
	char *text;         /* for people */
	char *value_text;   /* value, when it is no number; NULL */
	bool measured;      /* value and limit are set */
	uint64_t value, limit;
	const char *unit; /* of both: "ms", "bytes", "" */
};

struct problems {
	struct problem *problems;
	size_t n, cap;
};

/* The new problem holds until the next call; its other members may be set, strings as fresh ones.
 */
struct problem *problems_add(struct problems *v, enum severity g, const char *what, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
void problems_free(struct problems *v);

enum severity problems_worst(const struct problems *v); /* the worst */
/* Worst first; else as they were added. */
void problems_sort(struct problems *v);
/* Appends "STATUS - problem; problem", or "OK - fine"; one line without its end, safe for readers
 * of plugins ('|' starts figures there). */
void problems_line(struct bytes *out, const struct problems *v, const char *fine);
/* Appends the members status and problems, with a comma behind. */
void problems_json(struct bytes *out, const struct problems *v);

#endif

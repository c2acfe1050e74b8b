/*
 * problems: a list of problems with severities, as monitoring plugins report them.
 */
#ifndef REPORT_PROBLEMS_H
#define REPORT_PROBLEMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "report/item.h"

/* The values are exit statuses. From the worst: CRITICAL, WARNING, UNKNOWN, OK. */
enum severity { SEVERITY_OK, SEVERITY_WARNING, SEVERITY_CRITICAL, SEVERITY_UNKNOWN };

/* Texts but `text` are borrowed: from the snapshot, or static. */
struct problem {
	enum severity severity;
	const char *what;         /* a word for programs */
	const char *type, *group; /* the stream's; NULL when it is about none */
	const char *value_text;   /* the value, when it is not a number; NULL */
	const char *unit; /* of value and limit: "ms", "bytes", ""; NULL: they are not set */
	uint64_t value, limit;
	char *text; /* for people */
};

struct problems {
	struct problem *problems;
	size_t n, cap;
};

/* Returns the new problem, valid until the next call. The caller may set its other members. */
struct problem *problems_add(struct problems *v, enum severity g, const char *what, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
void problems_free(struct problems *v);

enum severity problems_worst(const struct problems *v); /* SEVERITY_OK when empty */
/* Sorts, the worst first; keeps the order within a severity. */
void problems_sort(struct problems *v);
/* Appends "STATUS - problem; problem", or "OK - " and ok_text, on one line without newline. '|'
 * becomes '/', since it begins performance data in the output of a plugin. */
void problems_line(struct bytes *out, const struct problems *v, const char *ok_text);
/* Adds the members status and problems. */
void problems_json(struct item *document, const struct problems *v);

#endif

/*
 * problems: compares a snapshot with thresholds, and lists the problems with their severities as
 * monitoring plugins report them. Does no I/O; reads the clock.
 */
#ifndef REPORT_PROBLEMS_H
#define REPORT_PROBLEMS_H

#include "report/snapshot.h"
#include "report/threshold.h"

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

/*
 * Adds what the snapshot shows, and sorts. Whatever the thresholds are, these are problems: Redis
 * down, or refusing writes; a buffer that cannot be read, belongs to another target, or has ignored
 * files; segments that vanished or could not be synced; a process that keeps the writers' lock; a
 * file system without free inodes; streams that do not exist or cannot be read.
 */
void problems_find(struct problems *problems, const struct snapshot *snapshot,
    const struct threshold thresholds[THRESHOLDS]);
enum severity problems_worst(const struct problems *v); /* SEVERITY_OK when empty */
/* Sorts, the worst first; keeps the order within a severity. */
void problems_sort(struct problems *v);
/* Appends "STATUS - problem; problem", or "OK - " and ok_text, on one line without newline. '|'
 * becomes '/', since it begins performance data in the output of a plugin. */
void problems_line(struct bytes *out, const struct problems *v, const char *ok_text);
/* Appends the summary for the status OK: "redis up 0.3 ms, buffer 0 events". */
void problems_ok_text(struct bytes *out, const struct snapshot *snapshot);
/* Adds the members status and problems. */
void problems_json(struct item *document, const struct problems *v);

#endif

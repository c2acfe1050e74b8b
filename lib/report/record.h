/*
 * record: the fields of one result, described once: a JSON object for programs, and the cells of a
 * row or the words of a sentence for people.
 *
 *     struct record r = {.json = json};
 *     record_text(&r, "event_type", "TYPE", type);
 *     record_count(&r, "pending", "PENDING", n);
 *
 * `name` is the member of the object and `title` the cell's; where one is NULL the field is absent
 * there. A record keeps members when json is set, else cells. Objects nest by record_raw and
 * record_push, so that only one is a tree (cJSON) at a time.
 */
#ifndef REPORT_RECORD_H
#define REPORT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "event/id.h"

#define RECORD_CELLS 16

struct cJSON;

struct record {
	bool json;
	/* private; zero at first */
	struct cJSON *object;
	struct record_cell {
		const char *title; /* borrowed */
		char *text;
	} cell[RECORD_CELLS];
	size_t n; /* cells */
};

/* s NULL: null, and "-". Bytes that are not UTF-8 become U+FFFD in the object. */
void record_text(struct record *r, const char *name, const char *title, const char *s);
void record_slice(struct record *r, const char *name, const char *title, struct slice s);
void record_count(struct record *r, const char *name, const char *title, uint64_t n);
/* Negative: null, and "?". */
void record_number(struct record *r, const char *name, const char *title, int64_t n);
/* A time span in ms. Negative: null, and "-". */
void record_span(struct record *r, const char *name, const char *title, int64_t ms);
/* A wall-clock time in us. 0: null, and "-". */
void record_time(struct record *r, const char *name, const char *title, int64_t us);
/* known false: null, and "-". */
void record_id(
    struct record *r, const char *name, const char *title, struct stream_id id, bool known);
void record_bool(struct record *r, const char *name, bool yes);
/* Adds a cell only. */
void record_words(struct record *r, const char *title, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds JSON text as it is. */
void record_raw(struct record *r, const char *name, const char *json);

/* Both empty the record. record_json appends the object to out, and record_push appends it to a
 * list of elements, with a comma before all but the first. */
void record_json(struct bytes *out, struct record *r);
void record_push(struct bytes *list, struct record *r);
/* Adds an object as a member, and empties it. */
void record_object(struct record *r, const char *name, struct record *object);
/* Adds the list as an array, and frees it. */
void record_list(struct record *r, const char *name, struct bytes *list);
/* Appends "12 replayed, 0 quarantined": each cell and its title. */
void record_sentence(struct bytes *out, const struct record *r);
void record_free(struct record *r);

/* Returns the text of the cell, or NULL. */
const char *record_cell(const struct record *r, const char *title);

#endif

/*
 * item: the fields of one result, described once: a JSON object for programs, and the cells of a
 * row or the words of a sentence for people.
 *
 *     struct item r = {.json = json};
 *     item_text(&r, "event_type", "TYPE", type);
 *     item_count(&r, "pending", "PENDING", n);
 *
 * `name` is the member of the object and `title` the cell's; where one is NULL the field is absent
 * there. An item keeps members when json is set, else cells. Objects nest by item_object and
 * item_push, so that only one is a tree (cJSON) at a time.
 */
#ifndef REPORT_ITEM_H
#define REPORT_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "event/id.h"

#define ITEM_CELLS 16

struct cJSON;

struct item {
	bool json;
	/* private; zero at first */
	struct cJSON *object;
	struct item_cell {
		const char *title; /* borrowed */
		char *text;
	} cell[ITEM_CELLS];
	size_t n; /* cells */
};

/* s NULL: null, and "-". Bytes that are not UTF-8 become U+FFFD in the object. */
void item_text(struct item *r, const char *name, const char *title, const char *s);
void item_slice(struct item *r, const char *name, const char *title, struct slice s);
void item_count(struct item *r, const char *name, const char *title, uint64_t n);
/* Negative: null, and "?". */
void item_number(struct item *r, const char *name, const char *title, int64_t n);
/* A time span in ms. Negative: null, and "-". */
void item_span(struct item *r, const char *name, const char *title, int64_t ms);
/* A wall-clock time in us. 0: null, and "-". */
void item_time(struct item *r, const char *name, const char *title, int64_t us);
/* known false: null, and "-". */
void item_id(struct item *r, const char *name, const char *title, struct stream_id id, bool known);
void item_bool(struct item *r, const char *name, bool yes);
/* Adds a cell only. */
void item_words(struct item *r, const char *title, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds JSON text as it is. */
void item_raw(struct item *r, const char *name, const char *json);

/* Both empty the item. item_json appends the object to out, and item_push appends it to a
 * list of elements, with a comma before all but the first. */
void item_json(struct bytes *out, struct item *r);
void item_push(struct bytes *list, struct item *r);
/* Adds an object as a member, and empties it. */
void item_object(struct item *r, const char *name, struct item *object);
/* Adds the list as an array, and frees it. */
void item_list(struct item *r, const char *name, struct bytes *list);
/* Appends "12 replayed, 0 quarantined": each cell and its title. */
void item_sentence(struct bytes *out, const struct item *r);
void item_free(struct item *r);

/* Returns the text of the cell, or NULL. */
const char *item_cell(const struct item *r, const char *title);

#endif

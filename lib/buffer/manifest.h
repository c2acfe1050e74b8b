/*
 * manifest: which segments must exist and how long they must be, so that one that vanished or
 * shrank is noticed.
 *
 * The file on disk is .roster (an earlier name, kept for compatibility): one stem a line behind
 * its state, '+' present, 'x' removed after delivery, '!' vanished; " ." ends a whole line. A state
 * is overwritten in place. A stem is added after its file exists, and removed before its file is
 * unlinked, so that a crash in between raises no false alarm. After the loss of the manifest no
 * event is lost, but vanished segments are not reported.
 *
 * "=STEM SIZE ." records how long a segment is that is written no more; "=STEM SIZE LEFT .", that
 * it shrank to LEFT bytes. The last line of a stem counts. A segment that shrank and was delivered
 * counts as vanished.
 */
#ifndef BUFFER_MANIFEST_H
#define BUFFER_MANIFEST_H

#include "buffer/buffer.h"
#include "buffer/checkpoint.h"
#include "buffer/segment.h"

/* Best effort: errors are ignored. Under the writers' or the replay lock. size: its least length
 * from now on; 0: unknown. */
void manifest_add(struct buffer *buf, const char *stem, uint64_t size);
/* Records the least length of a segment. The same. */
void manifest_note_size(struct buffer *buf, const char *stem, uint64_t size);
/* Sets the state of n stems to removed, durably, with one sync. Sorts the array. Stems that are
 * not in the manifest are skipped. On failure the files must stay: they would count as vanished for
 * ever. */
int manifest_mark_removed(struct buffer *buf, const char **stems, size_t n, struct err *err);
/* Empties the manifest when all its stems are removed. Under both locks. */
void manifest_clear(struct buffer *buf);
/* The manifest knows vanished segments no more: one that is put back later is not taken for a
 * delivered one. Under both locks. */
int manifest_forget_vanished(struct buffer *buf, struct err *err);

/* Records which segments have vanished or shrunk, and renames a chain segment that came back to
 * STEM.own-0: a source of its own, whose lines have to be looked up, since the positions may have
 * passed it. So is one before the position that the manifest does not know: it was put there by
 * hand, from another buffer, a backup, or after a discard that forgot it. Under the replay lock,
 * before a walk is opened. */
int manifest_reconcile(struct buffer *buf, const struct checkpoint *cp, struct err *err);
/* True for the stem of a segment that came back. */
bool manifest_is_returned(const char *stem);

struct manifest_shrunk {
	char stem[SEGMENT_NAME];
	uint64_t from, to; /* bytes */
};

/* Returns how many segments shrank. *shrunk: a fresh array. */
size_t manifest_list_shrunk(
    struct buffer *buf, const struct segment *list, size_t n, struct manifest_shrunk **shrunk);
/* Returns how many segments have vanished: they must exist, and are not in `list`. *stems, unless
 * stems is NULL: their stems, a fresh array of fresh strings. */
size_t manifest_list_vanished(
    struct buffer *buf, const struct segment *list, size_t n, char ***stems);

#endif

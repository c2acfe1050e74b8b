/*
 * manifest: which segments there ought to be, so that one that vanishes is noticed.
 *
 * A text file, one stem a line after a mark: '+' there, 'x' removed by us, '!' vanished; " ." ends
 * it. It is written in place and needs no free space to strike a stem. A stem is added after its
 * file exists and struck before it is unlinked, so that no crash raises a false alarm. When it is
 * lost, nothing is missed but the alarm.
 */
#ifndef BUFFER_MANIFEST_H
#define BUFFER_MANIFEST_H

#include "buffer/buffer.h"
#include "buffer/segment.h"

/* Best effort, errors are ignored. Under the writers' or the replay lock. */
void manifest_add(struct buffer *buf, const char *stem);
/*
 * Before their files go, in one pass and one sync; sorts the stems. On failure the files must stay:
 * unlinked, they would be missed for ever. A stem that is not there is none.
 */
int manifest_remove(struct buffer *buf, const char **stems, size_t n, struct err *err);
/* Empties it when all its stems are struck (under both locks); with `all`, whatever it says:
 * vanished segments are forgotten. */
void manifest_clear(struct buffer *buf, bool all);

/*
 * Under the replay lock, before the buffer is walked: remembers what has vanished, and takes what
 * came back after the marks may have passed it out of the chain, as a segment of its own
 * (STEM.own-0): whether its lines were delivered has to be looked up.
 */
int manifest_reconcile(struct buffer *buf, struct err *err);
/* 1 for the stem of such a segment. */
int manifest_is_returned(const char *stem);

/* Stems that ought to be and are not in the list: fresh array of fresh strings. */
void manifest_list_missing(
    struct buffer *buf, const struct segment *list, size_t n, char ***stems, size_t *count);

#endif

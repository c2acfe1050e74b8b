/*
 * nearest: finds the word that a mistyped word was meant to be.
 */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word; /* as typed, n bytes */
	size_t n;
	const char *best; /* the nearest candidate so far; NULL: none is near */
	size_t distance;  /* its distance */
};

/* Compares the word with a candidate. Insertions, deletions, replacements and exchanged neighbours
 * count 1 each; a third of the word, rounded up, may differ. */
void nearest_try(struct nearest *s, const char *candidate);

#endif

/* nearest: finds the word that a mistyped word was meant to be. Declared in cli_int.h. */
#include <string.h>

#include "cli/cli_int.h"

#define WORD_MAX 40

static size_t
smaller_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The optimal string alignment distance, by three rows of its matrix. */
static size_t
word_distance(const char *a, size_t an, const char *b, size_t bn)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= bn; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= an; i++) {
		size_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= bn; j++) {
			row[j] = smaller_of(
			    smaller_of(row[j - 1], up[j]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = smaller_of(row[j], up2[j - 2] + 1);
		}
	}
	return rows[an % 3][bn];
}

void
nearest_try(struct nearest *s, const char *candidate)
{
	size_t n = strlen(candidate), distance;

	if (s->n > WORD_MAX || n > WORD_MAX)
		return;
	distance = word_distance(s->word, s->n, candidate, n);
	if (distance > (s->n + 2) / 3 || (s->best != NULL && distance >= s->distance))
		return;
	s->best = candidate;
	s->distance = distance;
}

/*
 * fuzz: what the libFuzzer targets share. Each is one file with LLVMFuzzerTestOneInput;
 * tests/fuzz/run builds and runs them.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A promise that does not hold is a finding. */
#define PROMISE(holds) \
	((holds) ? (void)0 \
	         : (fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #holds), \
	               abort()))

static inline int
same(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The bytes as a C string in exactly their size; the caller frees it. */
static inline char *
text_of(const uint8_t *data, size_t n)
{
	char *s = malloc(n + 1);

	if (n > 0)
		memcpy(s, data, n);
	s[n] = '\0';
	return s;
}

/* A directory of this process's own (tests/fuzz/run gives its parent in FUZZ_DIR). */
const char *scratch(void);
void scratch_put(const char *name, const void *p, size_t n); /* a file in it, 0600 */

#endif

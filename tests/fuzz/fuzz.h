/*
 * fuzz: helpers of the libFuzzer targets. A target is one file with LLVMFuzzerTestOneInput;
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

/* Aborts when the condition is false, which is a finding. */
#define PROMISE(holds) \
	((holds) ? (void)0 \
	         : (fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #holds), \
	               abort()))

static inline int
same(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Returns the bytes as a C string in exactly their size; the caller frees it. */
static inline char *
text_of(const uint8_t *data, size_t n)
{
	char *s = malloc(n + 1);

	if (n > 0)
		memcpy(s, data, n);
	s[n] = '\0';
	return s;
}

/* Returns a directory of this process, in $FUZZ_DIR, which tests/fuzz/run sets. */
const char *scratch(void);
void scratch_put(const char *name, const void *p, size_t n); /* writes a file in it, mode 0600 */

#endif

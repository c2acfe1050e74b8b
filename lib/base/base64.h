/*
 * base64: bytes as text (RFC 4648, section 4: the plain alphabet, padded).
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/bytes.h"

void base64_encode(struct bytes *out, const char *p, size_t n);
/* Appends the bytes; -1 with out unchanged when the text is anything but base64. */
int base64_decode(struct bytes *out, const char *p, size_t n);

#endif

/*
 * base64: Base64 with the standard alphabet and padding (RFC 4648, section 4).
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/bytes.h"

void base64_encode(struct bytes *out, const char *p, size_t n);
/* Appends the decoded bytes. Returns -1 and leaves out unchanged when the text is not Base64. */
int base64_decode(struct bytes *out, const char *p, size_t n);

#endif

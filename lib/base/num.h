/*
 * num: numbers, sizes and spans as text, as people and programs write them.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdint.h>

#define NUM_DIGITS 20
/* Writes a number in decimal, NUM_DIGITS bytes at most, without a NUL; returns its end. */
char *num_put_u64(char *out, uint64_t n);
void num_put_hex8(char *out, uint32_t n); /* eight lower-case hex digits, without a NUL */
#define NUM_SIZE_TEXT 32
/* "0 bytes", "1 byte", "8.0 MiB": 1024-based, as num_parse_size reads. */
void num_format_size(uint64_t bytes, char out[NUM_SIZE_TEXT]);

int num_hex_digit(char c); /* its value, or -1 */
/* All of s must be the number. 0, or -1 and *out untouched. */
int num_parse_u64(const char *s, uint64_t *out);
int num_parse_size(const char *s, uint64_t *bytes); /* 4096, 8M, 8MiB, 1.5G: 1024-based */
/* seconds: 2, 0.5; or 250ms 10s 5m 1h 2d */
int num_parse_ms(const char *s, int64_t *ms);

#endif

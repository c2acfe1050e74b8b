/*
 * num: parses and formats numbers, sizes and time spans.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdint.h>

#define NUM_DIGITS 20
/* Writes n in decimal, at most NUM_DIGITS bytes and no NUL. Returns the end of the digits. */
char *num_put_u64(char *out, uint64_t n);
/* Writes eight lower-case hex digits and no NUL. */
void num_put_hex8(char *out, uint32_t n);
#define NUM_SIZE_TEXT 32
/* Formats a size in units of 1024: "0 bytes", "1 byte", "8.0 MiB". */
void num_format_size(uint64_t bytes, char out[NUM_SIZE_TEXT]);

/* Returns the value of a hex digit, or -1. */
int num_hex_digit(char c);

/* Each num_parse_ function takes all of s as the number. Returns 0, or -1 with *out unchanged. */
int num_parse_u64(const char *s, uint64_t *out);
/* Parses 4096, 8M, 8MiB, 1.5G; units are powers of 1024. */
int num_parse_size(const char *s, uint64_t *bytes);
/* Parses seconds (2, 0.5) or a number with a unit (250ms 10s 5m 1h 2d). */
int num_parse_ms(const char *s, int64_t *ms);

#endif

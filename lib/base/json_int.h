/*
 * json_int: past the bytes of a JSON string that stand for themselves, eight at a time. A part of json; use json.h.
 *
 * Each mask has the top bit of a byte set where one ends the run. A borrow may set it wrongly too, but only above a byte that
 * does end it, so the lowest is right.
 */
#ifndef BASE_JSON_INT_H
#define BASE_JSON_INT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define EACH_BYTE(b) ((b) * UINT64_C(0x0101010101010101))

static inline uint64_t
jsonrun_load(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof w);
	return le64toh(w);
}

/* To the first quote, backslash or control character; with ascii also to the first byte of a longer sequence; or to the end. */
static inline const char *
jsonrun_plain(const char *p, const char *end, int ascii)
{
	uint64_t w, hit;

	for (; end - p >= 8; p += 8) {
		w = jsonrun_load(p);
		hit = (w - EACH_BYTE(0x20)) | ((w ^ EACH_BYTE('"')) - EACH_BYTE(1)) | ((w ^ EACH_BYTE('\\')) - EACH_BYTE(1));
		hit = (ascii ? hit | w : hit & ~w) & EACH_BYTE(0x80);
		if (hit != 0)
			return p + __builtin_ctzll(hit) / 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' && !(ascii && (unsigned char)*p >= 0x80))
		p++;
	return p;
}

/* To the first byte that is not ASCII, or the end. */
static inline const char *
jsonrun_ascii(const char *p, const char *end)
{
	uint64_t hit;

	for (; end - p >= 8; p += 8)
		if ((hit = jsonrun_load(p) & EACH_BYTE(0x80)) != 0)
			return p + __builtin_ctzll(hit) / 8;
	while (p < end && (unsigned char)*p < 0x80)
		p++;
	return p;
}

#endif

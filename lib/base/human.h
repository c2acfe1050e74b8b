/*
 * human: amounts as people read them.
 */
#ifndef HUMAN_H
#define HUMAN_H

#include <stdint.h>

#define HUMAN_SIZE 32

/* "0 bytes", "1 byte", "8.0 MiB": 1024-based, as util_size reads. */
void human_size(uint64_t bytes, char out[HUMAN_SIZE]);

#endif

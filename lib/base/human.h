/*
 * human: amounts as people read them.
 */
#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include <stdint.h>

#define NUM_HUMAN_SIZE 32

/* "0 bytes", "1 byte", "8.0 MiB": 1024-based, as num_size reads. */
void num_human(uint64_t bytes, char out[NUM_HUMAN_SIZE]);

#endif

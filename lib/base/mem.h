/*
 * mem: memory that is never NULL.
 *
 * Running out of memory is the one condition on which this library ends the process: one line on
 * stderr and status 74. By then every accepted event is in Redis or on disk, and an event that is
 * in neither has not been reported as accepted.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n); /* zeroed */
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);

#endif

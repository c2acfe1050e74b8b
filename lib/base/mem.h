/*
 * mem: allocation that never returns NULL.
 *
 * Running out of memory is the only condition on which this library ends the process: it writes one
 * line to stderr and exits with status 74. That is safe, because an event is reported as accepted
 * only after it is in Redis or on disk.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *mem_alloc(size_t n); /* zeroed */
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
char *mem_vasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

#endif

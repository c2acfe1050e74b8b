/*
 * ini: parses a small text file of `name = value` lines and `[section]` headings.
 *
 * White space around each part is dropped. Empty lines and lines that begin with '#' are skipped.
 * There is no quoting and no continuation; a '#' after a value is part of the value.
 */
#ifndef CONF_INI_H
#define CONF_INI_H

#include "base/err.h"

/* Gets one line. section is "" above the first heading; line counts from 1. A return value other
 * than 0 stops the parsing, and ini_read puts file and line before the text in err. */
typedef int ini_fn(void *arg, const char *section, const char *name, const char *value,
    unsigned line, struct err *err);

/* Calls fn for each `name = value` line. Returns 0; 1 when there is no such file; -1 with status 78
 * when the file cannot be read (err->sys), a line is malformed or fn refused it. */
int ini_read(const char *path, ini_fn *fn, void *arg, struct err *err);

#endif

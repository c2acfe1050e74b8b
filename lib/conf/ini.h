/*
 * ini: a small text file of `name = value` lines and `[section]` headings.
 *
 * White space around each part is dropped; empty lines and those that begin with '#' are skipped.
 * There is no quoting and no continuation, and a '#' behind a value belongs to it.
 */
#ifndef CONF_INI_H
#define CONF_INI_H

#include "base/err.h"

/* section is "" above the first heading, line counts from 1. Non-zero stops; the text in f gets
 * file and line in front. */
typedef int ini_fn(void *arg, const char *section, const char *name, const char *value,
    unsigned line, struct err *err);

/* 0 done, 1 no such file, -1 failed with status 78 (unreadable: f->sys; no such line; refused by
 * fn). */
int ini_read(const char *path, ini_fn *fn, void *arg, struct err *err);

#endif

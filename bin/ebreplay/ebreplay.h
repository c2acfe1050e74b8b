/*
 * ebreplay.h: what the parts of ebreplay(1) share: ebreplay.c takes the command line and drains, buffer.c looks at the buffer and
 * changes it otherwise, dead.c re-drives dead letters.
 */
#ifndef EBREPLAY_H
#define EBREPLAY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "redrive.h"
#include "replay.h"
#include "requeue.h"
#include "spool.h"

enum {
	OPT_DRY_RUN = 256, OPT_LIST, OPT_CHECK, OPT_LIMIT, OPT_RATE, OPT_WAIT, OPT_FORCE, OPT_MAXLEN, OPT_COMPRESS,
	OPT_RETARGET, OPT_DISCARD, OPT_YES, OPT_QUARANTINE, OPT_RETRY, OPT_DROP, OPT_DEAD,
	OPT_MATCH, OPT_SINCE
};

struct ebreplay {
	struct conf conf;
	struct drain_options drain;
	struct append_limits limits;
	struct requeue_names names;
	struct redrive_options dead;
	int action;		/* OPT_DRY_RUN ..., 0 for draining; OPT_QUARANTINE is its list */
	bool redrives, since;	/* --dead, --since */
	bool yes, loud;		/* loud: -v, or a terminal */
	int64_t wait_ms;
	char target[1024];
	struct drain_result sum;
	uint64_t total;		/* undelivered at the start, for the progress line */
	int64_t started, shown;
	int status;
};
extern struct ebreplay eb;

extern volatile sig_atomic_t stopped;	/* the signal */

void worse(int status);			/* the exit status, when it is worse than what it was */
void clear_line(void);			/* the progress line, before other words */
void on_say(void *arg, const char *text);
void on_tick(void *arg, uint64_t delivered);
void report(void);			/* of a drain, eb.sum */
int print_line(void *arg, const char *text);	/* to stdout; not 0 when that failed */

void look(struct spool *sp);		/* --check, --dry-run, --list, --quarantine list */
void no_buffer(void);			/* the same, where there is no directory */
void change(struct spool *sp);		/* --compress, --discard, --retarget, --quarantine retry, drop */
void redrive(char **types, size_t n);	/* --dead */

#endif

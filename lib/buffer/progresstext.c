#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer/progresstext.h"
#include "base/util.h"
#include "base/word.h"

static void
put_word(struct buf *b, const char *s)
{
	buf_addc(b, ' ');
	word_put(b, s);
}

static void
put_mark(struct buf *b, const char *what, const char *type, const struct mark *m)
{
	if (!m->stem)
		return;
	buf_adds(b, what);
	if (type)
		put_word(b, type);
	put_word(b, m->stem);
	buf_addf(b, " %" PRIu64 " %" PRIu64 "\n", m->pos, m->limit);
}

static void
put_marks(struct buf *b, const char *chain, const char *file, const char *type, const struct marks *m)
{
	size_t i;

	put_mark(b, chain, type, &m->chain);
	for (i = 0; i < m->files; i++)
		put_mark(b, file, type, &m->file[i]);
}

static void
put_sent(struct buf *b, const char *what, const struct sent *s, size_t n)
{
	for (; n--; s++) {
		buf_adds(b, what);
		put_word(b, s->type);
		put_word(b, s->after);
		buf_addc(b, '\n');
	}
}

static void
put_intent(struct buf *b, const struct intent *in)
{
	if (!in->on)
		return;
	buf_adds(b, "going");
	put_word(b, in->run_id);
	buf_addf(b, " %" PRId64, in->client);
	put_word(b, in->addr);
	buf_addc(b, '\n');
	put_marks(b, "upto-chain", "upto", NULL, &in->upto);
	put_sent(b, "sent", in->sent, in->types);
}

void
progresstext_put(struct buf *b, const struct progress *p, bool whole)
{
	size_t i;

	if (p->lost)
		buf_adds(b, "lost\n");
	buf_addf(b, "claims %" PRIu64 "\n", p->claims);
	put_marks(b, "chain", "file", NULL, &p->marks);
	for (i = 0; i < p->lates; i++) {
		buf_adds(b, "late");
		put_word(b, p->late[i].type);
		buf_addf(b, " %" PRId64, p->late[i].tried);
		put_word(b, whole || !*p->late[i].reason ? p->late[i].reason : "held");
		buf_addc(b, '\n');
		put_marks(b, "late-chain", "late-file", p->late[i].type, &p->late[i].at);
	}
	for (i = 0; i < p->dones; i++) {
		buf_adds(b, "done");
		put_word(b, p->done[i].stem);
		buf_addf(b, " %" PRIu64 "\n", p->done[i].pos);
	}
	for (i = 0; i < p->brokens; i++) {
		buf_adds(b, "broken");
		put_word(b, p->broken[i].stem);
		buf_addf(b, " %" PRIu64 "\n", p->broken[i].lines);
	}
	for (i = 0; whole && i < p->spents; i++) {
		buf_adds(b, "spent");
		put_word(b, p->spent[i].type);
		put_word(b, p->spent[i].entry);
		buf_addc(b, '\n');
	}
	put_intent(b, &p->intent);
}

static uint64_t
number(char **line)
{
	return strtoull(word_take(line), NULL, 10);
}

static void
take_mark(struct mark *m, const char *stem, char **line)
{
	uint64_t pos = number(line), limit = number(line);

	mark_set(m, stem, pos, limit);
}

static void
take_late(struct progress *p, const char *what, char *line)
{
	const char *type = word_take(&line), *stem;
	struct late *l = progress_add_late(p, type, strlen(type));

	if (strcmp(what, "late") == 0) {
		l->tried = (int64_t)number(&line);
		free(l->reason);
		l->reason = util_strdup(word_take(&line));
		return;
	}
	stem = word_take(&line);
	take_mark(strcmp(what, "late-chain") == 0 ? &l->at.chain : marks_get(&l->at, stem), stem, &line);
}

static void
take_sent(struct sent **list, size_t *n, char *line)
{
	struct sent *s;

	*list = util_realloc(*list, (*n + 1) * sizeof **list);
	s = &(*list)[(*n)++];
	s->type = util_strdup(word_take(&line));
	snprintf(s->after, sizeof s->after, "%s", word_take(&line));
}

static void
take_spent(struct progress *p, char *line)
{
	const char *type = word_take(&line), *entry = word_take(&line);

	if (*entry)
		progress_spend(p, type, entry);
}

void
progresstext_take(struct progress *p, char *line)
{
	const char *what = word_take(&line), *stem;
	struct intent *in = &p->intent;

	if (strcmp(what, "lost") == 0)
		p->lost = true;
	else if (strcmp(what, "claims") == 0)
		p->claims = number(&line);
	else if (strncmp(what, "late", 4) == 0)
		take_late(p, what, line);
	else if (strcmp(what, "sent") == 0)
		take_sent(&in->sent, &in->types, line);
	else if (strcmp(what, "spent") == 0)
		take_spent(p, line);
	else if (strcmp(what, "going") == 0) {
		in->on = true;
		snprintf(in->run_id, sizeof in->run_id, "%s", word_take(&line));
		in->client = (int64_t)number(&line);
		snprintf(in->addr, sizeof in->addr, "%s", word_take(&line));
	} else {
		stem = word_take(&line);
		if (strcmp(what, "chain") == 0)
			take_mark(&p->marks.chain, stem, &line);
		else if (strcmp(what, "file") == 0)
			take_mark(marks_get(&p->marks, stem), stem, &line);
		else if (strcmp(what, "upto-chain") == 0)
			take_mark(&in->upto.chain, stem, &line);
		else if (strcmp(what, "upto") == 0)
			take_mark(marks_get(&in->upto, stem), stem, &line);
		else if (strcmp(what, "done") == 0)
			progress_add_done(p, stem, number(&line));
		else if (strcmp(what, "broken") == 0) {
			progress_add_broken(p, stem)->lines = number(&line);
		}
	}
}

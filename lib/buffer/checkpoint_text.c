#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer/checkpoint_text.h"
#include "base/mem.h"
#include "base/word.h"

static void
put_word(struct bytes *b, const char *s)
{
	buf_addc(b, ' ');
	word_put(b, s);
}

static void
put_mark(struct bytes *b, const char *what, const char *type, const struct position *m)
{
	if (!m->stem)
		return;
	bytes_adds(b, what);
	if (type)
		put_word(b, type);
	put_word(b, m->stem);
	bytes_addf(b, " %" PRIu64 " %" PRIu64 "\n", m->pos, m->limit);
}

static void
put_marks(struct bytes *b, const char *chain, const char *file, const char *type, const struct positions *m)
{
	size_t i;

	put_mark(b, chain, type, &m->chain);
	for (i = 0; i < m->files; i++)
		put_mark(b, file, type, &m->file[i]);
}

static void
put_sent(struct bytes *b, const char *what, const struct intent_type *s, size_t n)
{
	for (; n--; s++) {
		bytes_adds(b, what);
		put_word(b, s->type);
		put_word(b, s->after);
		buf_addc(b, '\n');
	}
}

static void
put_intent(struct bytes *b, const struct intent *in)
{
	if (!in->on)
		return;
	bytes_adds(b, "going");
	put_word(b, in->run_id);
	bytes_addf(b, " %" PRId64, in->client);
	put_word(b, in->addr);
	buf_addc(b, '\n');
	put_marks(b, "upto-chain", "upto", NULL, &in->upto);
	put_sent(b, "sent", in->sent, in->types);
}

void
checkpoint_text_put(struct bytes *b, const struct checkpoint *p, bool whole)
{
	size_t i;

	if (p->lost)
		bytes_adds(b, "lost\n");
	bytes_addf(b, "claims %" PRIu64 "\n", p->claims);
	put_marks(b, "chain", "file", NULL, &p->marks);
	for (i = 0; i < p->lates; i++) {
		bytes_adds(b, "late");
		put_word(b, p->late[i].type);
		bytes_addf(b, " %" PRId64, p->late[i].tried);
		put_word(b, whole || !*p->late[i].reason ? p->late[i].reason : "held");
		buf_addc(b, '\n');
		put_marks(b, "late-chain", "late-file", p->late[i].type, &p->late[i].at);
	}
	for (i = 0; i < p->dones; i++) {
		bytes_adds(b, "done");
		put_word(b, p->done[i].stem);
		bytes_addf(b, " %" PRIu64 "\n", p->done[i].pos);
	}
	for (i = 0; i < p->brokens; i++) {
		bytes_adds(b, "broken");
		put_word(b, p->broken[i].stem);
		bytes_addf(b, " %" PRIu64 "\n", p->broken[i].lines);
	}
	for (i = 0; whole && i < p->spents; i++) {
		bytes_adds(b, "spent");
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
take_mark(struct position *m, const char *stem, char **line)
{
	uint64_t pos = number(line), limit = number(line);

	position_set(m, stem, pos, limit);
}

static void
take_late(struct checkpoint *p, const char *what, char *line)
{
	const char *type = word_take(&line), *stem;
	struct lagging *l = checkpoint_add_lagging(p, type, strlen(type));

	if (strcmp(what, "late") == 0) {
		l->tried = (int64_t)number(&line);
		free(l->reason);
		l->reason = mem_strdup(word_take(&line));
		return;
	}
	stem = word_take(&line);
	take_mark(strcmp(what, "late-chain") == 0 ? &l->at.chain : positions_get(&l->at, stem), stem, &line);
}

static void
take_sent(struct intent_type **list, size_t *n, char *line)
{
	struct intent_type *s;

	*list = mem_realloc(*list, (*n + 1) * sizeof **list);
	s = &(*list)[(*n)++];
	s->type = mem_strdup(word_take(&line));
	snprintf(s->after, sizeof s->after, "%s", word_take(&line));
}

static void
take_spent(struct checkpoint *p, char *line)
{
	const char *type = word_take(&line), *entry = word_take(&line);

	if (*entry)
		checkpoint_spend(p, type, entry);
}

void
checkpoint_text_take(struct checkpoint *p, char *line)
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
			take_mark(positions_get(&p->marks, stem), stem, &line);
		else if (strcmp(what, "upto-chain") == 0)
			take_mark(&in->upto.chain, stem, &line);
		else if (strcmp(what, "upto") == 0)
			take_mark(positions_get(&in->upto, stem), stem, &line);
		else if (strcmp(what, "done") == 0)
			checkpoint_add_done(p, stem, number(&line));
		else if (strcmp(what, "broken") == 0) {
			checkpoint_add_broken(p, stem)->lines = number(&line);
		}
	}
}

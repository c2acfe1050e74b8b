/*
 * progress: fuzzes the checkpoint's file, .progress. With an odd first byte the rest is the text of
 * a slot and gets a correct head; else it is the whole file. A checkpoint that was read, stored and
 * read again must be the same.
 */
#include <zlib.h>

#include "buffer/checkpoint.h"
#include "fuzz.h"

#define HEAD 80
#define SLOT 65536u

static struct buffer *
buffer(void)
{
	static struct buffer *buf;
	struct err err;

	if (buf == NULL && (buf = buffer_open(scratch(), true, &err)) == NULL) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return buf;
}

static void
put_slot(const uint8_t *text, size_t n)
{
	char *file = calloc(2, SLOT), head[HEAD + 1];
	int at;

	if (n > SLOT - HEAD)
		n = SLOT - HEAD;
	at = snprintf(head, sizeof(head), "eventbus-progress 1 seq %020d len %010zu", 2, n);
	snprintf(head + at, sizeof(head) - (size_t)at, " crc %08lx%*s",
	    crc32(crc32(0, (unsigned char *)head + 20, 25), text, (unsigned)n), HEAD - at - 14, "");
	head[HEAD - 1] = '\n';
	memcpy(file, head, HEAD);
	if (n > 0)
		memcpy(file + HEAD, text, n);
	scratch_put(".progress", file, 2 * SLOT);
	free(file);
}

static void
same_mark(const struct position *a, const struct position *b)
{
	PROMISE((a->stem == NULL) == (b->stem == NULL));
	PROMISE(a->stem == NULL ||
	    (strcmp(a->stem, b->stem) == 0 && a->pos == b->pos && a->limit == b->limit));
}

static void
compare_positions(const struct positions *a, const struct positions *b)
{
	same_mark(&a->chain, &b->chain);
	PROMISE(a->nfiles == b->nfiles);
	for (size_t i = 0; i < a->nfiles; i++)
		same_mark(&a->files[i], &b->files[i]);
}

static void
compare(const struct checkpoint *a, const struct checkpoint *b)
{
	PROMISE(a->lost == b->lost && a->adopted == b->adopted && a->nlagging == b->nlagging &&
	    a->delivered.nfiles == b->delivered.nfiles);
	compare_positions(&a->aside, &b->aside);
	PROMISE((a->aside_reason == NULL) == (b->aside_reason == NULL));
	PROMISE(a->aside_reason == NULL || strcmp(a->aside_reason, b->aside_reason) == 0);
	compare_positions(&a->positions, &b->positions);
	for (size_t i = 0; i < a->nlagging; i++) {
		PROMISE(strcmp(a->lagging[i]->type, b->lagging[i]->type) == 0 &&
		    a->lagging[i]->tried == b->lagging[i]->tried);
		compare_positions(&a->lagging[i]->positions, &b->lagging[i]->positions);
	}
	PROMISE(a->bad.nfiles == b->bad.nfiles && a->intent.active == b->intent.active);
	if (a->intent.active) {
		PROMISE(strcmp(a->intent.run_id, b->intent.run_id) == 0 &&
		    a->intent.client == b->intent.client);
		PROMISE(strcmp(a->intent.addr, b->intent.addr) == 0 &&
		    a->intent.ntypes == b->intent.ntypes);
		compare_positions(&a->intent.upto, &b->intent.upto);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buffer *buf = buffer();
	struct checkpoint p, again;
	struct err err;

	if (n == 0)
		return 0;
	if (data[0] & 1)
		put_slot(data + 1, n - 1);
	else
		scratch_put(".progress", data + 1, n - 1);
	if (checkpoint_load(buf, &p, &err) == -1)
		return 0;
	checkpoint_is_delivered(&p, "t", 1, true, "buffer_2025-12-04_10-30-00_000001", 0);
	if (checkpoint_store(buf, &p, &err) == 0) {
		PROMISE(checkpoint_load(buf, &again, &err) == 0);
		PROMISE(again.seq == p.seq);
		compare(&p, &again);
		checkpoint_free(&again);
	}
	checkpoint_drop_source(&p, "buffer_2025-12-04_10-30-00_000001");
	checkpoint_free(&p);
	return 0;
}

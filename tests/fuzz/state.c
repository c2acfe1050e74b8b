/* state: fuzzes the buffer's small state files; the first byte selects the file. No content may
 * stop a command. */
#include <sys/stat.h>

#include <stdbool.h>
#include <unistd.h>

#include "buffer/append.h"
#include "buffer/breaker.h"
#include "buffer/counters.h"
#include "buffer/line.h"
#include "buffer/manifest.h"
#include "event/event.h"
#include "fuzz.h"
#include "report/bufferfmt.h"

static const char *const files[] = {".lock", ".roster", ".counters", ".target", ".probe",
    ".own-stamp", "quarantine/q.jsonl", "quarantine/buffer_2025-12-04_10-30-00_000001.bad-1.jsonl"};
#define FILES (sizeof(files) / sizeof(*files))
#define STEM "buffer_2025-12-04_10-30-00_000001"

static void
fresh(void)
{
	char path[5000];

	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch(), files[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/quarantine", scratch());
	mkdir(path, 0700);
}

static bool
is_missing_stem(struct buffer *buf, const char *stem)
{
	char **stems;
	bool found = false;
	size_t n;

	n = manifest_list_vanished(buf, NULL, 0, &stems);
	while (n > 0) {
		found |= strcmp(stems[--n], stem) == 0;
		free(stems[n]);
	}
	free(stems);
	return found;
}

static void
check_manifest(struct buffer *buf)
{
	static unsigned count;
	char stem[64];
	struct err err;

	/* a stem is used only once */
	snprintf(stem, sizeof(stem), "buffer_of_ours_%u", count++);
	manifest_add(buf, stem, 0);
	PROMISE(manifest_mark_removed(buf, &(const char *){stem}, 1, &err) == 0);
	PROMISE(!is_missing_stem(buf, stem));
	PROMISE(manifest_forget_vanished(buf, &err) == 0);
	PROMISE(!is_missing_stem(buf, STEM));
}

static int
check_text(void *arg, const char *text)
{
	const struct table *t = arg;

	PROMISE(text == t->text.p && memchr(text, '\n', t->text.len) == NULL);
	return 0;
}

static int
show_quarantined(void *arg, const struct requeue_line *l)
{
	return bufferfmt_quarantined(arg, l);
}

static void
append_one(struct buffer *buf)
{
	struct append_limits lim = {.segment_max = 8 << 20, .lock_ms = 100};
	struct append_line line;
	struct bytes head = {0};
	struct event e = {
	    .type = slice_of("t"), .payload = slice_of("1"), .event_id = slice_of("i")};
	struct segment *list;
	size_t n;
	struct err err;

	line_head(&head, &e);
	line = (struct append_line){{head.p, head.len}, {NULL, 0}};
	PROMISE(
	    append_lines(buf, "place prefix", &lim, &line, 1, &err) == 0 || err.text[0] != '\0');
	bytes_free(&head);
	if (segment_list(buf->fd, &list, &n, &err) == 0) {
		while (n > 0)
			unlinkat(buf->fd, list[--n].name, 0);
		free(list);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct table text = {.emit = check_text, .arg = &text},
	             json = {.json = true, .emit = check_text, .arg = &json};
	const struct requeue_names all = {0};
	struct buffer *buf;
	uint64_t counts[COUNTERS], add[COUNTERS] = {1};
	struct err err;

	if (n == 0)
		return 0;
	fresh();
	scratch_put(files[data[0] % FILES], data + 1, n - 1);
	if ((buf = buffer_open(scratch(), true, &err)) == NULL)
		abort();
	free(buffer_target(buf));
	counters_read(buf, counts);
	counters_add(buf, add);
	if (breaker_enter(buf, "place", 1))
		breaker_leave(buf, "place", true);
	check_manifest(buf);
	requeue_list_quarantine(buf, &all, show_quarantined, &text, &err);
	requeue_list_quarantine(buf, &all, show_quarantined, &json, &err);
	append_one(buf);
	table_end(&text);
	table_end(&json);
	buffer_close(buf);
	return 0;
}

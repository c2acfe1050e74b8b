#include "buffer/adopt.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/status.h"
#include "buffer/manifest.h"
#include "buffer/segment.h"

#define NAME_KEPT 190 /* bytes of the old stem that stay in the new name */

static int
adopt_file(struct buffer *buf, const struct segment *seg, uint64_t number, struct err *err)
{
	char name[SEGMENT_NAME + 32];

	/* A checksum replaces what does not fit of a long name, and keeps it unique. */
	if (strlen(seg->stem) > NAME_KEPT)
		snprintf(name, sizeof(name), "%.*s~%08lx.claimed-%06" PRIu64 ".jsonl", NAME_KEPT,
		    seg->stem,
		    crc32(0, (const unsigned char *)seg->stem, (unsigned)strlen(seg->stem)),
		    number);
	else
		snprintf(name, sizeof(name), "%s.claimed-%06" PRIu64 ".jsonl", seg->stem, number);
	if (io_rename_new(buf->fd, seg->name, name) == -1)
		return errno == ENOENT || errno == EEXIST
		    ? 0
		    : err_sys(err, STATUS_UNSAFE, "adopt '%s/%s'", buf->dir, seg->name);
	name[strlen(name) - strlen(".jsonl")] = '\0';
	manifest_add(buf, name);
	return 1;
}

/* The time in ms until an adopted file has settled. The rename and each write set its ctime. */
static int64_t
remaining_settle_ms(struct buffer *buf, const struct segment *seg)
{
	struct stat st;
	int64_t age;

	if (seg->kind != SEGMENT_ADOPTED ||
	    fstatat(buf->fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	age =
	    clock_now() / 1000 - ((int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000);
	return age < 0 || age >= ADOPT_SETTLE ? 0 : ADOPT_SETTLE - age;
}

int
adopt_files(
    struct buffer *buf, struct checkpoint *cp, int64_t *settle_ms, size_t *adopted, struct err *err)
{
	struct segment *list;
	size_t n;
	int r = 0, failed = 0;

	*adopted = 0;
	*settle_ms = 0;
	/* None yet, or the number was lost: older ones may stand in quarantine/. */
	if (!cp->adopted)
		cp->adopted = (uint64_t)(clock_now() / 1000000);
	if (segment_list(buf->fd, &list, &n, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int64_t ms = remaining_settle_ms(buf, &list[i]);

		if (ms > *settle_ms)
			*settle_ms = ms;
		if (list[i].kind != SEGMENT_FOREIGN || list[i].ignored)
			continue;
		r = adopt_file(buf, &list[i], ++cp->adopted, err);
		failed |= r == -1;
		if (r == 1) {
			++*adopted;
			*settle_ms = ADOPT_SETTLE;
		}
	}
	free(list);
	return *adopted && buffer_sync(buf, err) == -1 ? -1 : failed;
}

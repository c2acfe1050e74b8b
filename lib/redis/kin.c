#include <inttypes.h>
#include <stdio.h>

#include "redis/kin.h"
#include "redis/reply.h"

static const char script[] =
    "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "  local name, stem = c[2], ARGV[2]\n"
    "  if c[4] == 0 and c[6] >= tonumber(ARGV[4]) and name ~= ARGV[3] and\n"
    "      name:sub(1, #stem) == stem and name:sub(#stem + 1):match('^%d+$') then\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)\n"
    "  end\n"
    "end\n";

int
retire_forget_idle(struct conn *conn, const char *key, const char *group, const char *stem, const char *own, int64_t idle,
    struct err *err)
{
	char ms[24];
	struct reply *r;

	snprintf(ms, sizeof(ms), "%" PRId64, idle);
	conn_putl(conn, "EVAL", script, "1", key, group, stem, own, ms, NULL);
	if ((r = conn_wait(conn, 0, err)) == NULL)
		return -1;
	reply_free(r);
	return 0;
}

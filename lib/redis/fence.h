/*
 * fence: makes sure that a dead connection executes nothing more.
 */
#ifndef REDIS_FENCE_H
#define REDIS_FENCE_H

#include "redis/conn.h"

/*
 * Makes sure that the server of conn executes nothing more of another, dead connection, whose run
 * ID, client ID and address are given. A command that the kernel took may still be on its way, and
 * an in-doubt look-up before it is executed would find nothing.
 *
 * Sends CLIENT KILL ID client [ADDR addr] when the server still has that run_id; a restarted server
 * has no old connections. Where CLIENT KILL is not permitted or client is 0, sends two PINGs, one
 * after the other. Returns -1 when conn is dead.
 */
int fence_conn(
    struct conn *conn, const char *run_id, int64_t client, const char *addr, struct err *err);

#endif

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
 * has no old connections. Where CLIENT KILL is not permitted or client is 0, sends a PING and,
 * after its reply, another. One PING proves little: the server may read it in a turn of its event
 * loop in which it comes to the dead connection later. The second PING is sent after the first
 * reply, so that turn is over when the server reads it, and every command that had reached the
 * server's socket has been executed. Bytes of the dead connection that are still on the network are
 * not covered: its reset stops what this host had not sent yet, but a delayed segment may arrive
 * after both PINGs. CLIENT KILL covers that too, since the server then has no such connection.
 *
 * Returns -1 with err when conn is dead.
 */
int fence_conn(
    struct conn *conn, const char *run_id, int64_t client, const char *addr, struct err *err);

#endif

/*
 * fence: makes sure that a dead connection executes nothing more.
 */
#ifndef REDIS_FENCE_H
#define REDIS_FENCE_H

#include "redis/conn.h"

/*
 * Makes sure that what another, dead connection to the same server sent will not be executed any
 * more (reliability, finding 8): when run_id is still the server's, CLIENT KILL ID client [ADDR
 * addr]; where that is not permitted or client is 0, two PINGs one after the other. 0 or -1
 * (connection dead).
 */
int fence_conn(
    struct conn *conn, const char *run_id, int64_t client, const char *addr, struct err *err);

#endif

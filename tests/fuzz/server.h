/*
 * server: a peer on a unix socket that replies to each command with the next piece of the given
 * bytes, unchecked; the byte 0xff separates pieces. It closes the connection after the last piece,
 * and after a piece that is not a complete reply.
 */
#ifndef SERVER_H
#define SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "redis/url.h"

/* With greet, each connection's CLIENT INFO and INFO are first answered as by Redis. *u is
 * borrowed.
 */
void server_start(struct url *u, int greet, const uint8_t *data, size_t n);
void server_join(void); /* call it when the connections are closed */

#endif

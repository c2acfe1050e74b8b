/*
 * server: a peer on a unix socket that answers each command with the next piece of the bytes given,
 * whatever they are; pieces are separated by a byte 0xff. Behind the last piece, and behind one
 * that is no whole reply, it hangs up.
 */
#ifndef SERVER_H
#define SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "redis/url.h"

/* With greet each connection first has CLIENT INFO and INFO answered as Redis does. *u is borrowed.
 */
void server_start(struct url *u, int greet, const uint8_t *data, size_t n);
void server_join(void); /* when the connections are closed */

#endif

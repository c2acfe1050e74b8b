/*
 * relay: a second transport (redis/transport.h), to test connections over. The bytes go through a
 * socketpair and two processes to a plain socket. It receives 1 to 7 bytes at a time and holds up
 * to 4096 more that poll(2) does not show; a send takes a part of what is offered.
 */
#ifndef RELAY_H
#define RELAY_H

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "redis/transport.h"

struct relay {
	struct transport t;
	char held[4096];
	size_t at, len;
	unsigned random;
};

static unsigned
draw_below(struct relay *relay, unsigned n)
{
	relay->random = relay->random * 1103515245 + 12345;
	return (relay->random >> 16) % n;
}

static int
send_part(struct transport *t, const char *p, size_t n, size_t *taken)
{
	struct relay *relay = (void *)t;
	size_t most = 1 + draw_below(relay, draw_below(relay, 4) == 0 ? 20000 : 7);
	ssize_t sent = send(t->fd, p, n < most ? n : most, MSG_NOSIGNAL);

	*taken = sent > 0 ? (size_t)sent : 0;
	return sent == -1 && errno != EAGAIN ? errno : 0;
}

static ssize_t
recv_few(struct transport *t, char *p, size_t n)
{
	struct relay *relay = (void *)t;
	size_t few = 1 + draw_below(relay, 7);
	ssize_t got;

	if (relay->at == relay->len) {
		if ((got = read(t->fd, relay->held, sizeof(relay->held))) <= 0)
			return got;
		relay->at = 0;
		relay->len = (size_t)got;
	}
	few = few < n ? few : n;
	few = few < relay->len - relay->at ? few : relay->len - relay->at;
	memcpy(p, relay->held + relay->at, few);
	relay->at += few;
	t->pending = relay->at < relay->len;
	return (ssize_t)few;
}

static void
close_relay(struct transport *t, bool reset)
{
	(void)reset;
	close(t->fd);
	free(t);
}

/* Copies to the end of file, in a process that has no other descriptor of its parent. */
static void
start_copying(int from, int to)
{
	char text[65536];
	ssize_t n, sent, done;

	if (fork() != 0)
		return;
	for (int fd = 0; fd < 256; fd++)
		if (fd != from && fd != to)
			close(fd);
	fcntl(from, F_SETFL, 0);
	while ((n = read(from, text, sizeof(text))) > 0)
		for (done = 0; done < n; done += sent)
			if ((sent = write(to, text + done, (size_t)(n - done))) == -1)
				_exit(1);
	shutdown(to, SHUT_WR);
	_exit(0);
}

static struct transport *
relay_connect(const struct url *u, int64_t deadline, struct err *err)
{
	static const struct transport_ops ops = {send_part, recv_few, close_relay};
	struct transport *server = net_connect(u, deadline, err);
	struct relay *relay;
	int pair[2];

	if (server == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1)
		abort();
	start_copying(server->fd, pair[1]);
	start_copying(pair[1], server->fd);
	server->ops->close(server, false);
	close(pair[1]);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	relay = mem_alloc(sizeof(*relay));
	relay->t = (struct transport){&ops, pair[0], POLLIN, POLLOUT, false};
	return &relay->t;
}

/* With RELAY in the environment, sends all connections of this process through a relay. */
static void
relay_init(void)
{
	for (int i = 0; getenv("RELAY") != NULL && i < URL_SCHEMES; i++)
		transport_connect[i] = relay_connect;
}

#endif

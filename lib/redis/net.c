/*
 * net: the transport over plain sockets (transport.h). Looks up a name and connects, both within
 * one deadline.
 *
 * getaddrinfo(3) has no deadline, so a thread looks the name up. When that takes too long the
 * thread is abandoned; it owns its memory and frees it when getaddrinfo(3) returns. Numeric
 * addresses and unix paths need no thread.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/status.h"
#include "redis/transport.h"

/* When to give up: at the deadline (CLOCK_MONOTONIC, ms), or when process_stop_signals differs. */
struct limit {
	int64_t deadline;
	sig_atomic_t signals;
};

/* Returns how long to wait before the next look at the limit, ms; 0: it is reached, with errno. */
static int
time_left(const struct limit *limit)
{
	int64_t left = limit->deadline - clock_mono();

	errno = left <= 0 ? ETIMEDOUT : EINTR;
	if (left <= 0 || process_stop_signals != limit->signals)
		return 0;
	return left > PROCESS_STOP_MS ? PROCESS_STOP_MS : (int)left;
}

/* Shared by the caller and the thread; the last of them frees it. */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int refs;
	bool done;
	int err, sys; /* EAI_* and errno, valid when done */
	struct addrinfo *list;
	char *host;
	char port[8];
};

static void
lookup_unref(struct lookup *l)
{
	int left;

	pthread_mutex_lock(&l->lock);
	left = --l->refs;
	pthread_mutex_unlock(&l->lock);
	if (left > 0)
		return;
	if (l->list != NULL)
		freeaddrinfo(l->list);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	free(l->host);
	free(l);
}

static struct addrinfo
make_hints(int flags)
{
	return (struct addrinfo){
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
}

static void *
lookup_run(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo *list = NULL, hints = make_hints(0);
	int err = getaddrinfo(l->host, l->port, &hints, &list);

	pthread_mutex_lock(&l->lock);
	l->err = err;
	l->sys = errno;
	l->list = err == 0 ? list : NULL;
	l->done = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
	lookup_unref(l);
	return NULL;
}

/* Returns 0 or an errno. The new thread blocks all signals, so that handlers run in the caller's
 * threads. */
static int
lookup_start(const char *host, const char *port, struct lookup **out)
{
	struct lookup *l = mem_alloc(sizeof(*l));
	pthread_condattr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int err;

	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->cond, &attr);
	pthread_condattr_destroy(&attr);
	l->refs = 2;
	l->host = mem_strdup(host);
	snprintf(l->port, sizeof(l->port), "%s", port);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, lookup_run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err == 0)
		pthread_detach(thread);
	else
		l->refs = 1; /* no thread shares it */
	*out = l;
	return err;
}

static int
lookup_wait(struct lookup *l, const struct limit *limit, struct addrinfo **out)
{
	int err = EAI_AGAIN, ms;

	pthread_mutex_lock(&l->lock);
	while (!l->done && (ms = time_left(limit)) > 0) {
		int64_t until = clock_mono() + ms;
		struct timespec ts = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};

		pthread_cond_timedwait(&l->cond, &l->lock, &ts);
	}
	if (l->done) {
		err = l->err;
		errno = l->sys;
		*out = l->list;
		l->list = NULL;
	} else if (errno == EINTR)
		err = EAI_SYSTEM;
	pthread_mutex_unlock(&l->lock);
	return err;
}

static int
resolve_host(
    const char *host, int port, const struct limit *limit, struct addrinfo **out, struct err *f)
{
	struct addrinfo hints = make_hints(AI_NUMERICHOST);
	struct lookup *l;
	char service[8];
	int err;

	snprintf(service, sizeof(service), "%d", port & 0xffff);
	/* NULL is the loopback address. So is localhost (RFC 6761, 6.3), even when /etc/hosts lacks
	 * it. */
	if (getaddrinfo(strcmp(host, "localhost") == 0 ? NULL : host, service, &hints, out) == 0)
		return 0;
	errno = lookup_start(host, service, &l);
	err = errno != 0 ? EAI_SYSTEM : lookup_wait(l, limit, out);
	if (err != 0) {
		err_set(f, STATUS_UNREACHABLE, "look up '%s': %s", host,
		    err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		f->sys = err == EAI_AGAIN ? ETIMEDOUT : ENOENT;
	}
	lookup_unref(l);
	return err == 0 ? 0 : -1;
}

static int
finish_connect(int fd, const struct limit *limit)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int ms, r = 0, err = 0;

	while ((r == 0 || (r == -1 && errno == EINTR)) && (ms = time_left(limit)) > 0)
		r = poll(&p, 1, ms);
	if (r != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		return -1;
	errno = err;
	return err == 0 ? 0 : -1;
}

/* A socket that connects to a free port of its own host may be given that port as its local one,
 * and is then connected to itself. */
static bool
is_self_connected(int fd)
{
	struct sockaddr_storage a = {0}, b = {0};
	socklen_t na = sizeof(a), nb = sizeof(b);

	if (getsockname(fd, (struct sockaddr *)&a, &na) == -1 ||
	    getpeername(fd, (struct sockaddr *)&b, &nb) == -1)
		return false;
	return a.ss_family != AF_UNIX && na == nb && memcmp(&a, &b, na) == 0;
}

/* Repeats connect(2) until the deadline while it fails with EAGAIN: a unix socket's backlog is
 * full. */
static int
connect_until(int fd, const struct sockaddr *addr, socklen_t len, const struct limit *limit)
{
	const struct timespec nap = {.tv_nsec = 5000000};

	while (connect(fd, addr, len) == -1) {
		if (errno == EINPROGRESS || errno == EINTR)
			return finish_connect(fd, limit);
		if (errno != EAGAIN)
			return -1;
		if (time_left(limit) == 0)
			return -1;
		nanosleep(&nap, NULL);
	}
	return 0;
}

static int
connect_socket(const struct sockaddr *addr, socklen_t len, const struct limit *limit)
{
	int one = 1, sndbuf = 1 << 20, saved;
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -1;
	if (connect_until(fd, addr, len, limit) == -1)
		goto bad;
	/* A larger send buffer means fewer wake-ups. TCP sizes its own. */
	if (addr->sa_family == AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	else if (is_self_connected(fd)) {
		errno = ECONNREFUSED;
		goto bad;
	} else
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
bad:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
connect_unix(const char *path, const struct limit *limit)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = strlen(path);

	if (n >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(un.sun_path, path, n);
	return connect_socket((const struct sockaddr *)&un, sizeof(un), limit);
}

static int
connect_any(const struct addrinfo *list, const struct limit *limit)
{
	const struct addrinfo *ai;
	int64_t left = 0;
	int fd = -1;

	for (ai = list; ai != NULL; ai = ai->ai_next)
		left++;
	for (ai = list; ai != NULL && fd == -1; ai = ai->ai_next, left--) {
		int64_t now = clock_mono();
		struct limit share = {now + (limit->deadline - now) / left, limit->signals};

		fd = connect_socket(ai->ai_addr, ai->ai_addrlen, &share);
	}
	return fd;
}

/* --- the transport --- */

/* A send that takes less than was offered has filled the socket. */
static int
send_to_socket(struct transport *t, const char *p, size_t n, size_t *taken)
{
	ssize_t sent;

	*taken = 0;
	do
		sent = send(t->fd, p, n, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	if (sent == -1)
		return errno == EAGAIN ? 0 : errno;
	*taken = (size_t)sent;
	return 0;
}

static ssize_t
recv_from_socket(struct transport *t, char *p, size_t n)
{
	ssize_t got;

	do
		got = recv(t->fd, p, n, 0);
	while (got == -1 && errno == EINTR);
	return got;
}

static void
close_socket(struct transport *t, bool reset)
{
	struct linger now = {.l_onoff = 1};

	if (reset)
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(t->fd);
	free(t);
}

struct transport *
net_connect(const struct url *u, int64_t deadline, struct err *err)
{
	static const struct transport_ops sockets = {
	    send_to_socket, recv_from_socket, close_socket};
	struct transport *t;
	struct limit limit = {deadline, process_stop_signals};
	struct addrinfo *list = NULL;
	char *target;
	int fd;

	if (u->path == NULL && resolve_host(u->host, u->port, &limit, &list, err) == -1)
		return NULL;
	fd = u->path != NULL ? connect_unix(u->path, &limit) : connect_any(list, &limit);
	if (fd == -1) {
		target = url_target(u);
		err_sys(err, STATUS_UNREACHABLE, "connect to '%s'", target);
		free(target);
	}
	if (list != NULL)
		freeaddrinfo(list);
	if (fd == -1)
		return NULL;
	t = mem_alloc(sizeof(*t));
	*t = (struct transport){&sockets, fd, POLLIN, POLLOUT, false};
	return t;
}

/* server: a peer on a unix socket. Declared in server.h. */
#include "server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "fuzz.h"

static const char *const greeting[] = {
    "$52\r\nid=7 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=8 \r\n",
    "$83\r\n# "
    "Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:0123456789abcdef01234\r\n"};

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listening = -1;
static pthread_t thread;
static const uint8_t *bytes;
static size_t left, greeted;
static int greets, over; /* over: an eventfd(2) */

/* Returns the length of the first command, 0 while it is incomplete. */
static size_t
command(const char *p, size_t n)
{
	const char *end = p + n, *line = memchr(p, '\n', n);
	long args = line != NULL ? strtol(p + 1, NULL, 10) : -1, size;

	for (p = line != NULL ? line + 1 : end; args > 0; args--) {
		if ((line = memchr(p, '\n', (size_t)(end - p))) == NULL)
			return 0;
		size = strtol(p + 1, NULL, 10) + 2;
		if (size > end - line - 1)
			return 0;
		p = line + 1 + size;
	}
	return args == 0 ? n - (size_t)(end - p) : 0;
}

/* Parses a length; -2 when it is not a length. */
static long
number(const char *p, const char *end)
{
	long n = 0;

	if (end - p == 2 && memcmp(p, "-1", 2) == 0)
		return -1;
	if (p == end || end - p > 6)
		return -2;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return -2;
		n = n * 10 + *p - '0';
	}
	return n;
}

/* Returns whether the piece begins with a complete reply: after any other the client would wait for
 * ever. */
static int
is_whole(const char *p, size_t n)
{
	const char *end = p + n, *line;
	long wanted = 1, size;

	for (; wanted > 0; wanted--, p = line + 2) {
		if (p == end || (line = memmem(p, (size_t)(end - p), "\r\n", 2)) == NULL ||
		    memchr("+-:$*", *p, 5) == NULL)
			return 0;
		if (*p != '$' && *p != '*')
			continue;
		if ((size = number(p + 1, line)) == -2)
			return 0;
		if (*p == '*')
			wanted += size > 0 ? size : 0;
		else if (size > end - line - 4)
			return 0;
		else if (size >= 0)
			line += size + 2;
	}
	return 1;
}

/* Sends the next piece. Returns -1 when it was the last, else 0. */
static int
answer(int fd)
{
	int whole;

	const uint8_t *end;
	size_t n;

	if (greeted < 2) {
		n = strlen(greeting[greeted]);
		return send(fd, greeting[greeted++], n, MSG_NOSIGNAL) == -1 ? -1 : 0;
	}
	if (left == 0)
		return -1;
	end = memchr(bytes, 0xff, left);
	n = end != NULL ? (size_t)(end - bytes) : left;
	if (n > 0 && send(fd, bytes, n, MSG_NOSIGNAL) == -1)
		return -1;
	whole = is_whole((const char *)bytes, n);
	n += end != NULL;
	bytes += n;
	left -= n;
	return whole ? 0 : -1;
}

/* Serves a connection until either side closes it, or the client opens another. */
static void
serve(int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = listening, .events = POLLIN}};
	struct bytes in = {0};
	int open = 1;
	ssize_t got;
	size_t n;

	greeted = greets ? 0 : 2;
	do {
		if (poll(p, 2, -1) > 0 && p[0].revents == 0)
			break;
		bytes_reserve(&in, 4096);
		if ((got = read(fd, in.p + in.len, 4096)) > 0)
			in.len += (size_t)got;
		while (open && in.len > 0 && (n = command(in.p, in.len)) > 0) {
			bytes_drop(&in, n);
			open = answer(fd) == 0;
		}
	} while (open && got > 0);
	bytes_free(&in);
	close(fd);
}

/* Serves one connection after the other, until server_join is called and no client waits. */
static void *
serve_all(void *arg)
{
	struct pollfd p[2] = {{.fd = listening, .events = POLLIN}, {.fd = over, .events = POLLIN}};
	uint64_t one;

	while (poll(p, 2, -1) > 0 && !(p[0].revents == 0 && p[1].revents != 0))
		if (p[0].revents != 0)
			serve(accept(listening, NULL, NULL));
	if (read(over, &one, sizeof(one)) == -1)
		abort();
	return arg;
}

void
server_start(struct url *u, int greet, const uint8_t *data, size_t n)
{
	if (listening == -1) {
		snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/s", scratch());
		listening = socket(AF_UNIX, SOCK_STREAM, 0);
		over = eventfd(0, 0);
		if (over == -1 ||
		    bind(listening, (struct sockaddr *)&address, sizeof(address)) == -1 ||
		    listen(listening, 8) == -1)
			abort();
	}
	*u = (struct url){.path = address.sun_path};
	greets = greet;
	bytes = data;
	left = n;
	if (pthread_create(&thread, NULL, serve_all, NULL) != 0)
		abort();
}

void
server_join(void)
{
	if (eventfd_write(over, 1) == -1)
		abort();
	pthread_join(thread, NULL);
}

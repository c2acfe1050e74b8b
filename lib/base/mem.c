#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/status.h"
#include "base/mem.h"
#include "base/clock.h"

#define MEMORY_KEPT (4 << 20)
#define SLURP_WAIT_MS 2000	/* for a pipe such as bash's <(command) */

static void
out_of_memory(void)
{
	static const char words[] = "out of memory\n";

	if (write(STDERR_FILENO, words, sizeof words - 1) == -1) {
		/* the status says it */
	}
	_exit(STATUS_UNSAFE);
}

void *
mem_alloc(size_t n)
{
	void *p = calloc(1, n == 0 ? 1 : n);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *
mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n == 0 ? 1 : n);

	if (q == NULL)
		out_of_memory();
	return q;
}

char *
mem_strndup(const char *s, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (n > 0)
		memcpy(copy, s, n);
	return copy;
}

char *
mem_strdup(const char *s)
{
	return mem_strndup(s, strlen(s));
}

const char *
process_env(const char *name)
{
	const char *s = getenv(name);

	return s == NULL || *s == '\0' ? NULL : s;
}

static mode_t umask_before = 022;

void
process_start(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		/* opened the wrong way round: using it fails, as with a closed one */
		int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", mode) == -1)
			/* cppcheck-suppress leakReturnValNotUsed ; it stays open */
			open("/", O_RDONLY | O_DIRECTORY);
	}
#ifdef M_TRIM_THRESHOLD
	mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);		/* batches come and go: the same pages serve the next one */
	mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT);
#endif
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask_before = umask(077);
}

mode_t
process_umask(void)
{
	return umask_before;
}

void
process_on_signal(int sig, void (*fn)(int))
{
	struct sigaction was, sa = { .sa_handler = fn };

	if (sigaction(sig, NULL, &was) == 0 && was.sa_handler == SIG_IGN)
		return;
	sigaction(sig, &sa, NULL);
}

int
io_write(int fd, const void *p, size_t n)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = write(fd, from, n);

		if (done >= 0) {
			from += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			struct pollfd pf = {.fd = fd, .events = POLLOUT};

			if (poll(&pf, 1, -1) == -1 && errno != EINTR)
				return -1;
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

int
io_flock(int fd, int64_t ms)
{
	struct timespec pause = { 0, 50000 };
	int64_t until = clock_mono() + ms;

	while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		if (clock_mono() >= until) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec *= 2;
	}
	return 0;
}

/* read(2) that waits a little for a pipe and never for ever. */
static ssize_t
read_soon(int fd, void *p, size_t n)
{
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	ssize_t got;

	while ((got = read(fd, p, n)) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		if (poll(&pf, 1, SLURP_WAIT_MS) == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	return got;
}

static int
slurp(int fd, size_t max, struct bytes *b)
{
	ssize_t got;

	do {
		buf_reserve(b, 4096);
		got = read_soon(fd, b->p + b->len, b->cap - b->len);
		if (got == -1)
			return -1;
		b->len += (size_t)got;
		if (b->len > max) {
			errno = EFBIG;
			return -1;
		}
	} while (got > 0);
	bytes_str(b);
	return 0;
}

char *
io_slurp(int dirfd, const char *path, size_t max, size_t *n)
{
	struct bytes b = {0};
	int fd, sys, result;

	if ((fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) == -1)
		return NULL;
	result = slurp(fd, max, &b);
	sys = errno;
	close(fd);
	if (result == -1) {
		bytes_free(&b);
		errno = sys;
		return NULL;
	}
	if (n != NULL)
		*n = b.len;
	return b.p;
}

char *
num_digits(char *out, uint64_t n)
{
	uint64_t bound = 10;
	size_t len = 1;

	for (; n >= bound && len < NUM_DIGITS; bound *= 10)
		len++;
	for (size_t i = len; i-- > 0; n /= 10)
		out[i] = (char)('0' + n % 10);
	return out + len;
}

void
num_hex8(char *out, uint32_t n)
{
	for (int i = 7; i >= 0; i--, n >>= 4)
		out[i] = "0123456789abcdef"[n & 15];
}

int
num_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
num_u64(const char *s, uint64_t *out)
{
	uint64_t n = 0;

	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		unsigned digit = (unsigned)(*s - '0');

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -1;
		n = n * 10 + digit;
	}
	*out = n;
	return 0;
}

struct decimal {
	uint64_t whole, part, scale;	/* whole + part / scale; scale is a power of ten */
};

/* Digits with at most one point among them; further than nine behind it are cut. */
static int
read_decimal(const char **s, struct decimal *d)
{
	const char *p = *s;
	size_t n = strspn(p, "0123456789");
	char digits[21];

	*d = (struct decimal){0, 0, 1};
	if (n == 0 || n >= sizeof digits)
		return -1;
	memcpy(digits, p, n);
	digits[n] = '\0';
	if (num_u64(digits, &d->whole) == -1)
		return -1;
	p += n;
	if (*p == '.') {
		if ((n = strspn(++p, "0123456789")) == 0)
			return -1;
		for (size_t i = 0; i < n && i < 9; i++) {
			d->part = d->part * 10 + (uint64_t)(p[i] - '0');
			d->scale *= 10;
		}
		p += n;
	}
	*s = p;
	return 0;
}

static int
times_unit(const struct decimal *d, uint64_t unit, uint64_t *out)
{
	uint64_t more;

	/* part < 10^9; a unit of up to 2^30 keeps the product in range */
	if (unit > 1 << 30)
		more = d->part * (unit >> 20) / d->scale << 20;
	else
		more = d->part * unit / d->scale;
	if (d->whole > (UINT64_MAX - more) / unit)
		return -1;
	*out = d->whole * unit + more;
	return 0;
}

int
num_size(const char *s, uint64_t *bytes)
{
	static const char letters[] = "kmgt";
	const char *unit = NULL;
	struct decimal d;
	int shift = 0;

	if (read_decimal(&s, &d) == -1)
		return -1;
	if (*s != '\0' && (unit = strchr(letters, *s | 0x20)) != NULL) {
		shift = 10 * (int)(unit - letters + 1);
		s++;
	}
	if (*s != '\0' && strcasecmp(s, "b") != 0 && (unit == NULL || strcasecmp(s, "ib") != 0))
		return -1;
	if (unit == NULL && d.scale != 1)
		return -1;
	return times_unit(&d, (uint64_t)1 << shift, bytes);
}

int
num_ms(const char *s, int64_t *ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000},
		{"h", 3600000}, {"d", 86400000},
	};
	struct decimal d;
	uint64_t n;

	if (read_decimal(&s, &d) == -1)
		return -1;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(s, units[i].name) != 0)
			continue;
		if (times_unit(&d, units[i].ms, &n) == -1 || n > INT64_MAX)
			return -1;
		*ms = (int64_t)n;
		return 0;
	}
	return -1;
}

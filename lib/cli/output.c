/* output: standard output and standard error. Declared in cli.h and cli_int.h. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "cli/cli_int.h"

#define OUT_BYTES 65536 /* are written together */
#define WAIT_MS 1000    /* after a stop signal, without a reader */

static struct {
	struct bytes text; /* not written yet */
	int broken;        /* errno of the failure after which nothing is written; 0: none */
	bool begun;
	bool terminal;
	bool records; /* that end with `end` */
	char end;
} out;

int
output_write(int fd, const char *p, size_t n)
{
	struct pollfd reader = {fd, POLLOUT, 0};

	while (n > 0) {
		/* no more than PIPE_BUF does not block when poll(2) reports room */
		size_t many = cli_stopped && n > PIPE_BUF ? PIPE_BUF : n;
		ssize_t done;

		if (cli_stopped && poll(&reader, 1, WAIT_MS) == 0) {
			errno = EINTR;
			return -1;
		}
		done = write(fd, p, many);
		if (done >= 0) {
			p += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN)
			poll(&reader, 1, WAIT_MS);
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

int
output_flush(void)
{
	if (out.text.len > 0 && out.broken == 0) {
		if ((!out.begun && out.records && io_end_torn(STDOUT_FILENO, out.end) == -1) ||
		    output_write(STDOUT_FILENO, out.text.p, out.text.len) == -1)
			out.broken = errno;
		out.begun = true;
	}
	out.text.len = 0;
	errno = out.broken;
	return out.broken == 0 ? 0 : -1;
}

int
cli_write(const char *p, size_t n)
{
	if (out.text.cap == 0)
		out.terminal = isatty(STDOUT_FILENO);
	bytes_add(&out.text, p, n);
	if (out.text.len >= OUT_BYTES || (out.terminal && n > 0 && p[n - 1] == '\n'))
		output_flush();
	return out.broken;
}

int
cli_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	text = mem_vasprintf(fmt, ap);
	va_end(ap);
	n = (int)strlen(text);
	cli_write(text, (size_t)n);
	free(text);
	return n;
}

void
cli_records(char end)
{
	out.records = true;
	out.end = end;
}

/*
 * repeat: runs programs with little of its own, and says what they took, for scripts/bench.
 *
 *     FILE run JOBS N COMMAND...                     N processes, JOBS of them at once
 *     FILE latency N LINE PUBLISHER... -- READER...  N times LINE to the one's stdin, then a line
 * from the other's stdout
 *
 * One line goes to FILE: nanoseconds, microseconds of their processors in user and system mode, KiB
 * of the largest; for latency the nanoseconds are the median of a line, and the 99th percentile
 * stands behind. A command that fails is status 1.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *result;

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long
number(const char *s)
{
	long n = s == NULL ? 0 : strtol(s, NULL, 10);

	if (n < 1 || n > 100000000)
		errx(64, "a number of times is wanted");
	return n;
}

/* In and out are descriptors for its stdin and stdout, or -1. */
static pid_t
start(char **argv, int in, int out)
{
	posix_spawn_file_actions_t a;
	pid_t pid;
	int e;

	posix_spawn_file_actions_init(&a);
	if (in != -1)
		posix_spawn_file_actions_adddup2(&a, in, STDIN_FILENO);
	if (out != -1)
		posix_spawn_file_actions_adddup2(&a, out, STDOUT_FILENO);
	if ((e = posix_spawnp(&pid, argv[0], &a, NULL, argv, environ)) != 0)
		errx(1, "%s: %s", argv[0], strerror(e));
	posix_spawn_file_actions_destroy(&a);
	return pid;
}

static void
end_one(const char *name)
{
	int status;

	if (wait(&status) == -1)
		err(1, "wait");
	if (status != 0)
		errx(1, "%s: %s %d", name, WIFEXITED(status) ? "status" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void
report(long long ns, long long high)
{
	struct rusage u;
	FILE *f = fopen(result, "w");

	if (f == NULL)
		err(1, "%s", result);
	getrusage(RUSAGE_CHILDREN, &u);
	fprintf(f, "%lld %lld %lld %ld %lld\n", ns,
	    u.ru_utime.tv_sec * 1000000LL + u.ru_utime.tv_usec,
	    u.ru_stime.tv_sec * 1000000LL + u.ru_stime.tv_usec, u.ru_maxrss, high);
	if (fclose(f) == EOF)
		err(1, "%s", result);
}

static void
run(long jobs, long n, char **argv)
{
	long long begin = now();

	for (long i = 0; i < n; i++) {
		if (i >= jobs)
			end_one(argv[0]);
		start(argv, -1, -1);
	}
	for (long i = n < jobs ? n : jobs; i > 0; i--)
		end_one(argv[0]);
	report(now() - begin, 0);
}

/* --- latency -------------------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

/* What one line takes, from before it is written until the end of its record is read. */
static long long
one_way(int out, const char *line, int in, const char *name)
{
	size_t length = strlen(line);
	long long begin = now();
	char buf[1 << 16];
	ssize_t n;

	if (write(out, line, length) != (ssize_t)length)
		err(1, "write");
	do
		if ((n = read(in, buf, sizeof(buf))) <= 0)
			errx(1, "%s ended", name);
	while (buf[n - 1] != '\n');
	return now() - begin;
}

static void
latency(long n, const char *text, char **publisher, char **reader)
{
	long long *took = calloc((size_t)n, sizeof(*took));
	char *line;
	int in[2], out[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (took == NULL || asprintf(&line, "%s\n", text) == -1 || null == -1 ||
	    pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
		err(1, "latency");
	start(reader, -1, in[1]);
	start(publisher, out[0], null);
	close(in[1]);
	close(out[0]);
	one_way(out[1], line, in[0], reader[0]); /* connections, group */
	for (long i = 0; i < n; i++)
		took[i] = one_way(out[1], line, in[0], reader[0]);
	close(out[1]);
	end_one("latency");
	end_one("latency");
	qsort(took, (size_t)n, sizeof(*took), ascending);
	report(took[n / 2], took[n * 99 / 100]);
	free(line);
	free(took);
}

int
main(int argc, char **argv)
{
	char **cut = argv;

	if (argc < 6)
		errx(64,
		    "usage: repeat FILE run JOBS N COMMAND... | FILE latency N LINE PUBLISHER... "
		    "-- READER...");
	result = argv[1];
	if (strcmp(argv[2], "run") == 0) {
		run(number(argv[3]), number(argv[4]), argv + 5);
		return 0;
	}
	while (*cut != NULL && strcmp(*cut, "--") != 0)
		cut++;
	if (strcmp(argv[2], "latency") != 0 || *cut == NULL || cut[1] == NULL)
		errx(64, "no '%s', or no '--' between the two commands", argv[2]);
	*cut = NULL;
	latency(number(argv[3]), argv[4], argv + 5, cut + 1);
	return 0;
}

/*
 * counters: linked into the programs that `make coverage` builds. Each process counts in memory of
 * its own, as clang's instrumentation does. A process that exits normally adds its counts to a
 * mapped file that it opened before main, without any system call, so that an injected fault cannot
 * prevent it. A killed process adds nothing: clang derives how often a condition was false from a
 * difference of two counters, which would be wrong in the middle of one.
 *
 * COUNTERS_AT is the folder of these files, which have the names of the programs. With
 * $COUNTERS_DUMP set, a program only writes the counts to that file, for llvm-profdata.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang's runtime. Defining this variable turns off its own writing of counters. */
extern int __llvm_profile_runtime;
int __llvm_profile_runtime;
void *__llvm_profile_begin_counters(void);
void *__llvm_profile_end_counters(void);
void __llvm_profile_set_filename(const char *name);
int __llvm_profile_write_file(void);

static uint64_t *shared;

static size_t
count(void)
{
	return (size_t)((char *)__llvm_profile_end_counters() -
	           (char *)__llvm_profile_begin_counters()) /
	    sizeof(*shared);
}

static void
dump(const char *path)
{
	memcpy(__llvm_profile_begin_counters(), shared, count() * sizeof(*shared));
	__llvm_profile_set_filename(path);
	_exit(__llvm_profile_write_file() != 0);
}

__attribute__((constructor)) static void
begin(void)
{
	char program[512] = "", path[1024];
	size_t size = count() * sizeof(*shared);
	const char *to = getenv("COUNTERS_DUMP");
	struct stat st;
	void *p = MAP_FAILED;
	int fd;

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) == -1)
		return;
	snprintf(path, sizeof(path), COUNTERS_AT "/%s", strrchr(program, '/') + 1);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd == -1)
		return;
	if (fstat(fd, &st) == 0 && ((size_t)st.st_size == size || ftruncate(fd, (off_t)size) == 0))
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	shared = p;
	if (to)
		dump(to);
}

__attribute__((destructor)) static void
end(void)
{
	const uint64_t *mine = __llvm_profile_begin_counters();
	size_t i;

	for (i = 0; shared && i < count(); i++)
		if (mine[i])
			__atomic_fetch_add(&shared[i], mine[i], __ATOMIC_RELAXED);
}

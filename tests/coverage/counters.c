/*
 * counters: linked into the programs that `make coverage` builds. They count as clang has it, in
 * memory of their own; one that ends in good order adds that to a mapped file, opened before main.
 * At the end nothing is opened, written or otherwise asked of the system, so no fault that is
 * injected can be in the way. One that is killed adds nothing: clang has the number of times that a
 * condition was false as a difference, and would count one false that was never answered.
 *
 * COUNTERS_AT is the folder of these files, each with its program's name. With $COUNTERS_DUMP set a
 * program does nothing but write what was counted there, as llvm-profdata reads it.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang's runtime. With a variable of this name it leaves the writing to us. */
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

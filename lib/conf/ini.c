#include "conf/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/status.h"

#define SIZE_LIMIT (1024UL * 1024)

static const char blanks[] = " \t\r\f\v";

static char *
trim_blanks(char *s)
{
	size_t n;

	s += strspn(s, blanks);
	for (n = strlen(s); n > 0 && strchr(blanks, s[n - 1]) != NULL; n--)
		;
	s[n] = '\0';
	return s;
}

static int
parse_line(
    char *line, unsigned number, const char **section, ini_fn *fn, void *arg, struct err *err)
{
	size_t n = strlen(line);
	char *equals;

	if (*line == '\0' || *line == '#')
		return 0;
	if (*line == '[') {
		if (n < 2 || line[n - 1] != ']')
			return err_set(err, STATUS_CONFIG, "missing ']'");
		line[n - 1] = '\0';
		*section = trim_blanks(line + 1);
		return 0;
	}
	if ((equals = strchr(line, '=')) == NULL)
		return err_set(err, STATUS_CONFIG, "expected name = value, [TYPE] or # comment");
	*equals = '\0';
	return fn(arg, *section, trim_blanks(line), trim_blanks(equals + 1), number, err);
}

int
ini_read(const char *path, ini_fn *fn, void *arg, struct err *err)
{
	const char *section = "";
	char *text, *line, *next;
	unsigned number = 1;
	int result = 0;
	size_t n;

	if ((text = io_read_file(AT_FDCWD, path, SIZE_LIMIT, &n)) == NULL) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 1;
		return err_sys(err, STATUS_CONFIG, "read '%s'", path);
	}
	if (strlen(text) != n)
		result = err_set(err, STATUS_CONFIG, "read '%s': not a text file", path);
	for (line = text; result == 0 && line != NULL; line = next, number++) {
		struct err why;

		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (parse_line(trim_blanks(line), number, &section, fn, arg, &why) != 0)
			result = err_set(err, STATUS_CONFIG, "%s:%u: %s", path, number, why.text);
	}
	explicit_bzero(text, n); /* it may contain a URL with a password */
	free(text);
	return result;
}

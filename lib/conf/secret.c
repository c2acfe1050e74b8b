#include "conf/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/status.h"

#define SIZE_LIMIT 65536

/* Returns 1 when it found a password, 0 when there is no such file, -1 on failure. */
static int
read_password_file(const char *path, char **password, struct err *err)
{
	size_t n;
	char *s = io_read_file(AT_FDCWD, path, SIZE_LIMIT, &n);

	if (s == NULL) {
		err_sys(err, STATUS_CONFIG, "read password file '%s'", path);
		return errno == ENOENT ? 0 : -1;
	}
	if (n > 0 && s[n - 1] == '\n')
		s[--n] = '\0';
	if (n > 0 && strlen(s) == n) {
		*password = s;
		return 1;
	}
	free(s);
	return err_set(err, STATUS_CONFIG, "password file '%s' %s", path,
	    n == 0 ? "is empty" : "contains a NUL");
}

static int
read_credential(const char *dir, char **password, struct err *err)
{
	struct bytes path = {0};
	int result;

	bytes_addf(&path, "%s/redis-password", dir);
	result = read_password_file(bytes_str(&path), password, err);
	bytes_free(&path);
	return result;
}

int
secret_find(char **password, struct err *err)
{
	const char *s;
	int got;

	*password = NULL;
	if ((s = process_env("EB_REDIS_PASSWORD_FILE")) != NULL)
		return read_password_file(s, password, err) == 1 ? 0 : -1;
	if ((s = process_env("CREDENTIALS_DIRECTORY")) != NULL) {
		if ((got = read_credential(s, password, err)) != 0)
			return got == 1 ? 0 : -1;
	}
	if ((s = process_env("EB_REDIS_PASSWORD")) != NULL ||
	    (s = process_env("REDISCLI_AUTH")) != NULL)
		*password = mem_strdup(s);
	return 0;
}

void
secret_hide(char *url)
{
	char *from = strstr(url, "://"), *at = strrchr(url, '@');

	if (from == NULL || at == NULL || (from = strchr(from + 3, ':')) == NULL)
		return;
	while (++from < at)
		*from = 'x';
}

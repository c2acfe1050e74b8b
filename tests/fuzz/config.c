/* config: fuzzes the config file, through every use that a command makes of it. */
#include <sys/stat.h>

#include "conf/conf.h"
#include "conf/ini.h"
#include "fuzz.h"

static int
see(void *arg, const char *section, const char *name, const char *value, unsigned line,
    struct err *err)
{
	unsigned *seen = arg;

	PROMISE(strchr(name, '\n') == NULL && strchr(value, '\n') == NULL &&
	    strchr(name, '=') == NULL && line > 0);
	*seen += (unsigned)(strlen(section) + strlen(name) + strlen(value));
	return *seen % 7 == 6 ? err_set(err, 78, "enough") : 0;
}

static void
prepare(void)
{
	char dir[5000];

	snprintf(dir, sizeof(dir), "%s/eventbus", scratch());
	if (mkdir(dir, 0700) == 0) {
		clearenv();
		setenv("XDG_CONFIG_HOME", scratch(), 1);
		setenv("HOME", scratch(), 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char path[5000], *argv[] = {(char[]){"fuzz"}, NULL};
	struct err err = {.text = ""};
	unsigned seen = 0;
	struct conf c;

	prepare();
	scratch_put("eventbus/config", data, n);
	snprintf(path, sizeof(path), "%s/eventbus/config", scratch());
	if (ini_read(path, see, &seen, &err) == -1)
		PROMISE(err.status == 78 && err.text[0] != '\0');
	conf_init(&c);
	if (conf_finish(&c, 1, argv, &err) == 0) {
		PROMISE(c.address != NULL && c.prefix != NULL && c.service != NULL &&
		    c.timeout_ms > 0 && c.maxlen >= 0);
		PROMISE(conf_maxlen(&c, "t") >= 0 && conf_maxlen_hard(&c, "t") >= 0);
		PROMISE(conf_maxlen_hard(&c, "t") == 0 ||
		    conf_maxlen_hard(&c, "t") >= conf_maxlen(&c, "t"));
	} else
		PROMISE((err.status == 64 || err.status == 78) && err.text[0] != '\0');
	conf_free(&c);
	return 0;
}

/* mode: finds the subcommand, and checks its arguments and options. Declared in cli_int.h. */
#include <string.h>

#include "base/status.h"
#include "cli/cli_int.h"

bool
mode_is_in(const struct cli_command *c, const struct cli_mode *mode, unsigned modes)
{
	return modes == 0 || (modes >> (mode - c->modes) & 1) != 0;
}

void
mode_list(struct bytes *out, const struct cli_command *c, unsigned modes, const char *last)
{
	size_t left = 0;
	bool first = true;

	for (const struct cli_mode *m = c->modes; m->name != NULL; m++)
		left += mode_is_in(c, m, modes);
	for (const struct cli_mode *m = c->modes; m->name != NULL; m++) {
		if (!mode_is_in(c, m, modes))
			continue;
		bytes_adds(out, first ? "" : left == 1 ? last : ", ");
		bytes_adds(out, m->name);
		first = false;
		left--;
	}
}

static int
refuse_word(const struct cli_command *c, const char *words, struct err *err)
{
	struct nearest s = {.word = words, .n = strlen(words)};
	struct bytes names = {0};

	for (const struct cli_mode *m = c->modes; m->name != NULL; m++)
		nearest_try(&s, m->name);
	mode_list(&names, c, 0, " or ");
	if (*words == '\0')
		err_set(err, STATUS_USAGE, "no command given; expected %s", bytes_str(&names));
	else if (s.best != NULL)
		err_set(
		    err, STATUS_USAGE, "'%s' is not a command; did you mean '%s'?", words, s.best);
	else
		err_set(err, STATUS_USAGE, "'%s' is not a command; expected %s", words,
		    bytes_str(&names));
	bytes_free(&names);
	return -1;
}

const struct cli_mode *
mode_find(const struct cli_command *c, char **args, size_t n, size_t *words, struct err *err)
{
	struct bytes two = {0};
	const struct cli_mode *found = NULL;
	bool noun = false; /* the first word is that of a name of two words */

	bytes_adds(&two, n > 0 ? args[0] : "");
	if (n > 1)
		bytes_addf(&two, " %s", args[1]);
	bytes_str(&two);
	for (const struct cli_mode *m = c->modes; n > 0 && m->name != NULL; m++) {
		size_t first = strcspn(m->name, " ");

		*words = m->name[first] == '\0' ? 1 : 2;
		if (strcmp(m->name, *words == 1 ? args[0] : two.p) == 0) {
			found = m;
			break;
		}
		noun = noun || (*words == 2 && slice_is((struct slice){m->name, first}, args[0]));
	}
	if (found == NULL)
		refuse_word(c, n == 0 ? "" : noun ? two.p : args[0], err);
	bytes_free(&two);
	return found;
}

int
mode_check(const struct cli_command *c, const struct cli_mode *mode, size_t n, struct err *err)
{
	if (options_check_mode(c, mode, err) == -1)
		return -1;
	if (n < mode->min || n > mode->max)
		return err_set(err, STATUS_USAGE, "%s: expected arguments: %s", mode->name,
		    *mode->args != '\0' ? mode->args : "none");
	if (mode->changes == NULL || cli_given("yes") || cli_given("dry-run"))
		return 0;
	return err_set(err, STATUS_USAGE, "%s %s; confirm with --yes%s", mode->name, mode->changes,
	    options_take(c, mode, "dry-run") ? ", or use --dry-run to see what it would do" : "");
}

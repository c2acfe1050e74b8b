/* help: prints --help, at most 80 columns wide. Declared in cli_int.h. */
#include <stdio.h>
#include <string.h>

#include "cli/cli_int.h"

#define HELP_COLUMNS 80
#define OPTION_COLUMN 28 /* where the texts of options begin */
#define USAGE_INDENT 7   /* the length of "usage: " */

/* Prints a word on the usage line, or on a new one. */
static void
print_usage_word(const char *word, int *column)
{
	if (*column + 1 + (int)strlen(word) > HELP_COLUMNS)
		*column = cli_printf("\n%*s", 2 * USAGE_INDENT, "") - 1;
	*column += cli_printf("%s%s", *column > 2 * USAGE_INDENT ? " " : "", word);
}

static void
print_mode_usage(const struct cli_command *c, const struct cli_mode *mode)
{
	int column = cli_printf("%*s%s %s", USAGE_INDENT, "", c->name, mode->name);
	char label[OPTIONS_LABEL], word[2 * OPTIONS_LABEL];
	unsigned modes = 0;

	for (const struct cli_option *o = c->options; o->kind != CLI_KIND_END; o++) {
		if (o->kind == CLI_KIND_HEAD)
			modes = o->modes;
		else if (modes != 0 && mode_is_in(c, mode, modes)) {
			options_label(o, true, label);
			snprintf(word, sizeof(word), "[%s%s%s]", label, o->arg ? " " : "",
			    o->arg ? o->arg : "");
			print_usage_word(word, &column);
		}
	}
	if (*mode->args != '\0')
		print_usage_word(mode->args, &column);
	cli_printf("\n");
}

static void
print_options(const struct cli_option *o)
{
	for (; o->kind != CLI_KIND_END; o++) {
		int column;

		if (o->kind == CLI_KIND_HEAD) {
			cli_printf("\n%s:\n", o->help);
			continue;
		}
		column = o->letter != 0 ? cli_printf("  -%c, --%s", o->letter, o->name)
		                        : cli_printf("      --%s", o->name);
		if (o->arg != NULL)
			column += cli_printf(" %s", o->arg);
		if (column + 2 > OPTION_COLUMN)
			column = cli_printf("\n") - 1;
		cli_printf("%*s%s\n", OPTION_COLUMN - column, "", o->help);
	}
}

void
help_print(const struct cli_command *c)
{
	cli_printf("%s\n%s\n\n", c->about[0], c->about[1]);
	for (size_t i = 0; i < 4 && c->usage[i] != NULL; i++)
		cli_printf("%s %s %s\n", i == 0 ? "usage:" : "      ", c->name, c->usage[i]);
	if (c->usage[0] == NULL) {
		cli_printf("usage: %s [option ...] command ...\n", c->name);
		for (const struct cli_mode *m = c->modes; m->name != NULL; m++)
			print_mode_usage(c, m);
		cli_printf("\nCommands:\n");
		for (const struct cli_mode *m = c->modes; m->name != NULL; m++)
			cli_printf("  %-17s %s\n", m->name, m->help);
	}
	print_options(c->options);
	print_options(cli_shared_options);
	cli_printf("\nExamples:\n");
	for (size_t i = 0; i < 3; i++)
		cli_printf("  %s\n", c->examples[i]);
	cli_printf("\nExit status: %s\nManual page: %s(1)\n", c->statuses, c->name);
}

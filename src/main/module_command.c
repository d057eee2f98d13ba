/* `neap module ...`: the words behind it. See module_command.h. */
#include "main/module_command.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "embedded/templates.h"
#include "main/scaffold.h"

enum { NAME_MAX_SIZE = 64 };

static const char help[] =
	"usage: neap module new NAME\n\n"
	"Makes the folder NAME with the beginnings of a C module: its source,\n"
	"CMakeLists.txt, Makefile, a test, a rockspec and a README. NAME is of\n"
	"lower-case letters, digits and _, and begins with a letter.\n\n"
	"Then:\n\n"
	"  cd NAME\n"
	"  cmake -S . -B build && cmake --build build && ctest --test-dir build\n";

/* Names of targets that CMake makes itself, or Make as we use it. */
static bool is_reserved(const char *name)
{
	static const char *const reserved[] = {
		"all",        "clean",         "depend",  "edit_cache",
		"help",       "install",       "package", "package_source",
		"preinstall", "rebuild_cache", "test",
	};

	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
		if (strcmp(name, reserved[i]) == 0)
			return true;
	}
	return false;
}

static bool is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return islower((unsigned char)name[0]) && name[n] == '\0';
}

/* What the user may have meant, or an empty text. */
static void mend(const char *name, char *mended)
{
	size_t n = 0;

	while (*name != '\0' && !isalpha((unsigned char)*name))
		name++;
	for (; *name != '\0' && n < NAME_MAX_SIZE; name++, n++)
		mended[n] = isalnum((unsigned char)*name)
				    ? (char)tolower((unsigned char)*name)
				    : '_';
	mended[n] = '\0';
}

static int check_name(const char *name)
{
	char mended[NAME_MAX_SIZE + 1];

	if (strlen(name) > NAME_MAX_SIZE) {
		diag_set(IllegalParams,
			 "module new: the name '%.16s...' has %zu bytes, "
			 "at most %d are allowed",
			 name, strlen(name), NAME_MAX_SIZE);
		return -1;
	}
	if (!is_name(name)) {
		mend(name, mended);
		diag_set(IllegalParams,
			 "module new: '%s' is no name of a module: lower-case "
			 "letters, digits and _, a letter first%s%s%s",
			 name, *mended != '\0' ? ", such as '" : "", mended,
			 *mended != '\0' ? "'" : "");
		return -1;
	}
	if (is_reserved(name)) {
		diag_set(IllegalParams,
			 "module new: '%s' is a target of CMake's own: take "
			 "another name, such as 'my_%s'",
			 name, name);
		return -1;
	}
	return 0;
}

static int make_new(const char *name)
{
	if (check_name(name) != 0)
		return MODULE_COMMAND_USAGE;
	if (scaffold_make(name, embedded_templates, stdout) != 0)
		return 1;
	printf("next:\n"
	       "  cd %s\n"
	       "  cmake -S . -B build && cmake --build build && "
	       "ctest --test-dir build\n",
	       name);
	return 0;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int module_command(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (is_help(argv[i])) {
			fputs(help, stdout);
			return 0;
		}
	}
	if (argc == 0) {
		diag_set(IllegalParams,
			 "module: what to do is missing: module new NAME");
	} else if (strcmp(argv[0], "new") != 0) {
		diag_set(IllegalParams,
			 "module: '%s' is not understood: module new NAME",
			 argv[0]);
	} else if (argc == 1) {
		diag_set(IllegalParams,
			 "module new: the name is missing: module new NAME");
	} else if (argc > 2) {
		diag_set(IllegalParams,
			 "module new: one name is wanted, '%s' is too much",
			 argv[2]);
	} else {
		return make_new(argv[1]);
	}
	return MODULE_COMMAND_USAGE;
}

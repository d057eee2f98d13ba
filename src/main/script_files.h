/* The files to load: of the command line, then of the configuration. */
#pragma once

#include "app/app.h"

struct config;
struct options;

struct script_files {
	struct app_file *files;
	const char *
		*args; /* of those of the configuration, one after another */
	int file_count;
	int arg_count;
};

/**
 * Put those of @a o and @a config (NULL: none) into @a script, in memory of
 * @a files. All of them must outlive the script. Returns 0, or -1 with diag set.
 */
int script_files_create(struct script_files *files, struct app_script *script,
			const struct options *o, const struct config *config);

void script_files_destroy(struct script_files *files);

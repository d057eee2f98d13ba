/* The Lua file that a console runs at its start. See init_file.h. */
#include "console/init_file.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/inject.h"

char *init_file_path(const char *setting)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	struct buf path = { 0 };
	int rc;

	if (setting != NULL)
		return *setting == '\0' ? NULL : mem_strdup(setting);
	/* A relative XDG path is invalid and to be ignored. */
	if (config != NULL && *config == '/')
		rc = buf_printf(&path, "%s/neap/init.lua", config);
	else if (home != NULL && *home == '/')
		rc = buf_printf(&path, "%s/.config/neap/init.lua", home);
	else
		return NULL;
	if (rc != 0 || buf_putc(&path, '\0') != 0 ||
	    access(path.data, F_OK) != 0) {
		buf_destroy(&path);
		return NULL;
	}
	return path.data;
}

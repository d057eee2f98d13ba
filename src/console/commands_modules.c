/* Admin commands of C modules. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "console/admin_commands.h"
#include "console/admin_rows.h"

/* What is loaded is copied at once, for it may change while it is told. */
struct copy {
	struct admin_rows *rows;
	bool failed;
};

static void add_row(struct copy *c, const struct admin_cell *cells)
{
	if (!admin_rows_add(c->rows, cells))
		c->failed = true;
}

static void add_module(const struct cmod_info *info, void *arg)
{
	uint64_t now = clock_ns(CLOCK_REALTIME);
	struct admin_cell cells[] = {
		admin_number((double)info->serial),
		admin_text(info->path),
		admin_text(info->unloaded ? "unloaded"
			   : info->cached ? "cached"
					  : "orphan"),
		admin_number(info->refs),
		admin_number(info->functions),
		admin_number((double)info->calls),
		admin_number((double)info->errors),
		admin_number((double)info->cpu_ns / 1e9),
		admin_number(now > info->since_ns
				     ? (double)(now - info->since_ns) / 1e9
				     : 0),
		admin_text(info->version),
		admin_text(info->file),
		admin_number((double)info->id.dev),
		admin_number((double)info->id.ino),
		admin_number((double)info->id.size),
		admin_number((double)info->id.mtime.tv_sec +
			     (double)info->id.mtime.tv_nsec / 1e9),
	};

	add_row(arg, cells);
}

static int parse_list(struct admin_run *run, cmod_list_f fn, unsigned columns)
{
	struct admin_rows *rows = admin_context(run);
	struct copy c = { .rows = rows };

	rows->columns = columns;
	rows->room = SIZE_MAX;
	cmod_list(fn, &c);
	if (!c.failed)
		return 0;
	buf_destroy(&rows->bytes);
	admin_fail(run, "not enough memory");
	return -1;
}

static enum admin_step next_of_copy(struct admin_run *run,
				    struct admin_cell *cells)
{
	return admin_rows_take(admin_context(run), cells) ? ADMIN_MORE
							  : ADMIN_DONE;
}

static void release_copy(struct admin_run *run)
{
	struct admin_rows *rows = admin_context(run);

	buf_destroy(&rows->bytes);
}

static const struct admin_column module_columns[] = {
	{ "id", ADMIN_NUMBER, 4, "1, 2, ..: of what was loaded", false,
	  ADMIN_LABEL },
	{ "path", ADMIN_TEXT, -24, "as it was loaded first", false,
	  ADMIN_LABEL },
	{ "state", ADMIN_TEXT, -8,
	  "cached: of the file that is there; orphan: of one that was replaced; "
	  "unloaded: nobody holds it, and it stays mapped",
	  true, ADMIN_FACT },
	{ "refs", ADMIN_NUMBER, 5,
	  "handles, functions and calls that hold it" },
	{ "functions", ADMIN_NUMBER, 9, "that are held" },
	{ "calls", ADMIN_COUNTER, 12, "of its functions" },
	{ "errors", ADMIN_COUNTER, 8, "of those calls" },
	{ "time", ADMIN_SECONDS, 10, "CPU time of those calls", false,
	  ADMIN_GROWS },
	{ "age", ADMIN_SECONDS, 12, "since it was loaded" },
	{ "version", ADMIN_TEXT, -10, "that it tells", false, ADMIN_FACT },
	{ "file", ADMIN_TEXT, -20, "its path in the file system", false,
	  ADMIN_FACT },
	{ "device", ADMIN_NUMBER, 0, "where the file was", false, ADMIN_FACT },
	{ "inode", ADMIN_NUMBER, 0, "of the file, when it was loaded", false,
	  ADMIN_FACT },
	{ "size", ADMIN_BYTES, 0, "of it", false, ADMIN_FACT },
	{ "mtime", ADMIN_SECONDS, 0, "of it, since 1970", false, ADMIN_FACT },
	{ .name = NULL },
};

static int parse_modules(struct admin_run *run)
{
	return parse_list(run, add_module, admin_column_count(module_columns));
}

static const struct admin_command show_modules = {
	.words = "show modules",
	.level = ADMIN_OPERATOR,
	.help = "the C modules that are loaded",
	.columns = module_columns,
	.context = ADMIN_CONTEXT(struct admin_rows),
	.parse = parse_modules,
	.next = next_of_copy,
	.release = release_copy,
};

struct function_copy {
	struct copy *copy;
	const struct cmod_info *module;
};

static void add_function(const struct cmod_func_info *info, void *arg)
{
	struct function_copy *f = arg;
	struct admin_cell cells[] = {
		admin_text(info->symbol),
		admin_number(info->refs),
		admin_number((double)info->calls),
		admin_number((double)info->errors),
		admin_number((double)info->cpu_ns / 1e9),
		admin_number((double)f->module->serial),
		admin_text(f->module->path),
	};

	add_row(f->copy, cells);
}

static void add_functions(const struct cmod_info *info, void *arg)
{
	struct function_copy f = { arg, info };

	cmod_list_functions(info, add_function, &f);
}

static const struct admin_column function_columns[] = {
	{ "name", ADMIN_TEXT, -24, "of the function", false, ADMIN_LABEL },
	{ "refs", ADMIN_NUMBER, 5, "who holds it" },
	{ "calls", ADMIN_COUNTER, 12, "of it" },
	{ "errors", ADMIN_COUNTER, 8, "of those" },
	{ "time", ADMIN_SECONDS, 10, "CPU time of them", false, ADMIN_GROWS },
	{ "id", ADMIN_NUMBER, 4, "of its module, as show modules has it", false,
	  ADMIN_LABEL },
	{ "module", ADMIN_TEXT, -24, "the path of that", false, ADMIN_LABEL },
	{ .name = NULL },
};

static int parse_functions(struct admin_run *run)
{
	return parse_list(run, add_functions,
			  admin_column_count(function_columns));
}

static const struct admin_command show_functions = {
	.words = "show functions",
	.level = ADMIN_OPERATOR,
	.help = "the C functions that somebody holds",
	.columns = function_columns,
	.context = ADMIN_CONTEXT(struct admin_rows),
	.parse = parse_functions,
	.next = next_of_copy,
	.release = release_copy,
};

const struct admin_command *const admin_commands_modules[] = {
	&show_modules,
	&show_functions,
	NULL,
};

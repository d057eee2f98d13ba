/* The files to load. See script_files.h. */
#include "main/script_files.h"

#include "base/diag.h"
#include "base/inject.h"
#include "config/config.h"
#include "main/options.h"

static const struct config_node *list_of(const struct config *config,
					 const char *name)
{
	return config == NULL ? NULL : config_find(config_root(config), name);
}

/* A file has a node, each argument another. */
static unsigned count_nodes(const struct config_node *list)
{
	unsigned n = 0;

	if (list == NULL)
		return 0;
	for (const struct config_node *c = list->first; c != NULL;
	     c = c->next) {
		const struct config_node *args = config_find(c, "args");

		n += 1 + (args == NULL ? 0 : args->count);
	}
	return n;
}

static void add_config_file(struct script_files *f, const struct config *config,
			    const struct config_node *node)
{
	const struct config_node *args = config_find(node, "args");
	const struct config_node *path = config_find(node, "file");
	struct app_file *file = &f->files[f->file_count++];

	file->path = path->text;
	file->config = config_path(config);
	file->line = path->place.line;
	file->column = path->place.column;
	file->args = f->args + f->arg_count;
	if (args == NULL)
		return;
	file->arg_count = (int)args->count;
	for (const struct config_node *a = args->first; a != NULL; a = a->next)
		f->args[f->arg_count++] = a->text;
}

static struct app_files add_files(struct script_files *f,
				  const struct options *o,
				  enum option_kind kind,
				  const struct config *config, const char *name)
{
	const struct config_node *list = list_of(config, name);
	int first = f->file_count;

	for (int i = 0; i < o->step_count; i++) {
		if (o->steps[i].kind == kind)
			f->files[f->file_count++].path = o->steps[i].text;
	}
	if (list != NULL) {
		for (const struct config_node *c = list->first; c != NULL;
		     c = c->next)
			add_config_file(f, config, c);
	}
	return (struct app_files){ f->files + first, f->file_count - first };
}

int script_files_create(struct script_files *f, struct app_script *script,
			const struct options *o, const struct config *config)
{
	size_t count = (size_t)o->step_count + 1 +
		       count_nodes(list_of(config, "load")) +
		       count_nodes(list_of(config, "load_per_thread"));

	*f = (struct script_files){
		.files = mem_zalloc(count * sizeof *f->files),
		.args = mem_zalloc(count * sizeof *f->args),
	};
	if (f->files == NULL || f->args == NULL) {
		script_files_destroy(f);
		diag_set_oom(count * sizeof *f->files, "the files to load");
		return -1;
	}
	script->load = add_files(f, o, OPTION_LOAD, config, "load");
	script->load_per_thread = add_files(f, o, OPTION_LOAD_PER_THREAD,
					    config, "load_per_thread");
	return 0;
}

void script_files_destroy(struct script_files *f)
{
	mem_free(f->files);
	mem_free(f->args);
	*f = (struct script_files){ 0 };
}

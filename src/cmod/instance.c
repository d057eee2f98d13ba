/* Opening and closing a library: the private copy, the loader, the ABI block. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/crash.h"
#include "cmod/module.h"
#include "cmod/path_watch.h"
#include "neap/module.h"

struct list cmod__kept = { &cmod__kept, &cmod__kept };

/* The loader's text names the copy; the user knows the file. */
static void fail_open(const struct cmod *m)
{
	const char *text = dlerror();
	const char *copy = m->image.path;

	if (text == NULL)
		text = "unknown error of the loader";
	if (strncmp(text, copy, strlen(copy)) == 0) {
		text += strlen(copy);
		if (strncmp(text, ": ", 2) == 0)
			text += 2;
	}
	diag_set_code(ClientError, ER_LOAD_MODULE, "cannot load '%s': %s",
		      m->file, text);
}

/* All symbols now: a missing one fails here, not in a call. Local: two modules'
 * globals never mix. */
static void *open_path(const struct image *img, const char *file,
		       int *ret_errno)
{
	void *dl = NULL;

	errno = 0;
	crash_enter_module("the loading or a constructor", file);
	if (img->folder != NULL || !inject("cmod.proc"))
		dl = dlopen(img->path, RTLD_NOW | RTLD_LOCAL);
	*ret_errno = errno;
	crash_leave_module();
	return dl;
}

/*
 * The loader's text does not always say that memory was short: without memory
 * for its name a library "cannot be opened: No such file".
 */
static void *open_copy(struct cmod *m)
{
	int err;
	void *dl = open_path(&m->image, m->file, &err);

	if (dl == NULL && image_is_hidden(&m->image)) {
		dlerror(); /* drop it */
		if (image_to_folder(&m->image, m->file) != 0)
			return NULL;
		dl = open_path(&m->image, m->file, &err);
	}
	if (dl == NULL && err == ENOMEM) {
		dlerror(); /* drop it */
		diag_set_oom(m->image.id.size, "loading a library");
	} else if (dl == NULL) {
		fail_open(m);
	}
	return dl;
}

static void close_library(struct cmod *m)
{
	crash_enter_module("a destructor", m->file);
	dlclose(m->dl);
	crash_leave_module();
}

static int open_library(struct cmod *m)
{
	m->dl = open_copy(m);
	image_opened(&m->image);
	if (m->dl == NULL)
		return -1;
	if (dlinfo(m->dl, RTLD_DI_LINKMAP, &m->map) != 0) {
		fail_open(m);
		goto fail;
	}
	if (cmod__check_abi(m) != 0)
		goto fail;
	return 0;
fail:
	close_library(m);
	return -1;
}

struct cmod *cmod__open(const char *path, const char *file, struct image *img)
{
	size_t file_size = strlen(file) + 1;
	struct cmod *m = mem_zalloc(sizeof *m + file_size);

	if (m == NULL) {
		diag_set_oom(sizeof *m + file_size, "a module");
		goto fail_module;
	}
	memcpy(m->file, file, file_size);
	list_init(&m->aliases);
	m->refs = 1;
	m->path = mem_strdup(path);
	if (m->path == NULL) {
		diag_set_oom(strlen(path) + 1, "a module's path");
		goto fail_path;
	}
	m->image = *img;
	if (open_library(m) == 0)
		return m;
	*img = m->image;
	mem_free(m->path);
fail_path:
	mem_free(m);
fail_module:
	image_destroy(img);
	return NULL;
}

/* Not every library that has unique symbols uses them. */
static bool is_mapped(const struct cmod *m)
{
	void *dl = dlopen(m->image.path, RTLD_NOW | RTLD_NOLOAD);

	if (dl == NULL)
		dlerror(); /* drop it */
	else
		dlclose(dl);
	return dl != NULL;
}

void cmod__close(struct cmod *m)
{
	bool kept;

	if (m->info != NULL && m->info->fini != NULL) {
		crash_enter_module("the fini function", m->file);
		m->info->fini();
		crash_leave_module();
	}
	close_library(m);
	if (cmod_live_count() == 0)
		path_watch_end();
	kept = m->image.facts.never_closes && is_mapped(m);
	image_destroy(&m->image);
	if (kept) {
		cmod__lock();
		list_add_tail(&cmod__kept, &m->all);
		cmod__unlock();
		return;
	}
	mem_free(m->path);
	mem_free(m);
}

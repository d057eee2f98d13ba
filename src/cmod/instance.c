/* Opening and closing a library: the private copy, the loader, the ABI block. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "cmod/call.h"
#include "cmod/module.h"
#include "cmod/outside.h"
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

struct opening {
	const char *path;
	void *dl;
	int err;
};

/* All symbols now: a missing one fails here, not in a call. Local: two modules'
 * globals never mix. */
static void open_opening(void *arg)
{
	struct opening *o = arg;

	errno = 0;
	o->dl = dlopen(o->path, RTLD_NOW | RTLD_LOCAL);
	o->err = errno;
}

static void *open_path(const struct image *img, const char *file,
		       int *ret_errno)
{
	struct opening o = { .path = img->path };

	if (img->folder != NULL || !inject("cmod.proc"))
		outside_loader("the loading or a constructor", file,
			       open_opening, &o);
	*ret_errno = o.err;
	return o.dl;
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

static void close_dl(void *arg)
{
	dlclose(arg);
}

static void close_library(struct cmod *m)
{
	outside_loader("a destructor", m->file, close_dl, m->dl);
}

/* Where C++ keeps the exceptions of this library, whose runtime may be its own. */
static exceptions_f find_exceptions(const struct cmod *m)
{
	void *address = NULL;
	exceptions_f place = NULL;

	if (m->image.facts.cxx)
		address = dlsym(m->dl, "__cxa_get_globals");
	/* An object pointer is no function pointer to ISO C; POSIX has it so. */
	if (address != NULL)
		memcpy(&place, &address, sizeof place);
	return place;
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
	m->exceptions = find_exceptions(m);
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

/* Not every library that has unique symbols, or objects of threads, uses them. */
static bool is_mapped(const struct cmod *m)
{
	void *dl = dlopen(m->image.path, RTLD_NOW | RTLD_NOLOAD);

	if (dl == NULL)
		dlerror(); /* drop it */
	else
		dlclose(dl);
	return dl != NULL;
}

/* There is nobody to give an error to. */
static void run_fini(const struct cmod *m)
{
	struct error *e;

	call_outside_begin();
	if (outside_fini(m->file, m->info->fini) == 0)
		return;
	e = call_outside_error();
	log_error("module '%s': its fini function has failed: %s", m->file,
		  e->message);
	error_unref(e);
}

void cmod__close(struct cmod *m)
{
	bool kept;

	if (m->info != NULL && m->info->fini != NULL)
		run_fini(m);
	close_library(m);
	if (cmod_live_count() == 0)
		path_watch_end();
	kept = (m->image.facts.never_closes || m->image.facts.thread_objects) &&
	       is_mapped(m);
	/* (What it says of itself goes should the thread end after all.) */
	if (kept && !m->image.facts.never_closes)
		m->info = NULL;
	m->image.facts.never_closes = kept;
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

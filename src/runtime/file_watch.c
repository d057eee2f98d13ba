/* Following a file by its path. See file_watch.h. */
#include "runtime/file_watch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/inject.h"
#include "runtime/loop.h"

enum {
	STAT_MS = 1000,
	OWN = 0,    /* the folder in the path */
	TARGET = 1, /* the folder of the file that a link leads to */
	FOLDERS,
};

struct file_watch {
	file_watch_f fn;
	void *arg;
	uv_fs_event_t folders[FOLDERS];
	uv_fs_poll_t poll;
	unsigned open; /* handles not closed yet */
	int error;     /* of the last try to have the kernel tell */
	char *target; /* the file itself, links followed; NULL: there is none */
	char path[];
};

static void on_event(uv_fs_event_t *handle, const char *name, int events,
		     int status);

/* Have the kernel tell of the folder of @a file. */
static int watch_folder(uv_fs_event_t *handle, const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t size = slash == file ? 1 : (size_t)(slash - file);
	char *folder = mem_alloc(size + 1);
	int rc;

	if (folder == NULL)
		return UV_ENOMEM;
	memcpy(folder, file, size);
	folder[size] = '\0';
	rc = inject("fs_event")
		     ? UV_ENOSPC
		     : uv_fs_event_start(handle, on_event, folder, 0);
	mem_free(folder);
	/* One that is not there may come, and stat sees it then. */
	return rc == UV_ENOENT || rc == UV_ENOTDIR ? 0 : rc;
}

static bool in_one_folder(const char *a, const char *b)
{
	size_t n = (size_t)(strrchr(a, '/') - a);

	return n == (size_t)(strrchr(b, '/') - b) && memcmp(a, b, n) == 0;
}

/* Again from the start: the path may lead elsewhere than before. */
static void arm(struct file_watch *w)
{
	for (int i = 0; i < FOLDERS; i++)
		uv_fs_event_stop(&w->folders[i]);
	free(w->target); /* realpath()'s own */
	w->target = realpath(w->path, NULL);
	w->error = watch_folder(&w->folders[OWN], w->path);
	if (w->error == 0 && w->target != NULL &&
	    !in_one_folder(w->target, w->path))
		w->error = watch_folder(&w->folders[TARGET], w->target);
}

static bool is_name_of(const char *name, const char *file)
{
	return file != NULL && strcmp(name, strrchr(file, '/') + 1) == 0;
}

/* Of the folder itself the kernel's event bears the folder's name. */
static bool is_folder(const char *name, const char *file)
{
	const char *end = file == NULL ? NULL : strrchr(file, '/');
	size_t n = strlen(name);

	return end != NULL && (size_t)(end - file) > n &&
	       end[-1 - (long)n] == '/' && memcmp(end - n, name, n) == 0;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events,
		     int status)
{
	struct file_watch *w = handle->data;

	if (status == 0 && name != NULL && !is_name_of(name, w->path) &&
	    !is_name_of(name, w->target) && !is_folder(name, w->path) &&
	    !is_folder(name, w->target))
		return; /* somebody else's */
	if (events & UV_RENAME)
		arm(w);
	w->fn(w->arg);
}

/* Whatever the kernel has told of it or not. */
static void on_poll(uv_fs_poll_t *handle, int status, const uv_stat_t *before,
		    const uv_stat_t *now)
{
	struct file_watch *w = handle->data;

	(void)status, (void)before, (void)now;
	arm(w);
	w->fn(w->arg);
}

struct file_watch *file_watch_open(struct loop *loop, const char *path,
				   file_watch_f fn, void *arg)
{
	struct file_watch *w = mem_zalloc(sizeof *w + strlen(path) + 1);

	if (w == NULL)
		return NULL;
	strcpy(w->path, path);
	w->fn = fn;
	w->arg = arg;
	for (int i = 0; i < FOLDERS; i++) {
		uv_fs_event_init(&loop->uv, &w->folders[i]);
		w->folders[i].data = w;
	}
	uv_fs_poll_init(&loop->uv, &w->poll);
	w->poll.data = w;
	w->open = FOLDERS + 1;
	if (uv_fs_poll_start(&w->poll, on_poll, w->path, STAT_MS) != 0) {
		file_watch_close(w);
		return NULL;
	}
	arm(w);
	return w;
}

int file_watch_error(const struct file_watch *w)
{
	return w->error;
}

static void on_closed(uv_handle_t *handle)
{
	struct file_watch *w = handle->data;

	if (--w->open > 0)
		return;
	free(w->target);
	mem_free(w);
}

void file_watch_close(struct file_watch *w)
{
	for (int i = 0; i < FOLDERS; i++)
		uv_close((uv_handle_t *)&w->folders[i], on_closed);
	uv_close((uv_handle_t *)&w->poll, on_closed);
}

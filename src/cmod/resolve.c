/*
 * Finding a library. A path with a slash is a place in the file system; else
 * it is a module's name, whose dots are folders, and it is looked for
 *
 *	1. in the working directory,
 *	2. in rocks/lib/lua/5.1 of the working directory and of its parents,
 *	3. in each template of package.cpath that names a shared library.
 *
 * The first place that has something other than a folder is taken, also when
 * that turns out to be unreadable: a search that goes on past a broken file
 * would load another library than the one meant.
 */
#include "cmod/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/plain_path.h"

#define SUFFIX ".so"
#define ROCKS  "/rocks/lib/lua/5.1/"

enum { TRIED_MAX = 1024 };

/* A search under way. */
struct search {
	const char *path;    /* as the user wrote it */
	char name[PATH_MAX]; /* its dots made slashes */
	struct resolved *ret;
	bool first;  /* no place was looked at yet */
	bool folder; /* a folder had the name */
	char folder_name[PATH_MAX];
	char tried[TRIED_MAX]; /* for the message */
	size_t tried_size;
};

static bool ends_in_suffix(const char *s, size_t size)
{
	const size_t n = sizeof SUFFIX - 1;

	return size >= n && memcmp(s + size - n, SUFFIX, n) == 0;
}

static void note_tried(struct search *s)
{
	size_t room = sizeof s->tried - s->tried_size;
	int n = snprintf(s->tried + s->tried_size, room, "\n\t%s",
			 s->ret->found);

	/* Cut at a whole line. */
	if (n < 0 || (size_t)n >= room)
		s->tried[s->tried_size] = '\0';
	else
		s->tried_size += (size_t)n;
}

static int fail_stat(const struct search *s, int err)
{
	char target[PATH_MAX];
	ssize_t n = readlink(s->ret->found, target, sizeof target - 1);

	if (err == ENOENT && n > 0) {
		target[n] = '\0';
		diag_set_system(err,
				"cannot load module '%s': %s is a link "
				"to %s",
				s->path, s->ret->found, target);
		return -1;
	}
	diag_set_system(err, "cannot load module '%s': %s", s->path,
			s->ret->found);
	return -1;
}

/* Look at s->ret->found. Returns 1 when it is the one, 0 to go on, or -1 with
 * diag set. */
static int look(struct search *s)
{
	struct stat st;

	s->ret->first = s->first;
	s->first = false;
	s->ret->fd = plain_path_open(s->ret->found, s->ret->file,
				     sizeof s->ret->file);
	if (s->ret->fd >= 0)
		return 1;
	if (lstat(s->ret->found, &st) != 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return fail_stat(s, errno);
		note_tried(s);
		return 0;
	}
	if (stat(s->ret->found, &st) != 0)
		return fail_stat(s, errno);
	if (S_ISDIR(st.st_mode)) {
		if (!s->folder)
			strcpy(s->folder_name, s->ret->found);
		s->folder = true;
		return 0;
	}
	if (realpath(s->ret->found, s->ret->file) == NULL)
		return fail_stat(s, errno);
	return 1;
}

static int fail_long(const struct search *s)
{
	diag_set_system(ENAMETOOLONG, "cannot load module '%.64s...'", s->path);
	return -1;
}

/* Look at @a head, the name and the ending. */
static int look_below(struct search *s, const char *head)
{
	int n = snprintf(s->ret->found, sizeof s->ret->found, "%s%s" SUFFIX,
			 head, s->name);

	return (size_t)n < sizeof s->ret->found ? look(s) : fail_long(s);
}

/* Look at a template of @a size bytes with the name in place of each `?`. */
static int look_at_template(struct search *s, const char *template, size_t size)
{
	char *to = s->ret->found;
	const char *end = to + sizeof s->ret->found;
	size_t name_size = strlen(s->name);

	for (size_t i = 0; i < size; i++) {
		const char *from = &template[i];
		size_t n = 1;

		if (template[i] == '?') {
			from = s->name;
			n = name_size;
		}
		if (n >= (size_t)(end - to))
			return fail_long(s);
		memcpy(to, from, n);
		to += n;
	}
	*to = '\0';
	return look(s);
}

static int look_in_rocks(struct search *s)
{
	char dir[PATH_MAX];
	char *slash;
	int rc = 0;

	if (getcwd(dir, sizeof dir) == NULL)
		return 0; /* removed: there is nothing in it */
	for (;;) {
		char head[PATH_MAX + sizeof ROCKS];

		sprintf(head, "%s" ROCKS, strcmp(dir, "/") == 0 ? "" : dir);
		rc = look_below(s, head);
		slash = strrchr(dir, '/');
		if (rc != 0 || slash == NULL || dir[1] == '\0')
			return rc;
		slash[slash == dir ? 1 : 0] = '\0';
	}
}

static int look_in_templates(struct search *s, const char *cpath)
{
	int rc = 0;

	while (rc == 0 && cpath != NULL) {
		size_t size = strcspn(cpath, ";");

		if (memchr(cpath, '?', size) != NULL &&
		    ends_in_suffix(cpath, size))
			rc = look_at_template(s, cpath, size);
		cpath = cpath[size] != '\0' ? cpath + size + 1 : NULL;
	}
	return rc;
}

static int look_everywhere(struct search *s, const char *cpath)
{
	int rc = look_below(s, "");

	if (rc == 0 && strchr(s->path, '/') == NULL)
		rc = look_in_rocks(s);
	if (rc == 0 && strchr(s->path, '/') == NULL)
		rc = look_in_templates(s, cpath);
	return rc;
}

static int check_path(const char *path)
{
	size_t size = strlen(path);

	if (size == 0) {
		diag_set(IllegalParams, "cmod.load: the path is empty");
		return -1;
	}
	if (ends_in_suffix(path, size)) {
		diag_set_code(ClientError, ER_NO_SUCH_MODULE,
			      "no module '%s': leave off the '" SUFFIX
			      "', load('%.*s')",
			      path, (int)(size - sizeof SUFFIX + 1), path);
		return -1;
	}
	if (size + sizeof SUFFIX > PATH_MAX) {
		diag_set_system(ENAMETOOLONG, "cannot load module '%.64s...'",
				path);
		return -1;
	}
	/* `.x` would be /x.so, that is another place altogether. */
	if (strchr(path, '/') == NULL &&
	    (path[0] == '.' || path[size - 1] == '.' ||
	     strstr(path, "..") != NULL)) {
		diag_set_code(ClientError, ER_NO_SUCH_MODULE,
			      "no module '%s': part of its name is empty; "
			      "a path has a slash",
			      path);
		return -1;
	}
	return 0;
}

static void dots_to_slashes(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.')
			s[i] = '/';
	}
}

static void make_name(struct search *s)
{
	strcpy(s->name, s->path);
	if (strchr(s->path, '/') == NULL)
		dots_to_slashes(s->name, strlen(s->name));
}

int resolve_open(const char *path, const char *cpath, struct resolved *ret)
{
	struct search s;
	int rc;

	if (check_path(path) != 0)
		return -1;
	s.path = path;
	s.ret = ret;
	ret->fd = -1;
	s.first = true;
	s.folder = false;
	s.tried[0] = '\0';
	s.tried_size = 0;
	make_name(&s);
	rc = look_everywhere(&s, cpath);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (s.folder)
		diag_set_system(EISDIR, "cannot load module '%s': %s", path,
				s.folder_name);
	else
		diag_set_code(ClientError, ER_NO_SUCH_MODULE,
			      "no module '%s', tried:%s", path, s.tried);
	return -1;
}

int resolve(const char *path, const char *cpath, struct resolved *ret)
{
	int rc = resolve_open(path, cpath, ret);

	if (rc == 0 && ret->fd >= 0)
		close(ret->fd);
	ret->fd = -1;
	return rc;
}

char *resolve_first(const char *path, size_t n, char *buf, size_t size)
{
	if (n + sizeof SUFFIX > size)
		return NULL;
	memcpy(buf, path, n);
	memcpy(buf + n, SUFFIX, sizeof SUFFIX);
	if (memchr(path, '/', n) == NULL)
		dots_to_slashes(buf, n);
	return buf;
}

int resolve_absolute(const struct resolved *r, char **ret_path, char **ret_file)
{
	char head[PATH_MAX + 1] = "";
	char *path, *file;
	size_t size;

	if (r->found[0] != '/') {
		if (getcwd(head, PATH_MAX) == NULL) {
			diag_set_system(errno, "cannot tell where '%s' is",
					r->found);
			return -1;
		}
		if (head[1] != '\0')
			strcat(head, "/");
	}
	size = strlen(head) + strlen(r->found) + 1;
	path = mem_alloc(size);
	file = mem_alloc(size);
	if (path == NULL || file == NULL) {
		mem_free(path);
		mem_free(file);
		diag_set_oom(size, "a path");
		return -1;
	}
	snprintf(file, size, "%s%s", head, r->found);
	strcpy(path, file);
	path[strlen(path) - strlen(SUFFIX)] = '\0';
	*ret_path = path;
	*ret_file = file;
	return 0;
}

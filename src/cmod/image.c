/*
 * Making the copy: in sealed memory, or, where the kernel has none, in a
 * private folder that is gone as soon as the library is open.
 */
#include "cmod/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/inject.h"
#include "cmod/library_file.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

enum { MEMFD_NAME_MAX = 249 }; /* the kernel's limit */

/* One for each copy ever made, so that no path is given to dlopen() twice. */
static atomic_uint serial;

/* "/proc/", "/fd", two numbers, and two bytes for each bit of a serial. */
enum { MEMORY_PATH_MAX = 96 + 2 * 8 * sizeof serial };

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash == NULL ? file : slash + 1;
}

static int write_copy(int fd, const struct library_file *lf)
{
	return inject("cmod.write") ? -ENOSPC
				    : file_write_all(fd, lf->data, lf->size);
}

/* Newer kernels want to be told that the memory will be executed, older ones
 * refuse to hear of it. */
static int open_memory(const char *name)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (inject("cmod.memfd")) {
		errno = ENOSYS;
		return -1;
	}
	fd = memfd_create(name, flags | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	return fd;
}

/*
 * The loader knows a library by the path it was opened with before anything
 * else, and descriptors are used again: the path must tell serials apart. Its
 * folder is spelled with one part for each bit of the serial, "/." or "/".
 * It names the process by its id for the sake of debuggers.
 */
static int spell_path(struct image *img)
{
	unsigned bits = atomic_fetch_add(&serial, 1) + 1;
	char *p = mem_alloc(MEMORY_PATH_MAX);

	if (p == NULL) {
		diag_set_oom(MEMORY_PATH_MAX, "a library's copy");
		return -1;
	}
	img->path = p;
	p += sprintf(p, "/proc/%d/fd", (int)getpid());
	for (; bits != 0; bits >>= 1) {
		*p++ = '/';
		if ((bits & 1) != 0)
			*p++ = '.';
	}
	sprintf(p, "/%d", img->fd);
	return 0;
}

/* Returns 0, 1 when there is no such memory here, or -1 with diag set. */
static int copy_to_memory(struct image *img, const struct library_file *lf,
			  const char *name)
{
	size_t name_size = strnlen(name, MEMFD_NAME_MAX - 1);
	char label[MEMFD_NAME_MAX];
	int rc;

	memcpy(label, name, name_size);
	label[name_size] = '\0';
	img->fd = open_memory(label);
	if (img->fd < 0)
		return 1;
	rc = write_copy(img->fd, lf);
	if (rc != 0) {
		diag_set_system(rc, "cannot copy library '%s'", name);
		goto fail;
	}
	if (fcntl(img->fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
	    0) {
		diag_set_system(errno, "cannot seal the copy of '%s'", name);
		goto fail;
	}
	if (spell_path(img) == 0)
		return 0;
fail:
	close(img->fd);
	img->fd = -1;
	return -1;
}

static int write_file(const char *path, const struct library_file *lf)
{
	int fd, rc;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
	if (fd < 0)
		return -errno;
	rc = write_copy(fd, lf);
	close(fd);
	if (rc != 0)
		unlink(path);
	return rc;
}

static int copy_to_folder(struct image *img, const struct library_file *lf,
			  const char *name)
{
	const char *tmp = getenv("TMPDIR");
	char folder[PATH_MAX], path[PATH_MAX];
	char *new_path, *new_folder;
	int n, rc;

	if (tmp == NULL || tmp[0] == '\0')
		tmp = "/tmp";
	n = snprintf(folder, sizeof folder, "%s/neap-%d-%u-XXXXXX", tmp,
		     (int)getpid(), atomic_fetch_add(&serial, 1) + 1);
	if (n >= (int)sizeof folder || mkdtemp(folder) == NULL) {
		diag_set_system(n >= (int)sizeof folder ? ENAMETOOLONG : errno,
				"cannot make a folder for the copy of '%s' "
				"in '%s'",
				name, tmp);
		return -1;
	}
	n = snprintf(path, sizeof path, "%s/%s", folder, name);
	rc = n >= (int)sizeof path ? -ENAMETOOLONG : write_file(path, lf);
	if (rc != 0) {
		diag_set_system(rc, "cannot copy library '%s' to '%s'", name,
				folder);
		goto fail_copy;
	}
	new_path = mem_strdup(path);
	new_folder = mem_strdup(folder);
	if (new_path == NULL || new_folder == NULL) {
		diag_set_oom(sizeof path, "a library's copy");
		goto fail_memory;
	}
	mem_free(img->path);
	img->path = new_path;
	img->folder = new_folder;
	return 0;
fail_memory:
	mem_free(new_path);
	mem_free(new_folder);
	unlink(path);
fail_copy:
	rmdir(folder);
	return -1;
}

static int check(const struct library_file *lf, struct elf_facts *ret_facts,
		 const char *file)
{
	char reason[256];
	int rc =
		elf_check(lf->data, lf->size, ret_facts, reason, sizeof reason);

	if (rc == UV_ENOMEM)
		diag_set_oom(lf->size / 64, "the check of a library");
	else if (rc != 0)
		diag_set_code(ClientError, ER_LOAD_MODULE,
			      "cannot load '%s': not a sound shared library: "
			      "%s",
			      file, reason);
	return rc == 0 ? 0 : -1;
}

/* The loader would seek beside the copy: see elf_origin.c. */
static int set_origin(struct library_file *lf, const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t size = slash == file ? 1 : (size_t)(slash - file);
	char folder[PATH_MAX];
	int rc = UV_ENAMETOOLONG;

	if (size < sizeof folder) {
		memcpy(folder, file, size);
		folder[size] = '\0';
		rc = elf_set_origin(&lf->data, &lf->size, folder);
	}
	if (rc == UV_ENOMEM)
		diag_set_oom(lf->size, "a library's copy");
	else if (rc != 0)
		diag_set_code(ClientError, ER_LOAD_MODULE,
			      "cannot load '%s': it looks for dependencies by "
			      "$ORIGIN, and its folder's name %s: give an "
			      "absolute -rpath or load it from elsewhere",
			      file,
			      rc == UV_EINVAL ? "has a ':' or '$'"
					      : "is too long for that");
	return rc == 0 ? 0 : -1;
}

int image_create(struct image *img, const char *file, int fd)
{
	struct library_file lf;
	int rc = -1;

	image_forget(img);
	if (library_file_read(&lf, file, fd) != 0)
		return -1;
	img->id = lf.id;
	img->hash = library_file_hash(&lf);
	if (check(&lf, &img->facts, file) == 0 &&
	    (!img->facts.origin || set_origin(&lf, file) == 0)) {
		rc = copy_to_memory(img, &lf, base_name(file));
		if (rc == 1)
			rc = copy_to_folder(img, &lf, base_name(file));
	}
	library_file_free(&lf);
	return rc;
}

int image_adopt(struct image *img, int fd)
{
	/* (Whether it has a block was not told: it is looked for.) */
	*img = (struct image){
		.facts = { .abi_block = true },
		.fd = fd,
	};
	if (spell_path(img) == 0)
		return 0;
	close(fd);
	return -1;
}

bool image_is_hidden(const struct image *img)
{
	return img->fd >= 0 && img->folder == NULL &&
	       (inject("cmod.proc") || access(img->path, R_OK) != 0);
}

/* (It is sealed: mapped, it cannot shrink.) */
int image_to_folder(struct image *img, const char *file)
{
	struct library_file lf;
	struct stat st;
	int rc;

	if (fstat(img->fd, &st) != 0) {
		diag_set_system(errno, "cannot read the copy of '%s'", file);
		return -1;
	}
	lf.size = (size_t)st.st_size;
	lf.data = mmap(NULL, lf.size, PROT_READ, MAP_PRIVATE, img->fd, 0);
	if (lf.data == MAP_FAILED) {
		diag_set_system(errno, "cannot read the copy of '%s'", file);
		return -1;
	}
	rc = copy_to_folder(img, &lf, base_name(file));
	munmap(lf.data, lf.size);
	return rc;
}

void image_forget(struct image *img)
{
	img->fd = -1;
	img->folder = img->path = NULL;
}

void image_opened(struct image *img)
{
	if (img->folder == NULL)
		return;
	unlink(img->path);
	rmdir(img->folder);
	mem_free(img->folder);
	img->folder = NULL;
}

void image_destroy(struct image *img)
{
	image_opened(img);
	if (img->fd >= 0)
		close(img->fd);
	mem_free(img->path);
	image_forget(img);
}

int image_hash_file(const char *file, uint64_t *ret_hash)
{
	struct library_file lf;

	if (library_file_read(&lf, file, -1) != 0)
		return -1;
	*ret_hash = library_file_hash(&lf);
	library_file_free(&lf);
	return 0;
}

/*
 * Making the copy: in sealed memory, or, where the kernel has none, in a
 * private folder that is gone as soon as the library is open.
 */
#include "cmod/image.h"

#include <errno.h>
#include <fcntl.h>
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
static void spell_path(struct image *img)
{
	unsigned bits = atomic_fetch_add(&serial, 1) + 1;
	char *p = img->path;

	p += sprintf(p, "/proc/%d/fd", (int)getpid());
	for (; bits != 0; bits >>= 1)
		p += sprintf(p, (bits & 1) != 0 ? "/." : "/");
	sprintf(p, "/%d", img->fd);
}

/* Returns 0, 1 when there is no such memory here, or -1 with diag set. */
static int copy_to_memory(struct image *img, const struct library_file *lf,
			  const char *name)
{
	int rc;

	img->fd = open_memory(name);
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
	spell_path(img);
	if (access(img->path, R_OK) == 0)
		return 0;
	rc = 1; /* no /proc */
fail:
	close(img->fd);
	img->fd = -1;
	return rc;
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
	char folder[PATH_MAX];
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
	n = snprintf(img->path, sizeof img->path, "%s/%s", folder, name);
	rc = n >= (int)sizeof img->path ? -ENAMETOOLONG
					: write_file(img->path, lf);
	if (rc != 0) {
		diag_set_system(rc, "cannot copy library '%s' to '%s'", name,
				folder);
		goto fail;
	}
	img->folder = mem_strdup(folder);
	if (img->folder != NULL)
		return 0;
	diag_set_oom(strlen(folder) + 1, "a library's copy");
	unlink(img->path);
fail:
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

int image_create(struct image *img, const char *file, const char *name)
{
	char label[MEMFD_NAME_MAX];
	struct library_file lf;
	int rc = -1;

	img->fd = -1;
	img->folder = NULL;
	snprintf(label, sizeof label, "%s", name);
	if (library_file_read(&lf, file) != 0)
		return -1;
	img->id = lf.id;
	img->hash = library_file_hash(&lf);
	if (check(&lf, &img->facts, file) == 0) {
		rc = copy_to_memory(img, &lf, label);
		if (rc == 1)
			rc = copy_to_folder(img, &lf, label);
	}
	library_file_free(&lf);
	return rc;
}

void image_adopt(struct image *img, int fd, bool origin)
{
	memset(&img->id, 0, sizeof img->id);
	img->hash = 0;
	img->facts = (struct elf_facts){ .origin = origin };
	img->fd = fd;
	img->folder = NULL;
	spell_path(img);
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
	img->fd = -1;
}

int image_hash_file(const char *file, uint64_t *ret_hash)
{
	struct library_file lf;

	if (library_file_read(&lf, file) != 0)
		return -1;
	*ret_hash = library_file_hash(&lf);
	library_file_free(&lf);
	return 0;
}

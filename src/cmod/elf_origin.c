/*
 * $ORIGIN in the names of dependencies and of the folders to seek them in. The
 * loader takes it for the folder of what it opens, and that is a copy, somewhere
 * else each time. So the copy names the folder of the user's file instead.
 *
 * Longer names need room: one more segment, appended to the file. As its header
 * needs room, too, the program headers move there.
 *
 *	| the file | zeros up to a page | program headers | names |
 *
 * The dynamic table refers to names by their distance from its strings, which
 * may be more than the size of these.
 */
#include <ctype.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/inject.h"
#include "cmod/elf_file.h"

enum { NAMES_MAX = 64 * 1024 };

/* The size of what the loader replaces at @a s; 0: it does not. */
static size_t origin_size(const char *s)
{
	size_t curly = s[0] == '$' && s[1] == '{';
	const char *name = s + 1 + curly, *end = name + 6;

	if (s[0] != '$' || strncmp(name, "ORIGIN", 6) != 0)
		return 0;
	if (curly)
		return *end == '}' ? 9 : 0;
	return isalnum((unsigned char)*end) || *end == '_' ? 0 : 7;
}

bool elf__has_origin(const Elf64_Dyn *d, const char *strings)
{
	const char *s;

	if (d->d_tag != DT_NEEDED && d->d_tag != DT_RPATH &&
	    d->d_tag != DT_RUNPATH)
		return false;
	for (s = strings + d->d_un.d_val; *s != '\0'; s++) {
		if (origin_size(s) != 0)
			return true;
	}
	return false;
}

/* Append @a s with @a folder in it. */
static int add_name(struct buf *names, const char *s, const char *folder)
{
	int rc = 0;

	while (rc == 0 && *s != '\0') {
		size_t size = origin_size(s);

		rc = size == 0 ? buf_append(names, s, 1)
			       : buf_append(names, folder, strlen(folder));
		s += size == 0 ? 1 : size;
		if (names->size > NAMES_MAX)
			return UV_ENAMETOOLONG;
	}
	return rc == 0 ? buf_append(names, "", 1) : rc;
}

/* Parts of the file and of what is appended. Offsets, as the file moves. */
struct layout {
	uint64_t dynamic; /* the table */
	uint64_t strings; /* as an address */
	uint64_t offset;  /* of the new segment in the file */
	uint64_t address; /* and in memory */
	uint64_t headers_size;
};

static struct layout lay_out(const char *data, size_t size)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)data;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(data + h->e_phoff);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = 0;
	struct layout l = { .offset = elf__round_up(size, page) };
	const Elf64_Dyn *d;

	for (unsigned i = 0; i < h->e_phnum; i++) {
		if (p[i].p_type == PT_LOAD) /* they ascend */
			end = p[i].p_vaddr + p[i].p_memsz;
		else if (p[i].p_type == PT_DYNAMIC)
			l.dynamic = p[i].p_offset;
	}
	l.address = elf__round_up(end, page);
	l.headers_size = (h->e_phnum + 1ull) * sizeof *p;
	d = (const Elf64_Dyn *)(data + l.dynamic);
	for (; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_STRTAB)
			l.strings = d->d_un.d_ptr;
	}
	return l;
}

/* The bytes of the string table: the check has found them in one segment. */
static const char *strings_of(const char *data, uint64_t address)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)data;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(data + h->e_phoff);

	while (p->p_type != PT_LOAD || address < p->p_vaddr ||
	       address - p->p_vaddr >= p->p_filesz)
		p++;
	return data + p->p_offset + (address - p->p_vaddr);
}

static int rename_all(char *data, const struct layout *l, struct buf *names,
		      const char *folder)
{
	const char *strings = strings_of(data, l->strings);
	Elf64_Dyn *d = (Elf64_Dyn *)(data + l->dynamic);

	for (; d->d_tag != DT_NULL; d++) {
		const char *old = strings + d->d_un.d_val;
		int rc;

		if (!elf__has_origin(d, strings))
			continue;
		d->d_un.d_val =
			l->address + l->headers_size + names->size - l->strings;
		rc = add_name(names, old, folder);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void append_segment(char *data, const struct layout *l,
			   const struct buf *names)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)data;
	Elf64_Phdr *p = (Elf64_Phdr *)(data + l->offset);
	const uint64_t size = l->headers_size + names->size;

	memcpy(p, data + h->e_phoff, l->headers_size - sizeof *p);
	memcpy(data + l->offset + l->headers_size, names->data, names->size);
	for (unsigned i = 0; i < h->e_phnum; i++) {
		if (p[i].p_type != PT_PHDR)
			continue;
		p[i].p_offset = l->offset;
		p[i].p_vaddr = p[i].p_paddr = l->address;
		p[i].p_filesz = p[i].p_memsz = l->headers_size;
	}
	p[h->e_phnum++] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R,
		.p_offset = l->offset,
		.p_vaddr = l->address,
		.p_paddr = l->address,
		.p_filesz = size,
		.p_memsz = size,
		.p_align = (uint64_t)sysconf(_SC_PAGESIZE),
	};
	h->e_phoff = l->offset;
}

int elf_set_origin(char **data, size_t *size, const char *folder)
{
	const struct layout l = lay_out(*data, *size);
	struct buf names = { NULL };
	size_t new_size;
	char *grown;
	int rc;

	if (strpbrk(folder, ":$") != NULL)
		return UV_EINVAL;
	rc = rename_all(*data, &l, &names, folder);
	if (rc != 0)
		goto out;
	if (names.size == 0)
		goto out;
	rc = UV_ENOMEM;
	new_size = l.offset + l.headers_size + names.size;
	grown = mem_realloc(*data, new_size);
	if (grown == NULL)
		goto out;
	memset(grown + *size, 0, l.offset - *size);
	append_segment(grown, &l, &names);
	*data = grown;
	*size = new_size;
	rc = 0;
out:
	buf_destroy(&names);
	return rc;
}

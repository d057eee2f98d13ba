/* The ELF check: its order, the file header, and what the parts share. */
#include "cmod/elf_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "cmod/elf_file.h"

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#define MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#define MACHINE_NAME "aarch64"
#else
#error "the ELF check does not know this machine"
#endif

int elf__bad(struct elf_file *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->reason, f->reason_size, fmt, ap);
	va_end(ap);
	return UV_EINVAL;
}

/* The segment that holds [address, address + size), counting the file's part
 * of each segment or all of it. */
static const Elf64_Phdr *find(const struct elf_file *f, uint64_t address,
			      uint64_t size, unsigned flags, bool memory)
{
	for (unsigned i = 0; i < f->load_count; i++) {
		const Elf64_Phdr *p = f->loads[i];
		uint64_t held = memory ? p->p_memsz : p->p_filesz;

		if ((p->p_flags & flags) == flags && address >= p->p_vaddr &&
		    size <= held && address - p->p_vaddr <= held - size)
			return p;
	}
	return NULL;
}

const void *elf__at(const struct elf_file *f, uint64_t address, uint64_t size,
		    unsigned flags)
{
	const Elf64_Phdr *p = find(f, address, size, flags, false);

	if (p == NULL)
		return NULL;
	return f->data + p->p_offset + (address - p->p_vaddr);
}

bool elf__in_memory(const struct elf_file *f, uint64_t address, uint64_t size,
		    unsigned flags)
{
	return find(f, address, size, flags, true) != NULL;
}

static int check_identity(struct elf_file *f)
{
	const Elf64_Ehdr *h = f->header;
	const unsigned char *id = h->e_ident;

	if (memcmp(id, ELFMAG, SELFMAG) != 0)
		return elf__bad(f, "e_ident: not an ELF file");
	if (id[EI_CLASS] != ELFCLASS64)
		return elf__bad(f, "EI_CLASS: %s, wanted 64-bit",
				id[EI_CLASS] == ELFCLASS32 ? "32-bit"
							   : "unknown");
	if (id[EI_DATA] != ELFDATA2LSB)
		return elf__bad(f, "EI_DATA: not little-endian");
	if (id[EI_VERSION] != EV_CURRENT || h->e_version != EV_CURRENT)
		return elf__bad(f, "e_version: not 1");
	if (id[EI_OSABI] != ELFOSABI_NONE && id[EI_OSABI] != ELFOSABI_GNU)
		return elf__bad(f, "EI_OSABI: %u is not Linux", id[EI_OSABI]);
	if (h->e_machine != MACHINE)
		return elf__bad(f, "e_machine: %u, wanted " MACHINE_NAME,
				h->e_machine);
	if (h->e_type != ET_DYN)
		return elf__bad(f, "e_type: %u is not a shared library%s",
				h->e_type,
				h->e_type == ET_REL ? " (an object file: link "
						      "it with -shared)"
						    : "");
	return 0;
}

static int check_header(struct elf_file *f)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)f->data;
	uint64_t size;

	if (f->size < sizeof *h)
		return elf__bad(f, "the file ends inside the ELF header");
	f->header = h;
	if (check_identity(f) != 0)
		return -1;
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return elf__bad(f, "e_phentsize: %u", h->e_phentsize);
	if (h->e_phnum == 0 || h->e_phnum > ELF_SEGMENTS_MAX)
		return elf__bad(f, "e_phnum: %u program headers", h->e_phnum);
	size = h->e_phnum * sizeof(Elf64_Phdr);
	if (h->e_phoff % 8 != 0 || h->e_phoff > f->size ||
	    size > f->size - h->e_phoff)
		return elf__bad(f, "e_phoff: the program headers lie beyond "
				   "the end of the file");
	f->segments = (const Elf64_Phdr *)(f->data + h->e_phoff);
	f->segment_count = h->e_phnum;
	return 0;
}

int elf_check(const void *data, size_t size, struct elf_facts *ret_facts,
	      char *reason, size_t reason_size)
{
	static int (*const parts[])(struct elf_file * f) = {
		check_header,       elf__check_segments,    elf__check_sections,
		elf__check_dynamic, elf__check_symbols,     elf__check_versions,
		elf__check_names,   elf__check_relocations,
	};
	struct elf_file f = {
		.data = data,
		.size = size,
		.reason = reason,
		.reason_size = reason_size,
	};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		int rc = parts[i](&f);

		if (rc != 0)
			return rc;
	}
	*ret_facts = f.facts;
	return 0;
}

/*
 * The ELF check: section headers. The loader does not read them, but they say
 * what the linker meant, and they are written last: a file that is not whole
 * shows it here first. Stripped files without sections pass.
 */
#include <string.h>

#include "cmod/elf_file.h"

static int check_table(struct elf_file *f)
{
	const Elf64_Ehdr *h = f->header;
	uint64_t size = h->e_shnum * sizeof(Elf64_Shdr);

	if (h->e_shentsize != sizeof(Elf64_Shdr))
		return elf__bad(f, "e_shentsize: %u", h->e_shentsize);
	if (h->e_shoff % 8 != 0 || h->e_shoff > f->size ||
	    size > f->size - h->e_shoff)
		return elf__bad(f, "e_shoff: the section headers lie beyond "
				   "the end of the file: truncated");
	if (h->e_shstrndx >= h->e_shnum)
		return elf__bad(f, "e_shstrndx: section %u of %u",
				h->e_shstrndx, h->e_shnum);
	f->sections = (const Elf64_Shdr *)(f->data + h->e_shoff);
	f->section_count = h->e_shnum;
	if (f->sections[h->e_shstrndx].sh_type != SHT_STRTAB)
		return elf__bad(f, "e_shstrndx: no names of sections: a "
				   "half-written file");
	return 0;
}

static bool is_tls_bss(const Elf64_Shdr *s)
{
	return (s->sh_flags & SHF_TLS) != 0 && s->sh_type == SHT_NOBITS;
}

/* RELRO makes its range read-only: .bss must not be in it. */
static bool is_bss_in_relro(const struct elf_file *f, const Elf64_Shdr *s)
{
	const Elf64_Shdr *names = &f->sections[f->header->e_shstrndx];
	uint64_t relro_end = f->relro_end & ~(uint64_t)(ELF_PAGE - 1);

	return f->relro_end != 0 && s->sh_type == SHT_NOBITS &&
	       (s->sh_flags & SHF_WRITE) != 0 && !is_tls_bss(s) &&
	       s->sh_addr >= f->relro_start && s->sh_addr < relro_end &&
	       names->sh_size >= 5 && s->sh_name <= names->sh_size - 5 &&
	       memcmp(f->data + names->sh_offset + s->sh_name, ".bss", 5) == 0;
}

/* A writer that fills its file out of order leaves holes of zeros; a page of
 * code is never all zero. */
static int check_holes(struct elf_file *f, unsigned i)
{
	static const char zeros[ELF_PAGE];
	const Elf64_Shdr *s = &f->sections[i];
	uint64_t skip = -s->sh_offset & (ELF_PAGE - 1);
	const char *page = f->data + s->sh_offset + skip;

	if (skip > s->sh_size)
		return 0;
	for (uint64_t left = s->sh_size - skip; left >= ELF_PAGE;
	     left -= ELF_PAGE, page += ELF_PAGE) {
		if (memcmp(page, zeros, ELF_PAGE) == 0)
			return elf__bad(f,
					"section %u: a page of code is all "
					"zero: a half-written file",
					i);
	}
	return 0;
}

/* Variables that begin as zero: not with what follows in the file, because the
 * segment has more bytes of it than it should. */
static int check_bss(struct elf_file *f, unsigned i)
{
	const Elf64_Shdr *s = &f->sections[i];
	const Elf64_Phdr *p = f->segments, *end = p + f->segment_count;

	for (; p < end; p++) {
		uint64_t at = s->sh_addr - p->p_vaddr;
		uint64_t stop = s->sh_size > p->p_filesz - at ? p->p_filesz
							      : at + s->sh_size;

		if (p->p_type != PT_LOAD || at >= p->p_filesz)
			continue;
		for (; at < stop; at++) {
			if (f->data[p->p_offset + at] != 0)
				return elf__bad(f,
						"section %u: what has no "
						"bytes in the file is not "
						"zero",
						i);
		}
	}
	return 0;
}

/* A section that is in memory lies in a segment of its kind. */
static int check_allocated(struct elf_file *f, unsigned i)
{
	const Elf64_Shdr *s = &f->sections[i];
	unsigned flags = 0;

	if ((s->sh_flags & SHF_WRITE) != 0)
		flags |= PF_W;
	if ((s->sh_flags & SHF_EXECINSTR) != 0)
		flags |= PF_X;
	if (!elf__in_memory(f, s->sh_addr, s->sh_size, flags))
		return elf__bad(f,
				"section %u: sh_addr is not in a segment "
				"of its kind",
				i);
	if (s->sh_type != SHT_NOBITS &&
	    !elf__is_offset(f, elf__at(f, s->sh_addr, s->sh_size, 0),
			    s->sh_offset))
		return elf__bad(f,
				"section %u: sh_addr and sh_offset "
				"disagree",
				i);
	if (s->sh_type == SHT_DYNAMIC && (s->sh_addr != f->dynamic->p_vaddr ||
					  s->sh_size != f->dynamic->p_memsz))
		return elf__bad(f,
				"section %u: is not the dynamic table "
				"that PT_DYNAMIC names",
				i);
	if (is_bss_in_relro(f, s))
		return elf__bad(f, "PT_GNU_RELRO: covers .bss");
	if (s->sh_type == SHT_NOBITS)
		return check_bss(f, i);
	if (s->sh_type == SHT_DYNSYM)
		f->section_symbols = s->sh_size / sizeof(Elf64_Sym);
	if (s->sh_type == SHT_PROGBITS && (s->sh_flags & SHF_EXECINSTR) != 0)
		return check_holes(f, i);
	return 0;
}

static int check_section(struct elf_file *f, unsigned i)
{
	const Elf64_Shdr *s = &f->sections[i];

	if (s->sh_type == SHT_NULL)
		return elf__bad(f, "section %u: empty: a half-written file", i);
	if (s->sh_type != SHT_NOBITS &&
	    (s->sh_offset > f->size || s->sh_size > f->size - s->sh_offset))
		return elf__bad(f,
				"section %u: sh_offset and sh_size reach "
				"beyond the end of the file: truncated",
				i);
	return 0;
}

/*
 * The block that each thread gets is as large as PT_TLS says, and begins with the
 * bytes it names: code writes past one that is too small, and takes for done what
 * is not zero.
 */
static int check_tls(struct elf_file *f)
{
	uint64_t begin = UINT64_MAX, file_end = 0, end = 0, align = 1;
	const Elf64_Phdr *p = f->tls;

	for (unsigned i = 1; i < f->section_count; i++) {
		const Elf64_Shdr *s = &f->sections[i];
		uint64_t s_end = s->sh_addr + s->sh_size;

		if ((s->sh_flags & SHF_TLS) == 0)
			continue;
		begin = s->sh_addr < begin ? s->sh_addr : begin;
		if (s->sh_type != SHT_NOBITS && s_end > file_end)
			file_end = s_end;
		end = s_end > end ? s_end : end;
		align = s->sh_addralign > align ? s->sh_addralign : align;
	}
	if (p == NULL && end == 0)
		return 0;
	if (file_end == 0)
		file_end = begin;
	if (p == NULL || p->p_vaddr != begin ||
	    p->p_filesz != file_end - begin || p->p_memsz < end - begin ||
	    p->p_memsz - (end - begin) >= p->p_align || p->p_align < align)
		return elf__bad(f, "PT_TLS: is not what the thread-local "
				   "sections are");
	return 0;
}

int elf__check_sections(struct elf_file *f)
{
	if (f->header->e_shoff == 0 && f->header->e_shnum == 0)
		return 0;
	if (check_table(f) != 0)
		return -1;
	for (unsigned i = 1; i < f->section_count; i++) {
		if (check_section(f, i) != 0)
			return -1;
	}
	for (unsigned i = 1; i < f->section_count; i++) {
		const Elf64_Shdr *s = &f->sections[i];

		if ((s->sh_flags & SHF_ALLOC) == 0 || s->sh_size == 0 ||
		    is_tls_bss(s))
			continue;
		if (check_allocated(f, i) != 0)
			return -1;
	}
	return check_tls(f);
}

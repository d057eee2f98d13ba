/*
 * The ELF check: program headers. What PT_LOAD maps comes first, as everything
 * else is looked up in it; then the headers the loader acts upon.
 */
#include "cmod/elf_file.h"

enum { ALIGN_MAX = 1 << 30, TLS_ALIGN_MAX = 1 << 16 };

#define ADDRESS_MAX (UINT64_C(1) << 40)
#define SEGMENT_MAX (UINT64_C(1) << 32)

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static int check_load_place(struct elf_file *f, unsigned i)
{
	const Elf64_Phdr *p = &f->segments[i];

	if (p->p_offset > f->size || p->p_filesz > f->size - p->p_offset)
		return elf__bad(f,
				"segment %u: p_offset and p_filesz reach "
				"beyond the end of the file: truncated",
				i);
	if (p->p_filesz > p->p_memsz)
		return elf__bad(f, "segment %u: p_filesz exceeds p_memsz", i);
	if (p->p_vaddr > ADDRESS_MAX || p->p_memsz > SEGMENT_MAX)
		return elf__bad(f,
				"segment %u: p_vaddr or p_memsz is out of "
				"range",
				i);
	if (p->p_align < ELF_PAGE || p->p_align > ALIGN_MAX ||
	    !is_power_of_two(p->p_align) ||
	    (p->p_vaddr - p->p_offset) % p->p_align != 0)
		return elf__bad(f, "segment %u: p_align", i);
	return 0;
}

static int check_load_flags(struct elf_file *f, unsigned i)
{
	const Elf64_Phdr *p = &f->segments[i];

	if ((p->p_flags & PF_R) == 0 ||
	    (p->p_flags & ~(unsigned)(PF_R | PF_W | PF_X)) != 0)
		return elf__bad(f, "segment %u: p_flags %#x", i, p->p_flags);
	if ((p->p_flags & PF_W) != 0 && (p->p_flags & PF_X) != 0)
		return elf__bad(f,
				"segment %u: p_flags: writable and "
				"executable",
				i);
	if (p->p_memsz > p->p_filesz && (p->p_flags & PF_W) == 0)
		return elf__bad(f,
				"segment %u: p_memsz asks for zeros in "
				"read-only memory",
				i);
	return 0;
}

/* Segments ascend and no two share a page; the first begins the image. */
static int check_loads(struct elf_file *f)
{
	bool first = true;

	for (unsigned i = 0; i < f->segment_count; i++) {
		const Elf64_Phdr *p = &f->segments[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (check_load_place(f, i) != 0 || check_load_flags(f, i) != 0)
			return -1;
		/* It may be linked for any address: its tables then lie
		 * there, too, and what is looked up in it tells. */
		if (!first &&
		    p->p_vaddr / ELF_PAGE <
			    elf__round_up(f->end, ELF_PAGE) / ELF_PAGE)
			return elf__bad(f,
					"segment %u: p_vaddr is out of "
					"order",
					i);
		f->end = p->p_vaddr + p->p_memsz;
		f->loads[f->load_count++] = p;
		first = false;
	}
	return first ? elf__bad(f, "PT_LOAD: nothing to load") : 0;
}

static int check_dynamic_header(struct elf_file *f, const Elf64_Phdr *p)
{
	if (f->dynamic != NULL)
		return elf__bad(f, "PT_DYNAMIC: there are two");
	f->dynamic = p;
	return 0;
}

static int check_tls(struct elf_file *f, const Elf64_Phdr *p)
{
	if (f->tls != NULL)
		return elf__bad(f, "PT_TLS: there are two");
	if (p->p_filesz > p->p_memsz || p->p_memsz > ELF_TLS_MAX ||
	    !is_power_of_two(p->p_align) || p->p_align > TLS_ALIGN_MAX)
		return elf__bad(f, "PT_TLS: size or alignment");
	if (p->p_filesz != 0 &&
	    elf__at(f, p->p_vaddr, p->p_filesz, PF_R) == NULL)
		return elf__bad(f, "PT_TLS: its image is not in a segment");
	f->tls = p;
	f->tls_size = p->p_memsz;
	return 0;
}

/* The loader hands this table to everyone who asks for program headers, so
 * a C++ throw years later would read what it points to. */
static int check_phdr(struct elf_file *f, const Elf64_Phdr *p)
{
	size_t size = f->segment_count * sizeof *f->segments;

	if (elf__at(f, p->p_vaddr, size, PF_R) != (const void *)f->segments)
		return elf__bad(f, "PT_PHDR: not the program headers");
	return 0;
}

static int check_relro(struct elf_file *f, const Elf64_Phdr *p)
{
	uint64_t end = p->p_vaddr + p->p_memsz;

	if (f->relro_end != 0)
		return elf__bad(f, "PT_GNU_RELRO: there are two");
	for (unsigned i = 0; i < f->segment_count; i++) {
		const Elf64_Phdr *q = &f->segments[i];

		if (q->p_type != PT_LOAD || (q->p_flags & PF_W) == 0 ||
		    p->p_vaddr < q->p_vaddr ||
		    p->p_vaddr >= q->p_vaddr + q->p_memsz)
			continue;
		if (p->p_memsz > SEGMENT_MAX ||
		    end > elf__round_up(q->p_vaddr + q->p_memsz, ELF_PAGE))
			break;
		f->relro_start = p->p_vaddr;
		f->relro_end = end;
		return 0;
	}
	return elf__bad(f, "PT_GNU_RELRO: not in a writable segment");
}

static int check_notes(struct elf_file *f, unsigned i, const char *notes)
{
	const Elf64_Phdr *p = &f->segments[i];
	uint64_t align = p->p_align < 8 ? 4 : 8;
	uint64_t desc, end;

	for (uint64_t at = 0; at < p->p_memsz; at += end) {
		const Elf64_Nhdr *n = (const Elf64_Nhdr *)(notes + at);

		if (p->p_memsz - at < sizeof *n)
			return elf__bad(f, "segment %u: a note is cut", i);
		desc = elf__round_up(sizeof *n + (uint64_t)n->n_namesz, align);
		if (desc + n->n_descsz > p->p_memsz - at)
			return elf__bad(f, "segment %u: size of a note", i);
		end = elf__round_up(desc + n->n_descsz, align);
	}
	return 0;
}

/* Notes, properties and the index of unwind tables: read at their address, so
 * their file offset must mean the same place. */
static int check_mapped(struct elf_file *f, unsigned i)
{
	const Elf64_Phdr *p = &f->segments[i];
	const char *bytes = elf__at(f, p->p_vaddr, p->p_memsz, PF_R);

	if (!elf__is_offset(f, bytes, p->p_offset) || p->p_vaddr % 4 != 0)
		return elf__bad(f,
				"segment %u (type %#x): not where its "
				"p_vaddr says",
				i, p->p_type);
	if (p->p_type == PT_GNU_EH_FRAME)
		return 0;
	return check_notes(f, i, bytes);
}

static int check_other(struct elf_file *f, unsigned i)
{
	const Elf64_Phdr *p = &f->segments[i];

	switch (p->p_type) {
	case PT_LOAD:
	case PT_NULL:
	case PT_INTERP:
		return 0;
	case PT_DYNAMIC:
		return check_dynamic_header(f, p);
	case PT_TLS:
		return check_tls(f, p);
	case PT_PHDR:
		return check_phdr(f, p);
	case PT_GNU_RELRO:
		return check_relro(f, p);
	case PT_GNU_STACK:
		if ((p->p_flags & PF_X) != 0)
			return elf__bad(f, "PT_GNU_STACK: asks for an "
					   "executable stack");
		return 0;
	case PT_NOTE:
	case PT_GNU_PROPERTY:
	case PT_GNU_EH_FRAME:
		return check_mapped(f, i);
	default:
		if (p->p_type < PT_LOOS)
			return elf__bad(f, "segment %u: p_type %#x", i,
					p->p_type);
		return 0;
	}
}

int elf__check_segments(struct elf_file *f)
{
	if (check_loads(f) != 0)
		return -1;
	for (unsigned i = 0; i < f->segment_count; i++) {
		if (check_other(f, i) != 0)
			return -1;
	}
	if (f->dynamic == NULL)
		return elf__bad(f, "PT_DYNAMIC: there is none");
	return 0;
}

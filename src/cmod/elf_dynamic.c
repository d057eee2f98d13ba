/*
 * The ELF check: the dynamic table, its strings, and the extent of the tables
 * of relocations that it names.
 */
#include <string.h>

#include "cmod/elf_file.h"

/* Tags outside the array of the common ones. */
static int note_tag(struct elf_file *f, const Elf64_Dyn *d)
{
	switch (d->d_tag) {
	case DT_GNU_HASH:
		f->gnu_hash = d->d_un.d_ptr;
		return 0;
	case DT_VERSYM:
		f->versym = d->d_un.d_ptr;
		return 0;
	case DT_VERNEED:
		f->verneed = d->d_un.d_ptr;
		return 0;
	case DT_VERNEEDNUM:
		f->verneed_count = d->d_un.d_val;
		return 0;
	case DT_VERDEF:
		f->verdef = d->d_un.d_ptr;
		return 0;
	case DT_VERDEFNUM:
		f->verdef_count = d->d_un.d_val;
		return 0;
	case DT_RELACOUNT:
		f->relative_count = d->d_un.d_val;
		return 0;
	case DT_TLSDESC_PLT:
	case DT_TLSDESC_GOT:
	case DT_GNU_PRELINKED:
	case DT_CHECKSUM:
		return 0;
	case DT_FLAGS_1:
		if ((d->d_un.d_val & DF_1_PIE) != 0)
			return elf__bad(f, "DT_FLAGS_1: a program, not a "
					   "shared library");
		if ((d->d_un.d_val & DF_1_NOOPEN) != 0)
			return elf__bad(f, "DT_FLAGS_1: not to be opened by "
					   "dlopen()");
		f->facts.never_closes |= (d->d_un.d_val & DF_1_NODELETE) != 0;
		return 0;
	case DT_AUXILIARY:
	case DT_FILTER:
		return elf__bad(f, "DT_FILTER: filter libraries cannot be "
				   "loaded");
	default:
		break;
	}
	if (d->d_tag < 0 || (d->d_tag >= ELF_TAGS && d->d_tag < DT_LOOS) ||
	    d->d_tag >= DT_VALRNGLO)
		return elf__bad(f, "dynamic table: tag %#lx", (long)d->d_tag);
	/* Given twice, the last one counts: as the loader has it. */
	if (d->d_tag < ELF_TAGS) {
		f->value[d->d_tag] = d->d_un.d_val;
		f->has[d->d_tag] = true;
	}
	return 0;
}

static int read_tags(struct elf_file *f)
{
	const Elf64_Phdr *p = f->dynamic;
	uint64_t count = p->p_filesz / sizeof(Elf64_Dyn);

	/* Writable, as the loader relocates the table where it lies. */
	f->tags = elf__at(f, p->p_vaddr, p->p_filesz, PF_W);
	if (!elf__is_offset(f, f->tags, p->p_offset) || p->p_vaddr % 8 != 0 ||
	    p->p_memsz != p->p_filesz)
		return elf__bad(f, "PT_DYNAMIC: not in a writable segment");
	for (; f->tag_count < count; f->tag_count++) {
		const Elf64_Dyn *d = &f->tags[f->tag_count];

		if (d->d_tag == DT_NULL)
			return 0;
		if (note_tag(f, d) != 0)
			return -1;
	}
	return elf__bad(f, "dynamic table: DT_NULL is missing");
}

/* Bounds of names are those of the string table, which ends in a NUL. */
static int check_strings(struct elf_file *f)
{
	const char *s;

	f->strings_size = f->value[DT_STRSZ];
	s = elf__at(f, f->value[DT_STRTAB], f->strings_size, PF_R);
	if (!f->has[DT_STRTAB] || s == NULL || f->strings_size == 0)
		return elf__bad(f, "DT_STRTAB: not in a segment");
	if (s[0] != '\0' || s[f->strings_size - 1] != '\0')
		return elf__bad(f, "DT_STRTAB: does not begin and end with "
				   "an empty string");
	f->strings = s;
	for (uint64_t i = 0; i < f->tag_count; i++) {
		const Elf64_Dyn *d = &f->tags[i];

		if (d->d_tag != DT_NEEDED && d->d_tag != DT_SONAME &&
		    d->d_tag != DT_RPATH && d->d_tag != DT_RUNPATH)
			continue;
		if (d->d_un.d_val >= f->strings_size)
			return elf__bad(f,
					"dynamic table: the name of entry "
					"%lu is out of DT_STRTAB",
					(unsigned long)i);
		f->facts.origin |= elf__has_origin(d, s);
	}
	return 0;
}

/* A table without its size, or a size without its table: a tag was lost, and
 * the loader would leave out the whole table. */
static int check_pairs(struct elf_file *f)
{
	static const struct {
		int tag, with;
		const char *name;
	} pairs[] = {
		{ DT_RELA, DT_RELASZ, "DT_RELA" },
		{ DT_RELA, DT_RELAENT, "DT_RELAENT" },
		{ DT_JMPREL, DT_PLTRELSZ, "DT_JMPREL" },
		{ DT_JMPREL, DT_PLTREL, "DT_PLTREL" },
		{ DT_RELR, DT_RELRSZ, "DT_RELR" },
		{ DT_INIT_ARRAY, DT_INIT_ARRAYSZ, "DT_INIT_ARRAY" },
		{ DT_FINI_ARRAY, DT_FINI_ARRAYSZ, "DT_FINI_ARRAY" },
	};

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		if (f->has[pairs[i].tag] != f->has[pairs[i].with])
			return elf__bad(f,
					"%s: the table or its size is "
					"missing",
					pairs[i].name);
	}
	if ((f->verneed == 0) != (f->verneed_count == 0) ||
	    (f->verdef == 0) != (f->verdef_count == 0))
		return elf__bad(f, "DT_VERNEED or DT_VERDEF: the records or "
				   "their number is missing");
	return 0;
}

static int find_table(struct elf_file *f, int tag, int size_tag,
		      const char *name, struct elf_table *ret_table)
{
	uint64_t address = f->value[tag], size = f->value[size_tag];

	if (!f->has[tag])
		return 0;
	if (size % sizeof(Elf64_Rela) != 0)
		return elf__bad(f, "%s: its size is not a number of entries",
				name);
	ret_table->data = elf__at(f, address, size, PF_R);
	ret_table->count = size / sizeof(Elf64_Rela);
	if (ret_table->data == NULL || address % 8 != 0)
		return elf__bad(f, "%s: not in a segment", name);
	return 0;
}

static int check_relocation_tables(struct elf_file *f)
{
	if (f->has[DT_TEXTREL] || (f->value[DT_FLAGS] & DF_TEXTREL) != 0)
		return elf__bad(f, "DT_TEXTREL: code that must be changed "
				   "when loaded (compile with -fPIC)");
	if (f->has[DT_REL])
		return elf__bad(f, "DT_REL: wanted DT_RELA");
	if (f->has[DT_RELA] && f->value[DT_RELAENT] != sizeof(Elf64_Rela))
		return elf__bad(f, "DT_RELAENT: %lu",
				(unsigned long)f->value[DT_RELAENT]);
	if (f->has[DT_JMPREL] && f->value[DT_PLTREL] != DT_RELA)
		return elf__bad(f, "DT_PLTREL: wanted DT_RELA");
	if (find_table(f, DT_RELA, DT_RELASZ, "DT_RELA", &f->rela) != 0 ||
	    find_table(f, DT_JMPREL, DT_PLTRELSZ, "DT_JMPREL", &f->jmprel) != 0)
		return -1;
	if (f->relative_count > f->rela.count)
		return elf__bad(f, "DT_RELACOUNT: more than there are");
	return 0;
}

int elf__check_dynamic(struct elf_file *f)
{
	if (read_tags(f) != 0 || check_strings(f) != 0 || check_pairs(f) != 0)
		return -1;
	return check_relocation_tables(f);
}

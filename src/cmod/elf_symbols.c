/*
 * The ELF check: hash tables and symbols. The number of symbols stands nowhere
 * in the dynamic table: it comes from the section of the symbols, else from
 * the hash tables, else from the relocations that use them.
 */
#include <string.h>

#include "cmod/elf_file.h"

enum { GUESSED_SYMBOLS_MAX = 1 << 20 };

/* The old table: buckets, and chains through the symbols' numbers. */
static int check_sysv_hash(struct elf_file *f)
{
	uint64_t address = f->value[DT_HASH];
	const uint32_t *h;
	uint64_t steps = 0;

	if (!f->has[DT_HASH])
		return 0;
	h = elf__at(f, address, 8, PF_R);
	if (h == NULL || address % 4 != 0 || h[0] == 0 ||
	    elf__at(f, address, 8 + 4 * ((uint64_t)h[0] + h[1]), PF_R) == NULL)
		return elf__bad(f, "DT_HASH: not in a segment");
	f->symbol_count = h[1];
	for (uint32_t bucket = 0; bucket < h[0]; bucket++) {
		for (uint32_t s = h[2 + bucket]; s != 0; s = h[2 + h[0] + s]) {
			/* Chains share no symbol: more steps are a cycle. */
			if (s >= h[1] || ++steps > h[1])
				return elf__bad(f,
						"DT_HASH: chain of bucket "
						"%u",
						bucket);
		}
	}
	return 0;
}

/* One chain of the GNU table, from symbol @a s to the one that ends it. */
static int follow_chain(struct elf_file *f, uint64_t chains, uint32_t first,
			uint32_t s, uint64_t *count, uint64_t *steps)
{
	for (;; s++) {
		const uint32_t *hash =
			elf__at(f, chains + 4 * (uint64_t)(s - first), 4, PF_R);

		/* Chains share no symbol: more steps are chains that do. */
		if (hash == NULL || s == UINT32_MAX || ++*steps > f->size / 4)
			return elf__bad(f, "DT_GNU_HASH: a chain does not "
					   "end");
		if (s + (uint64_t)1 > *count)
			*count = s + (uint64_t)1;
		if ((*hash & 1) != 0)
			return 0;
	}
}

static int check_gnu_hash(struct elf_file *f)
{
	const uint32_t *h, *buckets;
	uint64_t fixed, count, steps = 0;

	if (f->gnu_hash == 0)
		return f->has[DT_HASH]
			       ? 0
			       : elf__bad(f, "DT_GNU_HASH: no hash table");
	h = elf__at(f, f->gnu_hash, 16, PF_R);
	/* Buckets, first symbol, words of the filter, shift of the filter. */
	if (h == NULL || f->gnu_hash % 8 != 0 || h[0] == 0 || h[2] == 0 ||
	    (h[2] & (h[2] - 1)) != 0 || h[3] > 31)
		return elf__bad(f, "DT_GNU_HASH: header");
	fixed = 16 + 8 * (uint64_t)h[2] + 4 * (uint64_t)h[0];
	if (elf__at(f, f->gnu_hash, fixed, PF_R) == NULL)
		return elf__bad(f, "DT_GNU_HASH: not in a segment");
	buckets = h + 4 + 2 * (uint64_t)h[2];
	count = h[1];
	for (uint32_t i = 0; i < h[0]; i++) {
		if (buckets[i] == 0)
			continue;
		if (buckets[i] < h[1])
			return elf__bad(f, "DT_GNU_HASH: bucket %u", i);
		if (follow_chain(f, f->gnu_hash + fixed, h[1], buckets[i],
				 &count, &steps) != 0)
			return -1;
	}
	if (f->has[DT_HASH] && f->symbol_count < count)
		return elf__bad(f, "DT_HASH and DT_GNU_HASH disagree");
	if (f->symbol_count < count)
		f->symbol_count = count;
	return 0;
}

static uint64_t used_symbols(const struct elf_table *t, uint64_t count)
{
	const Elf64_Rela *r = (const Elf64_Rela *)t->data;

	for (uint64_t i = 0; i < t->count; i++) {
		uint64_t s = ELF64_R_SYM(r[i].r_info);

		if (s >= count && s < GUESSED_SYMBOLS_MAX)
			count = s + 1;
	}
	return count;
}

static int find_symbols(struct elf_file *f)
{
	uint64_t address = f->value[DT_SYMTAB];

	if (f->section_symbols != 0) {
		if (f->symbol_count > f->section_symbols)
			return elf__bad(f, "DT_GNU_HASH: has more symbols "
					   "than the section .dynsym");
		f->symbol_count = f->section_symbols;
	} else if (!f->has[DT_HASH]) {
		f->symbol_count = used_symbols(&f->rela, f->symbol_count);
		f->symbol_count = used_symbols(&f->jmprel, f->symbol_count);
	}
	if (!f->has[DT_SYMTAB] || f->value[DT_SYMENT] != sizeof(Elf64_Sym) ||
	    address % 8 != 0)
		return elf__bad(f, "DT_SYMTAB: no symbol table");
	f->symbols =
		elf__at(f, address, f->symbol_count * sizeof(Elf64_Sym), PF_R);
	if (f->symbols == NULL)
		return elf__bad(f, "DT_SYMTAB: not in a segment");
	return 0;
}

static int check_undefined(struct elf_file *f, uint64_t i)
{
	const Elf64_Sym *s = &f->symbols[i];

	/* Local or hidden, it would be bound to the first byte of the image
	 * rather than looked up. */
	if (ELF64_ST_BIND(s->st_info) == STB_LOCAL || s->st_other != 0 ||
	    s->st_value != 0)
		return elf__bad(f,
				"symbol %lu: undefined, but bound to this "
				"library",
				(unsigned long)i);
	return 0;
}

/* (Neither the section nor its extent is held against the symbol: linkers put
 * _end outside, and rewriters of binaries leave numbers of sections behind.) */
static int check_defined(struct elf_file *f, uint64_t i)
{
	const Elf64_Sym *s = &f->symbols[i];
	unsigned type = ELF64_ST_TYPE(s->st_info);

	if (s->st_value > (type == STT_TLS ? f->tls_size : f->end))
		return elf__bad(f,
				"symbol %lu: st_value lies beyond the "
				"image",
				(unsigned long)i);
	if ((type == STT_FUNC || type == STT_GNU_IFUNC) &&
	    !elf__is_code(f, s->st_value))
		return elf__bad(f, "symbol %lu: a function that is not code",
				(unsigned long)i);
	return 0;
}

/* What code of C++ asks of its runtime. */
static void note_cxx(struct elf_file *f, const char *name)
{
	if (name[0] != '_' || name[1] != '_')
		return;
	if (strcmp(name, "__gxx_personality_v0") == 0)
		f->facts.cxx = true;
	else if (strcmp(name, "__cxa_thread_atexit") == 0 ||
		 strcmp(name, "__cxa_thread_atexit_impl") == 0)
		f->facts.thread_objects = true;
}

static int check_symbol(struct elf_file *f, uint64_t i)
{
	const Elf64_Sym *s = &f->symbols[i];
	unsigned type = ELF64_ST_TYPE(s->st_info);
	unsigned bind = ELF64_ST_BIND(s->st_info);

	if (s->st_name >= f->strings_size)
		return elf__bad(f, "symbol %lu: st_name is out of DT_STRTAB",
				(unsigned long)i);
	if ((bind > STB_WEAK && bind != STB_GNU_UNIQUE) ||
	    (type > STT_TLS && type != STT_GNU_IFUNC) || s->st_other > 3)
		return elf__bad(f, "symbol %lu: st_info or st_other",
				(unsigned long)i);
	note_cxx(f, f->strings + s->st_name);
	if (s->st_shndx == SHN_UNDEF)
		return check_undefined(f, i);
	if (bind == STB_GNU_UNIQUE)
		f->facts.never_closes = true;
	if (strcmp(f->strings + s->st_name, "neap_module_info") == 0)
		f->facts.abi_block = true;
	if (s->st_shndx == SHN_ABS)
		return 0;
	return check_defined(f, i);
}

int elf__check_symbols(struct elf_file *f)
{
	f->symbol_count = 1; /* the empty one */
	if (check_sysv_hash(f) != 0 || check_gnu_hash(f) != 0 ||
	    find_symbols(f) != 0)
		return -1;
	for (uint64_t i = 1; i < f->symbol_count; i++) {
		if (check_symbol(f, i) != 0)
			return -1;
	}
	return 0;
}

/*
 * The ELF check: relocations, and the arrays of initialisers and finalisers
 * they fill. Each place is written at most once, in a part of a writable
 * segment that the file has; each entry of those arrays must be made by a
 * relocation that yields code.
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/inject.h"
#include "cmod/elf_file.h"

/* What the loader calls: an array of pointers to code. */
struct hooks {
	const char *name;
	uint64_t address;
	uint64_t count;
	uint64_t made; /* entries that a relocation makes */
};

struct relocs {
	struct elf_file *f;
	unsigned char *seen; /* a bit for each 8 bytes of the file */
	struct hooks init;
	struct hooks fini;
};

#define BAD(r, i, text) \
	elf__bad((r)->f, "relocation %lu: " text, (unsigned long)(i))

static bool is_marked(const struct relocs *r, uint64_t cell)
{
	return (r->seen[cell / 8] >> (cell % 8) & 1) != 0;
}

/* A damaged offset mostly lands on a neighbour's place. */
static int mark_place(struct relocs *r, uint64_t i, uint64_t address,
		      uint64_t size)
{
	const Elf64_Phdr *dyn = r->f->dynamic;
	const char *place = elf__at(r->f, address, size, PF_W);
	uint64_t cell;

	if (place == NULL)
		return BAD(r, i, "r_offset is not in a writable segment");
	if (address + size > dyn->p_vaddr &&
	    address < dyn->p_vaddr + dyn->p_memsz)
		return BAD(r, i, "r_offset is in the dynamic table");
	cell = (uint64_t)(place - r->f->data) / 8;
	if (is_marked(r, cell))
		return BAD(r, i, "r_offset has a relocation already");
	r->seen[cell / 8] |= (unsigned char)(1u << (cell % 8));
	return 0;
}

/* What touches an entry must be all of it: one that is moved by a few bytes
 * leaves half an address behind. */
static int check_hook(struct relocs *r, struct hooks *h, const Elf64_Rela *rela,
		      uint64_t size, bool relative, bool symbolic)
{
	if (h->count == 0 || rela->r_offset + size <= h->address ||
	    rela->r_offset >= h->address + 8 * h->count)
		return 0;
	if ((rela->r_offset - h->address) % 8 != 0)
		return elf__bad(r->f, "%s: an entry is written in part",
				h->name);
	if (relative ? !elf__is_code(r->f, (uint64_t)rela->r_addend)
		     : !symbolic)
		return elf__bad(r->f, "%s: an entry is not code", h->name);
	h->made++;
	return 0;
}

#if defined(__x86_64__)

/* What a type writes and wants: one look-up for each relocation. */
struct kind {
	unsigned char size; /* bytes written; 0: a type that is refused */
	bool symbol;        /* useless without one */
	bool tls;           /* its symbol is in the TLS block */
	bool aligned;       /* the linker aligns its place */
	bool bare;          /* the linker gives it no addend */
	bool plt;           /* may stand in DT_JMPREL */
};

static const struct kind kinds[] = {
	[R_X86_64_64] = { 8, true, false, false, false, false },
	[R_X86_64_GLOB_DAT] = { 8, true, false, true, true, false },
	[R_X86_64_JUMP_SLOT] = { 8, true, false, true, true, true },
	[R_X86_64_RELATIVE] = { 8, false, false, false, false, false },
	[R_X86_64_IRELATIVE] = { 8, false, false, true, false, true },
	[R_X86_64_DTPMOD64] = { 8, false, true, true, false, false },
	[R_X86_64_DTPOFF64] = { 8, false, true, true, false, false },
	[R_X86_64_TPOFF64] = { 8, false, true, true, false, false },
	[R_X86_64_TLSDESC] = { 16, false, true, true, false, true },
};

enum {
	TYPE_RELATIVE = R_X86_64_RELATIVE,
	TYPE_IRELATIVE = R_X86_64_IRELATIVE,
	TYPE_ABSOLUTE = R_X86_64_64,
};

static bool is_tls_offset(unsigned type)
{
	return type == R_X86_64_DTPOFF64 || type == R_X86_64_TPOFF64;
}

#elif defined(__aarch64__)

struct kind {
	unsigned char size;
	bool symbol, tls, aligned, bare, plt;
};

static const struct kind kinds[] = {
	[R_AARCH64_ABS64] = { 8, true, false, false, false, false },
	[R_AARCH64_GLOB_DAT] = { 8, true, false, true, true, false },
	[R_AARCH64_JUMP_SLOT] = { 8, true, false, true, true, true },
	[R_AARCH64_RELATIVE] = { 8, false, false, false, false, false },
	[R_AARCH64_IRELATIVE] = { 8, false, false, true, false, true },
	[R_AARCH64_TLS_DTPMOD] = { 8, false, true, true, false, false },
	[R_AARCH64_TLS_DTPREL] = { 8, false, true, true, false, false },
	[R_AARCH64_TLS_TPREL] = { 8, false, true, true, false, false },
	[R_AARCH64_TLSDESC] = { 16, false, true, true, false, true },
};

enum {
	TYPE_RELATIVE = R_AARCH64_RELATIVE,
	TYPE_IRELATIVE = R_AARCH64_IRELATIVE,
	TYPE_ABSOLUTE = R_AARCH64_ABS64,
};

static bool is_tls_offset(unsigned type)
{
	return type == R_AARCH64_TLS_DTPREL || type == R_AARCH64_TLS_TPREL;
}

#endif

/* An offset in this library's block, or in one not known here. */
static bool is_in_tls(const struct elf_file *f, const Elf64_Sym *s,
		      uint64_t addend)
{
	if (s->st_shndx == SHN_UNDEF && s->st_name != 0)
		return addend <= ELF_TLS_MAX;
	return addend <= f->tls_size && s->st_value + addend <= f->tls_size;
}

static int check_symbol(struct relocs *r, uint64_t i, const Elf64_Rela *rela,
			const struct kind *k)
{
	uint64_t s = ELF64_R_SYM(rela->r_info);

	if (s >= r->f->symbol_count)
		return BAD(r, i, "its symbol is out of DT_SYMTAB");
	if (k->symbol && s == 0)
		return BAD(r, i, "names no symbol");
	if (k->tls && s != 0 &&
	    ELF64_ST_TYPE(r->f->symbols[s].st_info) != STT_TLS)
		return BAD(r, i, "its symbol is not thread-local");
	if (!k->tls && ELF64_ST_TYPE(r->f->symbols[s].st_info) == STT_TLS)
		return BAD(r, i, "its symbol is thread-local");
	if (is_tls_offset(ELF64_R_TYPE(rela->r_info)) &&
	    !is_in_tls(r->f, &r->f->symbols[s], (uint64_t)rela->r_addend))
		return BAD(r, i, "r_addend lies beyond the TLS block");
	return 0;
}

static int check_one(struct relocs *r, uint64_t i, const Elf64_Rela *rela,
		     bool plt)
{
	unsigned long type = ELF64_R_TYPE(rela->r_info);
	const struct kind *k;

	/* Linkers leave none of type 0; a page that was not written does. */
	if (type >= sizeof kinds / sizeof kinds[0] || kinds[type].size == 0)
		return elf__bad(r->f, "relocation %lu: type %lu",
				(unsigned long)i, type);
	k = &kinds[type];
	if (plt && !k->plt)
		return elf__bad(r->f, "DT_JMPREL: relocation %lu of type %lu",
				(unsigned long)i, type);
	if (check_symbol(r, i, rela, k) != 0)
		return -1;
	if (type == TYPE_RELATIVE && (uint64_t)rela->r_addend > r->f->end)
		return BAD(r, i, "r_addend lies beyond the image");
	if (type == TYPE_IRELATIVE &&
	    !elf__is_code(r->f, (uint64_t)rela->r_addend))
		return BAD(r, i, "its resolver is not code");
	if (k->bare && rela->r_addend != 0)
		return BAD(r, i, "r_addend is not 0");
	if (k->aligned && rela->r_offset % 8 != 0)
		return BAD(r, i, "r_offset is not aligned");
	if (mark_place(r, i, rela->r_offset, k->size) != 0)
		return -1;
	if (check_hook(r, &r->init, rela, k->size, type == TYPE_RELATIVE,
		       type == TYPE_ABSOLUTE) != 0)
		return -1;
	return check_hook(r, &r->fini, rela, k->size, type == TYPE_RELATIVE,
			  type == TYPE_ABSOLUTE);
}

static int check_table(struct relocs *r, const struct elf_table *t, bool plt)
{
	const Elf64_Rela *rela = (const Elf64_Rela *)t->data;

	for (uint64_t i = 0; i < t->count; i++) {
		if (!plt && i < r->f->relative_count &&
		    ELF64_R_TYPE(rela[i].r_info) != TYPE_RELATIVE)
			return BAD(r, i, "DT_RELACOUNT counts it as relative");
		if (check_one(r, i, &rela[i], plt) != 0)
			return -1;
	}
	return 0;
}

/* One place of the packed form: its target stands in the place itself. */
static int check_packed_place(struct relocs *r, uint64_t i, uint64_t address)
{
	struct hooks *hooks[] = { &r->init, &r->fini };
	uint64_t target;

	if (address % 8 != 0)
		return BAD(r, i, "DT_RELR: a place is not aligned");
	if (mark_place(r, i, address, 8) != 0)
		return -1;
	memcpy(&target, elf__at(r->f, address, 8, PF_W), 8);
	for (size_t h = 0; h < 2; h++) {
		if (hooks[h]->count == 0 || address < hooks[h]->address ||
		    address >= hooks[h]->address + 8 * hooks[h]->count)
			continue;
		if (!elf__is_code(r->f, target))
			return elf__bad(r->f, "%s: an entry is not code",
					hooks[h]->name);
		hooks[h]->made++;
	}
	return 0;
}

/* The packed form: an address, then bitmaps of the 63 words that follow. */
static int check_packed(struct relocs *r)
{
	struct elf_file *f = r->f;
	uint64_t size = f->value[DT_RELRSZ], where = 0;
	const uint64_t *words;

	if (!f->has[DT_RELR])
		return 0;
	words = elf__at(f, f->value[DT_RELR], size, PF_R);
	if (words == NULL || f->value[DT_RELRENT] != 8 ||
	    f->value[DT_RELR] % 8 != 0)
		return elf__bad(f, "DT_RELR: not in a segment");
	for (uint64_t i = 0; i < size / 8; i++) {
		if ((words[i] & 1) == 0) {
			if (check_packed_place(r, i, words[i]) != 0)
				return -1;
			where = words[i] + 8;
			continue;
		}
		for (unsigned bit = 1; bit < 64; bit++) {
			if ((words[i] >> bit & 1) != 0 &&
			    check_packed_place(r, i, where + 8 * (bit - 1)) !=
				    0)
				return -1;
		}
		where += 63 * 8;
	}
	return 0;
}

static int find_hooks(struct elf_file *f, struct hooks *h, int tag,
		      int size_tag, const char *name)
{
	uint64_t size = f->value[size_tag];

	*h = (struct hooks){ .name = name };
	if (!f->has[tag])
		return 0;
	if (size % 8 != 0 || f->value[tag] % 8 != 0 ||
	    elf__at(f, f->value[tag], size, PF_W) == NULL)
		return elf__bad(f, "%s: not in a writable segment", name);
	h->address = f->value[tag];
	h->count = size / 8;
	return 0;
}

static int check_single_hook(struct elf_file *f, int tag, const char *name)
{
	if (f->value[tag] != 0 && !elf__is_code(f, f->value[tag]))
		return elf__bad(f, "%s: not code", name);
	return 0;
}

static int check_all(struct relocs *r)
{
	struct elf_file *f = r->f;

	if (check_table(r, &f->rela, false) != 0 ||
	    check_table(r, &f->jmprel, true) != 0 || check_packed(r) != 0)
		return -1;
	if (r->init.made != r->init.count)
		return elf__bad(f, "DT_INIT_ARRAY: an entry has no "
				   "relocation");
	if (r->fini.made != r->fini.count)
		return elf__bad(f, "DT_FINI_ARRAY: an entry has no "
				   "relocation");
	return 0;
}

int elf__check_relocations(struct elf_file *f)
{
	struct relocs r = { .f = f };
	int rc;

	if (f->has[DT_PLTGOT] &&
	    !elf__in_memory(f, f->value[DT_PLTGOT], 24, PF_W))
		return elf__bad(f, "DT_PLTGOT: not in a writable segment");
	if (check_single_hook(f, DT_INIT, "DT_INIT") != 0 ||
	    check_single_hook(f, DT_FINI, "DT_FINI") != 0 ||
	    find_hooks(f, &r.init, DT_INIT_ARRAY, DT_INIT_ARRAYSZ,
		       "DT_INIT_ARRAY") != 0 ||
	    find_hooks(f, &r.fini, DT_FINI_ARRAY, DT_FINI_ARRAYSZ,
		       "DT_FINI_ARRAY") != 0)
		return -1;
	r.seen = mem_zalloc(f->size / 64 + 1);
	if (r.seen == NULL)
		return UV_ENOMEM;
	rc = check_all(&r);
	mem_free(r.seen);
	return rc;
}

/*
 * The ELF check: versions of symbols. Their records are chained by offsets;
 * the walks here are bounded by the counts of the dynamic table. A needed file
 * that is not in DT_NEEDED is an assertion, that is an abort, of the loader.
 */
#include <string.h>

#include "cmod/elf_file.h"

enum { INDEX_MASK = 0x7fff, SPARE_INDEXES = 1000 };

static bool is_needed(const struct elf_file *f, uint64_t name)
{
	for (uint64_t i = 0; i < f->tag_count; i++) {
		const Elf64_Dyn *d = &f->tags[i];

		if (d->d_tag == DT_NEEDED &&
		    strcmp(f->strings + d->d_un.d_val, f->strings + name) == 0)
			return true;
	}
	return false;
}

static void note_index(unsigned index, uint64_t *max)
{
	if ((index & INDEX_MASK) > *max)
		*max = index & INDEX_MASK;
}

/* The versions wanted of one file. */
static int check_needed_names(struct elf_file *f, uint64_t address,
			      unsigned count, uint64_t *max)
{
	for (unsigned i = 0;; i++) {
		const Elf64_Vernaux *x = elf__at(f, address, sizeof *x, PF_R);

		if (x == NULL || address % 4 != 0 || i >= count ||
		    x->vna_name >= f->strings_size)
			return elf__bad(f, "DT_VERNEED: name %u", i);
		note_index(x->vna_other, max);
		if (x->vna_next == 0)
			return 0;
		address += x->vna_next;
	}
}

static int check_needed(struct elf_file *f, uint64_t *max)
{
	uint64_t address = f->verneed;

	for (uint64_t i = 0; address != 0; i++) {
		const Elf64_Verneed *v = elf__at(f, address, sizeof *v, PF_R);

		if (v == NULL || address % 4 != 0 || i >= f->verneed_count ||
		    v->vn_version != 1 || v->vn_file >= f->strings_size)
			return elf__bad(f, "DT_VERNEED: record %lu",
					(unsigned long)i);
		if (!is_needed(f, v->vn_file))
			return elf__bad(f,
					"DT_VERNEED: record %lu names a "
					"file that is not in DT_NEEDED",
					(unsigned long)i);
		if (check_needed_names(f, address + v->vn_aux, v->vn_cnt,
				       max) != 0)
			return -1;
		if (v->vn_next == 0)
			return 0;
		address += v->vn_next;
	}
	return 0;
}

static int check_defined(struct elf_file *f, uint64_t *max)
{
	uint64_t address = f->verdef;

	for (uint64_t i = 0; address != 0; i++) {
		const Elf64_Verdef *v = elf__at(f, address, sizeof *v, PF_R);
		const Elf64_Verdaux *x;

		if (v == NULL || address % 4 != 0 || i >= f->verdef_count ||
		    v->vd_version != 1)
			return elf__bad(f, "DT_VERDEF: record %lu",
					(unsigned long)i);
		x = elf__at(f, address + v->vd_aux, sizeof *x, PF_R);
		if (x == NULL || (address + v->vd_aux) % 4 != 0 ||
		    x->vda_name >= f->strings_size)
			return elf__bad(f, "DT_VERDEF: name of record %lu",
					(unsigned long)i);
		note_index(v->vd_ndx, max);
		if (v->vd_next == 0)
			return 0;
		address += v->vd_next;
	}
	return 0;
}

int elf__check_versions(struct elf_file *f)
{
	const uint16_t *indexes;
	uint64_t max = 1;

	if (check_needed(f, &max) != 0 || check_defined(f, &max) != 0)
		return -1;
	/* The loader allocates by the largest index. */
	if (max > f->symbol_count + SPARE_INDEXES)
		return elf__bad(f, "DT_VERNEED: version index %lu",
				(unsigned long)max);
	if (f->versym == 0) {
		if (f->verneed != 0 || f->verdef != 0)
			return elf__bad(f, "DT_VERSYM: is missing");
		return 0;
	}
	indexes = elf__at(f, f->versym, f->symbol_count * 2, PF_R);
	if (indexes == NULL || f->versym % 2 != 0)
		return elf__bad(f, "DT_VERSYM: not in a segment");
	for (uint64_t i = 0; i < f->symbol_count; i++) {
		if ((indexes[i] & INDEX_MASK) > max)
			return elf__bad(f, "DT_VERSYM: symbol %lu",
					(unsigned long)i);
	}
	f->indexes = indexes;
	return 0;
}

/*
 * The ELF check: the hash tables lead to the names, and to no import's. A symbol
 * that the loader does not find under its own name is bound to nothing when it is
 * weak, as much of C++ is, and its first use is a jump to address 0. An import
 * whose name has become that of a definition here is bound to that, and its first
 * use is a jump into data; linkers bind such a name when they link.
 */
#include <string.h>

#include "cmod/elf_file.h"

static const char *name_of(const struct elf_file *f, uint64_t s)
{
	return f->strings + f->symbols[s].st_name;
}

static bool is_defined(const struct elf_file *f, uint64_t s)
{
	return f->symbols[s].st_shndx != SHN_UNDEF &&
	       ELF64_ST_BIND(f->symbols[s].st_info) != STB_LOCAL;
}

/* Definitions among the symbols from @a first on. */
static uint64_t count_defined(const struct elf_file *f, uint64_t first)
{
	uint64_t count = 0;

	for (uint64_t s = first; s < f->symbol_count; s++)
		count += is_defined(f, s);
	return count;
}

static uint32_t sysv_hash(const char *name)
{
	uint32_t h = 0;

	for (; *name != '\0'; name++) {
		h = (h << 4) + (unsigned char)*name;
		h ^= h >> 24 & 0xf0;
		h &= 0x0fffffff;
	}
	return h;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name != '\0'; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

enum { INDEX_MASK = 0x7fff, UNVERSIONED = 1 };

static unsigned version_of(const struct elf_file *f, uint64_t s)
{
	return f->indexes == NULL ? 0 : f->indexes[s] & INDEX_MASK;
}

/* Does symbol @a s define what symbol @a i imports? A library may wrap a newer
 * version of another one's function under the old version, so different ones are
 * different names; what has none goes with all. */
static bool defines(const struct elf_file *f, uint32_t s, uint64_t i)
{
	unsigned defined = version_of(f, s), imported = version_of(f, i);

	return is_defined(f, s) && strcmp(name_of(f, s), name_of(f, i)) == 0 &&
	       (defined <= UNVERSIONED || imported <= UNVERSIONED ||
		defined == imported);
}

static int bad_import(struct elf_file *f, uint64_t s)
{
	return elf__bad(f,
			"symbol %lu: imported under a name that this library "
			"defines",
			(unsigned long)s);
}

/* In a chain of the old table imports stand beside definitions. */
static int check_sysv_imports(struct elf_file *f, const uint32_t *buckets,
			      const uint32_t *chains, uint32_t bucket_count)
{
	for (uint64_t i = 1; i < f->symbol_count; i++) {
		uint32_t s;

		if (f->symbols[i].st_shndx != SHN_UNDEF)
			continue;
		s = buckets[sysv_hash(name_of(f, i)) % bucket_count];
		for (; s != 0; s = chains[s]) {
			if (defines(f, s, i))
				return bad_import(f, i);
		}
	}
	return 0;
}

/* (Chains have been followed before: they end, and stay in the table.) */
static int check_sysv(struct elf_file *f)
{
	const uint32_t *h = elf__at(f, f->value[DT_HASH], 8, PF_R);
	const uint32_t *buckets = h + 2, *chains = buckets + h[0];
	uint64_t reached = 0;

	for (uint32_t b = 0; b < h[0]; b++) {
		for (uint32_t s = buckets[b]; s != 0; s = chains[s]) {
			if (sysv_hash(name_of(f, s)) % h[0] != b)
				return elf__bad(f,
						"DT_HASH: symbol %u is in "
						"another name's chain",
						s);
			reached += is_defined(f, s);
		}
	}
	if (reached != count_defined(f, 1))
		return elf__bad(f, "DT_HASH: a symbol is in no chain");
	return check_sysv_imports(f, buckets, chains, h[0]);
}

struct gnu_table {
	const uint32_t *header; /* buckets, first symbol, words, shift */
	const uint64_t *filter;
	const uint32_t *buckets;
	const uint32_t *chains;
};

static bool is_in_filter(const struct gnu_table *t, uint32_t hash)
{
	uint64_t word = t->filter[hash / 64 & (t->header[2] - 1)];

	return (word >> (hash % 64) & 1) != 0 &&
	       (word >> ((hash >> t->header[3]) % 64) & 1) != 0;
}

/* The loader looks into the filter, takes the bucket, compares the hash. */
static bool leads_to(const struct elf_file *f, const struct gnu_table *t,
		     uint32_t bucket, uint32_t s)
{
	uint32_t hash = gnu_hash(name_of(f, s));

	return is_in_filter(t, hash) && hash % t->header[0] == bucket &&
	       (hash | 1) == (t->chains[s - t->header[1]] | 1);
}

/* As the loader would look it up. */
static bool is_own(const struct elf_file *f, const struct gnu_table *t,
		   uint64_t import)
{
	uint32_t hash = gnu_hash(name_of(f, import)), s, chained;

	if (!is_in_filter(t, hash))
		return false;
	s = t->buckets[hash % t->header[0]];
	if (s == 0)
		return false;
	do {
		chained = t->chains[s - t->header[1]];
		if ((chained | 1) == (hash | 1) && defines(f, s, import))
			return true;
		s++;
	} while ((chained & 1) == 0);
	return false;
}

static int check_gnu_imports(struct elf_file *f, const struct gnu_table *t)
{
	for (uint64_t i = 1; i < f->symbol_count; i++) {
		if (f->symbols[i].st_shndx == SHN_UNDEF && is_own(f, t, i))
			return bad_import(f, i);
	}
	return 0;
}

static int check_gnu(struct elf_file *f)
{
	const uint32_t *h = elf__at(f, f->gnu_hash, 16, PF_R);
	const uint64_t *filter = (const uint64_t *)(h + 4);
	const uint32_t *buckets = (const uint32_t *)(filter + h[2]);
	struct gnu_table t = { h, filter, buckets, buckets + h[0] };
	uint64_t reached = 0;

	for (uint32_t b = 0; b < h[0]; b++) {
		uint32_t s = buckets[b];

		if (s == 0)
			continue;
		do {
			if (!leads_to(f, &t, b, s))
				return elf__bad(f,
						"DT_GNU_HASH: symbol %u is "
						"not found by its name",
						s);
			reached += is_defined(f, s);
		} while ((t.chains[s++ - h[1]] & 1) == 0);
	}
	if (reached != count_defined(f, h[1]))
		return elf__bad(f, "DT_GNU_HASH: a symbol is in no chain");
	return check_gnu_imports(f, &t);
}

int elf__check_names(struct elf_file *f)
{
	if (f->has[DT_HASH] && check_sysv(f) != 0)
		return -1;
	return f->gnu_hash == 0 ? 0 : check_gnu(f);
}

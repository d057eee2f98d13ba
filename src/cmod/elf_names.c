/*
 * The ELF check: the hash tables lead to the names. A symbol that the loader
 * does not find under its own name is bound to nothing when it is weak, as
 * much of C++ is, and its first use is a jump to address 0.
 */
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
	return 0;
}

struct gnu_table {
	const uint32_t *header; /* buckets, first symbol, words, shift */
	const uint64_t *filter;
	const uint32_t *buckets;
	const uint32_t *chains;
};

/* The loader looks into the filter, takes the bucket, compares the hash. */
static bool leads_to(const struct elf_file *f, const struct gnu_table *t,
		     uint32_t bucket, uint32_t s)
{
	uint32_t hash = gnu_hash(name_of(f, s));
	uint64_t word = t->filter[hash / 64 & (t->header[2] - 1)];

	return hash % t->header[0] == bucket &&
	       (hash | 1) == (t->chains[s - t->header[1]] | 1) &&
	       (word >> (hash % 64) & 1) != 0 &&
	       (word >> ((hash >> t->header[3]) % 64) & 1) != 0;
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
	return 0;
}

int elf__check_names(struct elf_file *f)
{
	if (f->has[DT_HASH] && check_sysv(f) != 0)
		return -1;
	return f->gnu_hash == 0 ? 0 : check_gnu(f);
}

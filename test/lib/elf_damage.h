/*
 * Shared libraries damaged on purpose, in the ways files are damaged in the
 * world (cut, half-written, out of order) and in ways that aim at the tables
 * the dynamic loader follows. The same seed gives the same files.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cmod_build.h"

enum { DAMAGE_PAGE = 4096, DAMAGE_SECTOR = 512 };

enum damage_kind {
	DAMAGE_CUT_AT_EDGE,   /* at an end of a header, segment or section */
	DAMAGE_CUT,           /* at a length by chance */
	DAMAGE_IDENTITY,      /* class, byte order, machine, type, versions */
	DAMAGE_ELF_HEADER,    /* a byte */
	DAMAGE_SEGMENTS,      /* a byte of the program headers */
	DAMAGE_SECTIONS,      /* a byte of the section headers */
	DAMAGE_TABLE_BYTE,    /* a byte of a table the loader follows */
	DAMAGE_TABLE_BIT,     /* a bit of one */
	DAMAGE_TABLE_WORD,    /* a word of one: small, huge or by chance */
	DAMAGE_TABLE_BLOCK,   /* 8 to 64 bytes of rubbish in one */
	DAMAGE_ZEROED_REST,   /* half-written: zeros from a page or sector on */
	DAMAGE_ZEROED_MIDDLE, /* a page or sector that never arrived */
	DAMAGE_SWAPPED,       /* two pages or sectors in each other's place */
	DAMAGE_BLOCK,         /* up to 512 bytes of rubbish anywhere */
	DAMAGE_KINDS,
};

static const char *const damage_names[DAMAGE_KINDS] = {
	"cut at an edge", "cut anywhere",     "identity",
	"ELF header",     "program headers",  "section headers",
	"table: a byte",  "table: a bit",     "table: a word",
	"table: a block", "zeroed rest",      "zeroed in the middle",
	"swapped pieces", "a block anywhere",
};

struct damage {
	char *good;
	size_t good_size;
	char *data; /* the damaged copy, with some room behind */
	size_t size;
	uint64_t random;
};

static inline void damage_create(struct damage *d, const char *file,
				 uint64_t seed)
{
	d->good = file_read(file, &d->good_size);
	d->data = malloc(d->good_size + DAMAGE_PAGE);
	d->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline void damage_destroy(struct damage *d)
{
	free(d->good);
	free(d->data);
}

/** A number below @a n. */
static inline uint64_t damage_chance(struct damage *d, uint64_t n)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return (d->random >> 16) % n;
}

static inline const Elf64_Shdr *damage_sections(const struct damage *d,
						unsigned *ret_count)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)d->good;

	*ret_count = h->e_shnum;
	return (const Elf64_Shdr *)(d->good + h->e_shoff);
}

/* What the loader follows: all that is mapped but code and plain data. */
static inline bool damage_is_table(const struct damage *d, const Elf64_Shdr *s)
{
	unsigned count;
	const Elf64_Shdr *all = damage_sections(d, &count);
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)d->good;
	const char *name = d->good + all[h->e_shstrndx].sh_offset + s->sh_name;

	if (s->sh_type == SHT_NOBITS || s->sh_size == 0 ||
	    (s->sh_flags & SHF_ALLOC) == 0 ||
	    (s->sh_flags & SHF_EXECINSTR) != 0)
		return false;
	return s->sh_type != SHT_PROGBITS || strcmp(name, ".eh_frame_hdr") == 0;
}

static inline const Elf64_Shdr *damage_table(struct damage *d)
{
	unsigned count;
	const Elf64_Shdr *all = damage_sections(d, &count), *s;

	do {
		s = &all[damage_chance(d, count)];
	} while (!damage_is_table(d, s));
	return s;
}

static inline void damage_byte(struct damage *d, size_t from, size_t size)
{
	d->data[from + damage_chance(d, size)] ^=
		(char)(1 + damage_chance(d, 255));
}

static inline void damage_rubbish(struct damage *d, size_t from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		d->data[from + i] = (char)damage_chance(d, 256);
}

static inline void damage_cut_at_edge(struct damage *d)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)d->good;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(d->good + h->e_phoff);
	uint64_t n = damage_chance(d, h->e_phnum);
	uint64_t edges[] = {
		sizeof *h,
		h->e_phoff + n * sizeof *p,
		p[n].p_offset,
		p[n].p_offset + p[n].p_filesz,
		h->e_shoff,
		d->good_size - 1,
		d->good_size & ~(uint64_t)(DAMAGE_PAGE - 1),
	};
	uint64_t cut = edges[damage_chance(d, sizeof edges / sizeof edges[0])];

	d->size = cut < d->good_size ? cut : d->good_size - 1;
}

static inline void damage_identity(struct damage *d)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)d->data;

	switch (damage_chance(d, 7)) {
	case 0:
		h->e_ident[EI_CLASS] = ELFCLASS32;
		break;
	case 1:
		h->e_ident[EI_DATA] = ELFDATA2MSB;
		break;
	case 2:
		h->e_machine = (Elf64_Half)(1 + damage_chance(d, 40));
		break;
	case 3:
		h->e_type = (Elf64_Half)damage_chance(d, 3);
		break;
	case 4:
		h->e_version = 0;
		break;
	case 5:
		h->e_ident[EI_OSABI] = ELFOSABI_OPENBSD;
		break;
	default:
		h->e_ident[damage_chance(d, 4)]++;
	}
}

static inline void damage_word(struct damage *d, size_t from, size_t size)
{
	static const unsigned widths[] = { 2, 4, 8 };
	unsigned width = widths[damage_chance(d, 3)];
	uint64_t value;

	switch (damage_chance(d, 4)) {
	case 0:
		value = damage_chance(d, 64);
		break;
	case 1:
		value = -(uint64_t)damage_chance(d, 64);
		break;
	case 2:
		value = UINT64_C(1) << damage_chance(d, 64);
		break;
	default:
		value = damage_chance(d, d->good_size * 2);
	}
	if (width > size)
		width = 2;
	from += damage_chance(d, size / width) * width;
	memcpy(d->data + from, &value, width);
}

/* A piece of the file: a page or a sector; its size in @a ret_size. */
static inline size_t damage_piece(struct damage *d, size_t unit)
{
	return damage_chance(d, d->good_size / unit) * unit;
}

static inline void damage_swap(struct damage *d, size_t unit)
{
	size_t a = damage_piece(d, unit), b = damage_piece(d, unit);

	memcpy(d->data + a, d->good + b, unit);
	memcpy(d->data + b, d->good + a, unit);
}

static inline void damage_part(struct damage *d, enum damage_kind kind)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)d->good;
	const Elf64_Shdr *s = damage_table(d);
	size_t unit = damage_chance(d, 2) ? DAMAGE_PAGE : DAMAGE_SECTOR, n;

	switch (kind) {
	case DAMAGE_ELF_HEADER:
		damage_byte(d, 0, sizeof *h);
		break;
	case DAMAGE_SEGMENTS:
		damage_byte(d, h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr));
		break;
	case DAMAGE_SECTIONS:
		damage_byte(d, h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr));
		break;
	case DAMAGE_TABLE_BYTE:
		damage_byte(d, s->sh_offset, s->sh_size);
		break;
	case DAMAGE_TABLE_BIT:
		n = s->sh_offset + damage_chance(d, s->sh_size);
		d->data[n] ^= (char)(1 << damage_chance(d, 8));
		break;
	case DAMAGE_TABLE_WORD:
		damage_word(d, s->sh_offset, s->sh_size);
		break;
	case DAMAGE_TABLE_BLOCK:
		n = 8 + damage_chance(d, 57);
		n = n < s->sh_size ? n : s->sh_size;
		damage_rubbish(
			d, s->sh_offset + damage_chance(d, s->sh_size - n + 1),
			n);
		break;
	case DAMAGE_ZEROED_REST:
		n = damage_piece(d, unit);
		memset(d->data + n, 0, d->good_size - n);
		break;
	case DAMAGE_ZEROED_MIDDLE:
		memset(d->data + damage_piece(d, unit), 0, unit);
		break;
	case DAMAGE_SWAPPED:
		damage_swap(d, unit);
		break;
	default:
		n = 16 + damage_chance(d, 497);
		damage_rubbish(d, damage_chance(d, d->good_size - n), n);
	}
}

/** Make d->data, of d->size bytes: damaged in that way, and truly. */
static inline void damage_make(struct damage *d, enum damage_kind kind)
{
	do {
		memcpy(d->data, d->good, d->good_size);
		d->size = d->good_size;
		if (kind == DAMAGE_CUT_AT_EDGE)
			damage_cut_at_edge(d);
		else if (kind == DAMAGE_CUT)
			d->size = 1 + damage_chance(d, d->good_size - 1);
		else if (kind == DAMAGE_IDENTITY)
			damage_identity(d);
		else
			damage_part(d, kind);
	} while (d->size == d->good_size &&
		 memcmp(d->data, d->good, d->size) == 0);
}

/** What it hits: a section with any of @a flags and of that type (0: any). */
static inline bool damage_hits(const struct damage *d, uint64_t flags,
			       unsigned type)
{
	unsigned count;
	const Elf64_Shdr *s = damage_sections(d, &count);

	for (unsigned i = 0; i < count; i++, s++) {
		uint64_t end = s->sh_offset + s->sh_size;

		if (s->sh_type == SHT_NOBITS || (s->sh_flags & flags) == 0 ||
		    (type != 0 && s->sh_type != type))
			continue;
		if (end > d->size ||
		    memcmp(d->data + s->sh_offset, d->good + s->sh_offset,
			   s->sh_size) != 0)
			return true;
	}
	return false;
}

/** Code cannot be told from other code, an initialiser not from another
 * function, nor data from other data. */
static inline bool damage_hits_code(const struct damage *d)
{
	return damage_hits(d, SHF_EXECINSTR, 0) ||
	       damage_hits(d, SHF_ALLOC, SHT_INIT_ARRAY) ||
	       damage_hits(d, SHF_ALLOC, SHT_FINI_ARRAY);
}

static inline bool damage_hits_data(const struct damage *d)
{
	return damage_hits(d, SHF_ALLOC, SHT_PROGBITS);
}

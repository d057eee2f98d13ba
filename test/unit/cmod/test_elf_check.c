/*
 * The ELF check: sound libraries pass, damaged ones are refused with a reason.
 * (test_corpus counts what gets past it and kills.)
 * test: timeout 300, soak 1800
 */
#include "unit.h"

#include <elf.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmod/elf_check.h"
#include "cmod_build.h"

/* Something of everything: constructors, thread-local data, data relocations,
 * calls into libc, versions, a table of functions. */
static const char *const source =
	"#include <math.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"__thread int tls_a = 3; __thread int tls_b;\n"
	"int data_sym = 5; char bss_big[5000];\n"
	"const char *names[] = { \"a\", \"b\", \"c\" };\n"
	"int (*table[])(const char *, ...) = { printf, printf };\n"
	"static void *volatile keep;\n"
	"__attribute__((constructor)) static void up(void)\n"
	"{ keep = strdup(names[tls_a % 3]); bss_big[4000] = 1; }\n"
	"__attribute__((destructor)) static void down(void) { free(keep); }\n"
	"int sum(int a, int b) { return a + b + tls_b; }\n"
	"int text(char *to) { return sprintf(to, \"%s %f\", names[1],\n"
	"	sin(data_sym)); }\n"
	"int many(int n) { switch (n) { case 1: return puts(\"1\");\n"
	"	case 2: return getenv(\"x\") != 0; case 3: return rand();\n"
	"	case 4: return atoi(\"4\"); default: return table[0](\"\"); } }\n";

static char *good;
static size_t good_size;
static char *work; /* a copy to damage, with some room behind */

static const char *check(const char *data, size_t size)
{
	static char reason[256];
	struct elf_facts facts;

	reason[0] = '\0';
	return elf_check(data, size, &facts, reason, sizeof reason) == 0
		       ? NULL
		       : reason;
}

static void restore(void)
{
	memcpy(work, good, good_size);
}

static void expect_refused(size_t size, const char *part)
{
	const char *reason = check(work, size);

	if (reason == NULL || strstr(reason, part) == NULL)
		fail_msg("wanted '%s', got '%s'", part,
			 reason == NULL ? "passed" : reason);
	restore();
}

static int setup(void **state)
{
	(void)state;
	build_so("good.so", source, "-O1 -lm");
	good = file_read("good.so", &good_size);
	work = malloc(good_size + 64);
	restore();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(good);
	free(work);
	return 0;
}

static void test_good(void **state)
{
	static const char *const flags[] = {
		"-O0",
		"-O2 -Wl,--hash-style=sysv",
		"-Wl,--hash-style=both",
		"-s",
		"-Wl,-z,now",
		"-Wl,-z,norelro",
		"-Wl,-z,noseparate-code",
		"-fvisibility=hidden",
		"-Wl,-z,pack-relative-relocs",
		"-nostartfiles",
	};
	const char *reason;
	size_t size;
	char *data;

	(void)state;
	reason = check(good, good_size);
	if (reason != NULL)
		fail_msg("%s", reason);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		char all[128];

		snprintf(all, sizeof all, "%s -lm", flags[i]);
		build_so("flags.so", source, all);
		data = file_read("flags.so", &size);
		reason = check(data, size);
		if (reason != NULL)
			fail_msg("%s: %s", flags[i], reason);
		free(data);
	}
}

static void test_fields(void **state)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)work;

	(void)state;
	expect_refused(0, "ends inside the ELF header");
	expect_refused(sizeof *h - 1, "ends inside the ELF header");
	h->e_ident[0] = 'x';
	expect_refused(good_size, "not an ELF file");
	h->e_ident[EI_CLASS] = ELFCLASS32;
	expect_refused(good_size, "EI_CLASS");
	h->e_ident[EI_DATA] = ELFDATA2MSB;
	expect_refused(good_size, "EI_DATA");
	h->e_ident[EI_OSABI] = ELFOSABI_FREEBSD;
	expect_refused(good_size, "EI_OSABI");
	h->e_machine = EM_386;
	expect_refused(good_size, "e_machine");
	h->e_type = ET_REL;
	expect_refused(good_size, "link it with -shared");
	h->e_type = ET_EXEC;
	expect_refused(good_size, "e_type");
	h->e_phnum = 0;
	expect_refused(good_size, "e_phnum");
	h->e_phnum = 65535;
	expect_refused(good_size, "e_phnum");
	h->e_phentsize = 55;
	expect_refused(good_size, "e_phentsize");
	h->e_phoff = UINT64_MAX - 7;
	expect_refused(good_size, "e_phoff");
	h->e_shoff = UINT64_MAX - 7;
	expect_refused(good_size, "e_shoff");
	h->e_shoff = good_size;
	expect_refused(good_size, "e_shoff");
	h->e_shstrndx = h->e_shnum;
	expect_refused(good_size, "e_shstrndx");
}

static Elf64_Phdr *segment(unsigned type)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)work;
	Elf64_Phdr *p = (Elf64_Phdr *)(work + h->e_phoff);

	while (p->p_type != type)
		p++;
	return p;
}

static Elf64_Shdr *section(unsigned type)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)work;
	Elf64_Shdr *s = (Elf64_Shdr *)(work + h->e_shoff);

	while (s->sh_type != type)
		s++;
	return s;
}

static void test_segments(void **state)
{
	(void)state;
	segment(PT_LOAD)->p_filesz = good_size + 1;
	expect_refused(good_size, "beyond the end of the file");
	segment(PT_LOAD)->p_offset = UINT64_MAX;
	expect_refused(good_size, "beyond the end of the file");
	segment(PT_LOAD)->p_memsz = 1;
	expect_refused(good_size, "p_filesz exceeds p_memsz");
	segment(PT_LOAD)->p_flags = PF_R | PF_W | PF_X;
	expect_refused(good_size, "writable and executable");
	segment(PT_LOAD)->p_align = 3;
	expect_refused(good_size, "p_align");
	segment(PT_LOAD)->p_vaddr = 1 << 20;
	expect_refused(good_size, "out of order");
	segment(PT_DYNAMIC)->p_vaddr += 8;
	expect_refused(good_size, "PT_DYNAMIC");
	segment(PT_DYNAMIC)->p_type = PT_NULL;
	expect_refused(good_size, "PT_DYNAMIC: there is none");
	segment(PT_GNU_STACK)->p_flags |= PF_X;
	expect_refused(good_size, "executable stack");
	segment(PT_GNU_RELRO)->p_memsz = 1 << 20;
	expect_refused(good_size, "PT_GNU_RELRO");
	segment(PT_TLS)->p_align = 1 << 20;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_vaddr = 1 << 20;
	expect_refused(good_size, "PT_TLS");
}

static Elf64_Dyn *tag(int64_t wanted)
{
	Elf64_Dyn *d = (Elf64_Dyn *)(work + segment(PT_DYNAMIC)->p_offset);

	while (d->d_tag != wanted)
		d++;
	return d;
}

static void test_tables(void **state)
{
	static const struct {
		int64_t tag;
		uint64_t value;
		const char *part;
	} cases[] = {
		{ DT_STRTAB, 1 << 30, "DT_STRTAB" },
		{ DT_STRSZ, 1 << 30, "DT_STRTAB" },
		{ DT_STRSZ, 0, "DT_STRTAB" },
		{ DT_SYMTAB, 1 << 30, "DT_SYMTAB" },
		{ DT_SYMENT, 25, "DT_SYMTAB" },
		{ DT_GNU_HASH, 1 << 30, "DT_GNU_HASH" },
		{ DT_RELA, 1 << 30, "DT_RELA" },
		{ DT_RELASZ, 1 << 30, "DT_RELA" },
		{ DT_RELASZ, 25, "DT_RELA" },
		{ DT_RELAENT, 1, "DT_RELAENT" },
		{ DT_RELACOUNT, 1 << 20, "DT_RELACOUNT" },
		{ DT_JMPREL, 1 << 30, "DT_JMPREL" },
		{ DT_PLTREL, DT_REL, "DT_PLTREL" },
		{ DT_PLTGOT, 0, "DT_PLTGOT" },
		{ DT_INIT, 0x10000000, "DT_INIT" },
		{ DT_FINI, 1, "DT_FINI" },
		{ DT_INIT_ARRAY, 8, "DT_INIT_ARRAY" },
		{ DT_INIT_ARRAYSZ, 1 << 20, "DT_INIT_ARRAY" },
		{ DT_FINI_ARRAYSZ, 3, "DT_FINI_ARRAY" },
		{ DT_VERNEED, 1 << 30, "DT_VERNEED" },
		{ DT_VERNEEDNUM, 0, "DT_VERNEED" },
		{ DT_VERSYM, 1 << 30, "DT_VERSYM" },
		{ DT_NEEDED, 1 << 20, "the name of entry" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		tag(cases[i].tag)->d_un.d_val = cases[i].value;
		expect_refused(good_size, cases[i].part);
	}
	tag(DT_NEEDED)->d_tag = DT_TEXTREL;
	expect_refused(good_size, "DT_TEXTREL");
	tag(DT_NEEDED)->d_tag = 0x1234;
	expect_refused(good_size, "tag 0x1234");
}

/* Thread-local data is written without a look at how much there was asked for,
 * and is zero where the linker wanted it so. */
static void test_thread_local(void **state)
{
	uint64_t align = segment(PT_TLS)->p_align;
	uint64_t size = segment(PT_TLS)->p_memsz;

	(void)state;
	assert_int_equal(segment(PT_TLS)->p_filesz, 4);
	assert_int_equal(size, 8);
	for (uint64_t less = 1; less <= size; less++) {
		segment(PT_TLS)->p_memsz -= less;
		expect_refused(good_size, "PT_TLS");
	}
	segment(PT_TLS)->p_memsz += 64;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_filesz--;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_filesz++;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_vaddr += align;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_vaddr -= align;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_align = align / 2;
	expect_refused(good_size, "PT_TLS");
	segment(PT_TLS)->p_type = PT_LOOS;
	expect_refused(good_size, "PT_TLS");
}

/* What has no bytes in the file is zero in memory, not what comes next there. */
static void test_bss(void **state)
{
	Elf64_Phdr *p = segment(PT_LOAD);
	Elf64_Shdr *bss = section(SHT_NOBITS);

	(void)state;
	while ((bss->sh_flags & SHF_TLS) != 0 || bss->sh_type != SHT_NOBITS)
		bss++;
	while ((p->p_flags & PF_W) == 0 || p->p_type != PT_LOAD)
		p++;
	assert_true(p->p_memsz > p->p_filesz + 4000);
	p->p_filesz = bss->sh_addr + 1 - p->p_vaddr;
	expect_refused(good_size, "is not zero");
	p->p_filesz = p->p_memsz;
	if (p->p_offset + p->p_filesz < good_size)
		expect_refused(good_size, "is not zero");
	restore();
}

/* The hash tables must lead to each name; tables have sizes. */
static void test_lost(void **state)
{
	static const int64_t lost[] = { DT_RELA,         DT_RELASZ,
					DT_JMPREL,       DT_PLTRELSZ,
					DT_INIT_ARRAYSZ, DT_FINI_ARRAY,
					DT_VERNEEDNUM };
	Elf64_Sym *sum;
	Elf64_Rela *rela;
	uint32_t *hash;

	(void)state;
	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		tag(lost[i])->d_tag = DT_DEBUG;
		expect_refused(good_size, "missing");
	}
	sum = (Elf64_Sym *)(work + section(SHT_DYNSYM)->sh_offset);
	while (strcmp(work + tag(DT_STRTAB)->d_un.d_ptr + sum->st_name,
		      "sum") != 0)
		sum++;
	sum->st_name++;
	expect_refused(good_size, "is not found by its name");
	hash = (uint32_t *)(work + section(SHT_GNU_HASH)->sh_offset);
	hash[3]++; /* shift of the filter */
	expect_refused(good_size, "is not found by its name");
	memset(hash + 4, 0, 8 * hash[2]);
	expect_refused(good_size, "is not found by its name");
	memset(hash + 4 + 2 * hash[2], 0, 4 * hash[0]); /* no chains */
	expect_refused(good_size, "is in no chain");
	rela = (Elf64_Rela *)(work + section(SHT_RELA)->sh_offset);
	while (ELF64_R_TYPE(rela->r_info) == R_X86_64_RELATIVE)
		rela++;
	memset(rela, 0, sizeof *rela);
	expect_refused(good_size, "type 0");
}

/* What initialisers and finalisers are called by is written whole or not at
 * all: a relocation moved by a few bytes leaves half of an entry. */
static void test_moved_hooks(void **state)
{
	uint64_t begin = tag(DT_INIT_ARRAY)->d_un.d_ptr;
	uint64_t end = tag(DT_FINI_ARRAY)->d_un.d_ptr +
		       tag(DT_FINI_ARRAYSZ)->d_un.d_val;
	size_t table = section(SHT_RELA)->sh_offset;
	size_t count = section(SHT_RELA)->sh_size / sizeof(Elf64_Rela);
	int hooks = 0, others = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		Elf64_Rela *rela = (Elf64_Rela *)(work + table) + i;
		bool hook = rela->r_offset >= begin && rela->r_offset < end;

		hooks += hook;
		others += !hook;
		for (int by = -7; by <= 7; by++) {
			if (hook && by != 0) {
				rela->r_offset += (uint64_t)by;
				expect_refused(good_size, "");
			} else if (!hook && by < 0) { /* into the first */
				rela->r_offset = begin + (uint64_t)by;
				expect_refused(good_size, "");
			}
		}
	}
	assert_true(hooks >= 2 && others > 0);
}

/* Versions that a library defines. */
static void test_version_definitions(void **state)
{
	const char *map = "V1 { global: sum; }; V2 { global: *; } V1;";
	char *whole = work;
	Elf64_Verdef *v;
	size_t size;

	(void)state;
	file_overwrite("lib.map", map, strlen(map));
	build_so("defined.so", source, "-Wl,--version-script=lib.map -lm");
	work = file_read("defined.so", &size);
	assert_null(check(work, size));
	v = (Elf64_Verdef *)(work + section(SHT_GNU_verdef)->sh_offset);
	v->vd_aux++; /* not aligned: our own undefined behaviour */
	assert_non_null(strstr(check(work, size), "DT_VERDEF: name"));
	v->vd_aux += 1 << 30;
	assert_non_null(strstr(check(work, size), "DT_VERDEF: name"));
	v->vd_next = 1;
	v->vd_aux = sizeof *v;
	assert_non_null(strstr(check(work, size), "DT_VERDEF: record"));
	free(work);
	work = whole;
}

/* The old hash table: the same. */
static void test_lost_sysv(void **state)
{
	uint32_t *hash;
	size_t size;
	char *whole = work;

	(void)state;
	build_so("sysv.so", source, "-O1 -Wl,--hash-style=sysv -lm");
	work = file_read("sysv.so", &size);
	assert_null(check(work, size));
	hash = (uint32_t *)(work + section(SHT_HASH)->sh_offset);
	hash[2 + hash[0]]--; /* nobody follows it: chain of symbol 0 */
	assert_null(check(work, size));
	hash[2 + hash[0]]++;
	hash[0]--;
	assert_non_null(check(work, size));
	hash[0]++;
	memset(hash + 2, 0, 4 * hash[0]);
	assert_non_null(strstr(check(work, size), "in no chain"));
	free(work);
	work = whole;
}

/* A library that imports what it defines: its calls would go there, though it
 * be data. By each hash table. */
static void test_own_imports(void **state)
{
	static const char *const flags[] = { "-O1 -lm",
					     "-O1 -Wl,--hash-style=sysv -lm" };
	char *whole = work, *names;
	Elf64_Sym *symbols;
	size_t size, count;

	(void)state;
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		int imports = 0;

		build_so("own.so", source, flags[i]);
		work = file_read("own.so", &size);
		assert_null(check(work, size));
		names = work + tag(DT_STRTAB)->d_un.d_ptr;
		symbols = (Elf64_Sym *)(work + section(SHT_DYNSYM)->sh_offset);
		count = section(SHT_DYNSYM)->sh_size / sizeof *symbols;
		for (size_t k = 1; k < count; k++) {
			Elf64_Word name = symbols[k].st_name;

			if (symbols[k].st_shndx != SHN_UNDEF)
				continue;
			imports++;
			for (size_t d = 1; d < count; d++) {
				if (symbols[d].st_shndx == SHN_UNDEF)
					continue;
				symbols[k].st_name = symbols[d].st_name;
				if (check(work, size) == NULL)
					fail_msg("%s imports its own %s",
						 names + name,
						 names + symbols[k].st_name);
			}
			symbols[k].st_name = name;
		}
		assert_true(imports > 5);
		assert_null(check(work, size));
		free(work);
	}
	work = whole;
}

/* Under a version of its own it may: so an older interface is kept. */
static void test_wrapped_import(void **state)
{
	static const char *const wrapper =
		"__asm__(\".symver old, labs@OLD\");\n"
		"long labs(long); long old(long n) { return labs(n); }\n"
		"long call(long n) { return labs(n) + 1; }\n";
	const char *map = "OLD { global: labs; call; };";
	uint16_t *indexes;
	char *whole = work;
	size_t size;

	(void)state;
	file_overwrite("old.map", map, strlen(map));
	build_so("old.so", wrapper,
		 "-fno-builtin -Wl,--version-script=old.map");
	work = file_read("old.so", &size);
	if (check(work, size) != NULL)
		fail_msg("%s", check(work, size));
	indexes = (uint16_t *)(work + section(SHT_GNU_versym)->sh_offset);
	for (size_t i = 1;
	     i < section(SHT_GNU_versym)->sh_size / sizeof *indexes; i++)
		indexes[i] = 1;
	assert_non_null(strstr(check(work, size), "imported under a name"));
	free(work);
	work = whole;
}

/* Cut at each program header, at both ends of what it describes, and at a
 * hundred lengths by chance: never loaded. */
static void test_truncated(void **state)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)good;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(good + h->e_phoff);

	(void)state;
	for (unsigned i = 0; i < h->e_phnum; i++) {
		size_t cuts[] = {
			h->e_phoff + i * sizeof *p,
			h->e_phoff + i * sizeof *p + sizeof *p / 2,
			p[i].p_offset,
			p[i].p_offset + p[i].p_filesz - 1,
			p[i].p_offset + p[i].p_filesz,
		};

		for (size_t k = 0; k < sizeof cuts / sizeof cuts[0]; k++) {
			if (cuts[k] < good_size)
				assert_non_null(check(work, cuts[k]));
		}
	}
	srand(7);
	for (int i = 0; i < 100; i++)
		assert_non_null(check(work, (size_t)rand() % good_size));
	assert_non_null(check(work, good_size - 1));
}

/* A writer that has set the size and written the beginning. Past what is
 * mapped and described nothing but symbols for debuggers can be lost. */
static void test_zeroed_rest(void **state)
{
	(void)state;
	for (size_t at = 64; at < good_size - 64; at += 64) {
		memset(work + at, 0, good_size - at);
		if (check(work, good_size) == NULL)
			fail_msg("zeros from %zu of %zu passed", at, good_size);
		restore();
	}
}

enum { SYSTEM_WANTED = 1000 };

static int system_most, system_count, system_refused;

/* Libraries of other machines and linker scripts are not meant. */
static int check_system_file(const char *path, const struct stat *st, int type,
			     struct FTW *at)
{
	const char *reason;
	size_t size;
	char *data;

	(void)at;
	if (type != FTW_F || strstr(path, ".so") == NULL ||
	    st->st_size < (off_t)sizeof(Elf64_Ehdr) ||
	    system_count >= system_most)
		return 0;
	data = file_read(path, &size);
	if (memcmp(data, good, EI_OSABI) == 0 &&
	    ((Elf64_Ehdr *)data)->e_machine ==
		    ((Elf64_Ehdr *)good)->e_machine &&
	    ((Elf64_Ehdr *)data)->e_type == ET_DYN) {
		reason = check(data, size);
		if (reason != NULL) {
			print_message("refused: %s: %s\n", path, reason);
			system_refused++;
		}
		system_count++;
	}
	free(data);
	return 0;
}

/* No sound library is refused: a hundred of the system's, in a soak all. */
static void test_system(void **state)
{
	bool soak = getenv("NEAP_SOAK") != NULL;

	(void)state;
	system_most = soak ? INT_MAX : SYSTEM_WANTED / 10;
	assert_int_equal(nftw("/usr/lib", check_system_file, 32, FTW_PHYS), 0);
	print_message("%d libraries of the system, %d refused\n", system_count,
		      system_refused);
	assert_int_equal(system_refused, 0);
	if (system_count < SYSTEM_WANTED / 10) {
		print_message("skipped: fewer than %d libraries here\n",
			      SYSTEM_WANTED / 10);
		skip();
	}
	if (soak && system_count < SYSTEM_WANTED)
		print_message("fewer than the %d that were wanted\n",
			      SYSTEM_WANTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_thread_local),
		cmocka_unit_test(test_bss),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_sysv),
		cmocka_unit_test(test_own_imports),
		cmocka_unit_test(test_wrapped_import),
		cmocka_unit_test(test_moved_hooks),
		cmocka_unit_test(test_version_definitions),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_zeroed_rest),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * The ELF check: sound libraries pass, damaged ones are refused, and of those
 * that still pass hardly any kills the loader, but for damage inside code.
 * test: timeout 300, soak 1800
 */
#include "unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

static uint32_t seed;

static uint32_t chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	return seed ^= seed << 5;
}

enum { CORPUS = 420 };

/* What was damaged: size of the file, and the bytes that differ. */
struct damage {
	size_t size;
	size_t from;
	size_t to;
};

/* One of 100 cut, 200 with a changed byte among the headers, 100 with a block
 * of rubbish behind them, 20 with zeros at the end. */
static struct damage damage(int i)
{
	struct damage d = { good_size, 0, good_size };

	restore();
	if (i < 100) {
		d.size = d.from = 1 + chance() % (good_size - 1);
	} else if (i < 300) {
		d.from = chance() % 2048;
		d.to = d.from + 1;
		work[d.from] ^= (char)(1 + chance() % 255);
	} else if (i < 400) {
		size_t size = 16 + chance() % 497;

		d.from = 2048 + chance() % (good_size - 2048 - size);
		d.to = d.from + size;
		for (size_t k = d.from; k < d.to; k++)
			work[k] = (char)(chance() >> 7);
	} else {
		d.from = good_size * (size_t)(i - 399) / 22;
		memset(work + d.from, 0, good_size - d.from);
	}
	return d;
}

/* Code cannot be told from other code. */
static bool is_in_code(const struct damage *d)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)good;
	const Elf64_Shdr *s = (const Elf64_Shdr *)(good + h->e_shoff);

	for (unsigned i = 0; i < h->e_shnum; i++) {
		if ((s[i].sh_flags & SHF_EXECINSTR) != 0 &&
		    s[i].sh_offset < d->to &&
		    s[i].sh_offset + s[i].sh_size > d->from)
			return true;
	}
	return false;
}

/* Load it as the server would have, had it passed the check. */
static void load_it(const char *file)
{
	void *dl = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (dl == NULL)
		return;
	dlsym(dl, "sum");
	dlsym(dl, "no_such_symbol");
	dlclose(dl);
}

/* A child dies of its signals, rather than go on with cmocka's tests; it says
 * nothing and leaves no core. */
static void become_victim(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL,
				       SIGSYS };
	struct rlimit none = { 0, 0 };
	int null = open("/dev/null", O_WRONLY);

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		signal(signals[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	alarm(60);
}

struct shared {
	int next;     /* file to go on with */
	int passed;   /* the check */
	bool in_code; /* the damage of the last one loaded */
};

/* All that pass the check in one process; it tells where it is. */
static void load_all(struct shared *s)
{
	char file[4096], cwd[2048];

	become_victim();
	if (getcwd(cwd, sizeof cwd) == NULL)
		_exit(1);
	seed = 12345;
	for (int i = 0, from = s->next; i < CORPUS; i++) {
		struct damage d = damage(i);

		if (i < from)
			continue;
		s->next = i + 1;
		if (check(work, d.size) != NULL)
			continue;
		s->passed++;
		s->in_code = is_in_code(&d);
		snprintf(file, sizeof file, "%s/bad-%d.so", cwd, i);
		file_overwrite(file, work, d.size);
		alarm(5); /* for each */
		load_it(file);
		unlink(file);
	}
	_exit(0);
}

static void test_corpus(void **state)
{
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int crashed = 0, in_code = 0, status;

	(void)state;
	while (s->next < CORPUS) {
		pid_t pid = fork();

		if (pid == 0)
			load_all(s);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status == 0)
			continue;
		crashed++;
		in_code += s->in_code;
		print_message("file %d killed the loader%s\n", s->next - 1,
			      s->in_code ? ": damaged code" : "");
	}
	print_message("%d damaged files: %d passed the check, %d of them "
		      "killed the loader, %d by damaged code\n",
		      CORPUS, s->passed, crashed, in_code);
	/* An initialiser's address that is changed to other code is code, too. */
	assert_in_range(crashed - in_code, 0, 1);
	munmap(s, sizeof *s);
	restore();
}

/* A check that let everything pass would be seen by the same count. */
static void test_corpus_without_check(void **state)
{
	char file[4096], cwd[2048];
	int crashed = 0, status;

	(void)state;
	assert_non_null(getcwd(cwd, sizeof cwd));
	seed = 12345;
	for (int i = 0; i < 100 && crashed == 0; i++) {
		struct damage d = damage(i);
		pid_t pid;

		snprintf(file, sizeof file, "%s/plain.so", cwd);
		file_overwrite(file, work, d.size);
		pid = fork();
		if (pid == 0) {
			become_victim();
			load_it(file);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		crashed += status != 0;
	}
	unlink("plain.so");
	assert_int_not_equal(crashed, 0);
	restore();
}

/* No sound library is refused: those of the system, hundreds of them. */
static void test_system(void **state)
{
	const char *folder = "/usr/lib/x86_64-linux-gnu";
	bool soak = getenv("NEAP_SOAK") != NULL;
	int most = soak ? 100000 : 500, count = 0;
	DIR *dir = opendir(folder);

	(void)state;
	if (dir == NULL)
		skip();
	for (struct dirent *e; (e = readdir(dir)) != NULL && count < most;) {
		char path[4096];
		const char *reason;
		struct stat st;
		size_t size;
		char *data;

		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		if (strstr(e->d_name, ".so") == NULL || lstat(path, &st) != 0 ||
		    !S_ISREG(st.st_mode) || st.st_size < 64)
			continue;
		data = file_read(path, &size);
		if (memcmp(data, ELFMAG, SELFMAG) == 0) {
			reason = check(data, size);
			if (reason != NULL)
				fail_msg("%s: %s", path, reason);
			count++;
		}
		free(data);
	}
	closedir(dir);
	print_message("%d libraries of the system pass\n", count);
	assert_in_range(count, 20, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_zeroed_rest),
		cmocka_unit_test(test_corpus),
		cmocka_unit_test(test_corpus_without_check),
		cmocka_unit_test(test_system),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

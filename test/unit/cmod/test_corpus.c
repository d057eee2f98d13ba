/*
 * Thousands of damaged libraries, built in several ways, each loaded in a
 * process of its own: plainly, and behind the check as the server would. What
 * gets past the check and kills its process is counted. Prints the table of
 * doc/internals/cmod.md.
 *
 * NEAP_SEED repeats a corpus by chance; NEAP_VERBOSE tells each death.
 *
 * test: timeout 300, soak 3600
 */
#include "unit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmod/elf_check.h"
#include "elf_damage.h"

/* Something of everything: constructors and destructors, thread-local data,
 * tables of pointers, calls into libraries, versions. */
static const char *const c_source =
	"#include <math.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"__thread int tls_a = 3; __thread int tls_b;\n"
	"int data_sym = 5; char bss_big[9000];\n"
	"const char *names[] = { \"a\", \"b\", \"c\" };\n"
	"int (*table[])(const char *, ...) = { printf, printf };\n"
	"static void *volatile keep;\n"
	"__attribute__((constructor)) static void up(void)\n"
	"{ keep = strdup(\"kept\"); bss_big[8000] = (char)tls_a; }\n"
	"__attribute__((constructor)) static void up_too(void)\n"
	"{ bss_big[1] = 2; }\n"
	"__attribute__((destructor)) static void down(void) { free(keep); }\n"
	"int sum(int a, int b) { return a + b + tls_b; }\n"
	"int text(char *to) { return sprintf(to, \"%s %f\", names[1],\n"
	"	sin(data_sym)); }\n"
	"int many(int n) { switch (n) { case 1: return puts(\"1\");\n"
	"	case 2: return getenv(\"x\") != 0; case 3: return rand();\n"
	"	case 4: return atoi(\"4\"); default: return table[0](\"\"); } }\n";

/* With an exception that is thrown and caught while it is loaded. */
static const char *const cxx_source =
	"#include <stdexcept>\n"
	"#include <string>\n"
	"#include <vector>\n"
	"static std::vector<std::string> words{\"a\", \"b\"};\n"
	"thread_local std::string mine = \"mine\";\n"
	"struct base { virtual ~base() {} virtual int f() { return 1; } };\n"
	"struct derived : base { int f() override { return 2; } };\n"
	"extern \"C\" int sum(int a, int b)\n"
	"{ try { if (a > b) throw std::runtime_error(\"x\"); }\n"
	"  catch (std::exception &e) { return (int)mine.size(); }\n"
	"  base *p = new derived; int n = p->f(); delete p;\n"
	"  return n + (int)words.size(); }\n";

static const char *const map = "V1 { global: sum; text; };\n"
			       "V2 { global: *; } V1;\n";

static const struct {
	const char *name;
	const char *flags;
	bool cxx;
} builds[] = {
	{ "plain", "-O1 -lm", false },
	{ "now, relro", "-O2 -Wl,-z,now,-z,relro -lm", false },
	{ "sysv hash", "-O1 -Wl,--hash-style=sysv -lm", false },
	{ "versions", "-O1 -Wl,--version-script=lib.map -lm", false },
	{ "packed, stripped",
	  "-O1 -s -Wl,-z,pack-relative-relocs,--hash-style=both -lm", false },
	{ "C++", "-O1 -static-libgcc -lstdc++", true },
};

enum { BUILDS = sizeof builds / sizeof builds[0], NOBODY = 65534 };

/* One row of the table. */
struct row {
	unsigned files;
	unsigned died;     /* without the check */
	unsigned passed;   /* the check */
	unsigned killed;   /* of those, what died; neither in code nor data */
	unsigned in_code;  /* the same, the damage hit code */
	unsigned in_data;  /* the same, it hit data */
	unsigned needless; /* refused although it opens */
};

static bool check(const struct damage *d)
{
	struct elf_facts facts;
	char reason[256];

	return elf_check(d->data, d->size, &facts, reason, sizeof reason) == 0;
}

/* A child that dies of its signals says nothing and leaves no core; and whatever
 * damaged code does, it does not do it as root. */
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
	alarm(10);
	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 ||
			       setuid(NOBODY) != 0))
		_exit(3);
}

/* Returns 0 when it was opened, 1 when the loader refused it, else it died. */
static int load_in_child(const char *file)
{
	int status;
	pid_t pid = fork();
	void *dl;

	if (pid == 0) {
		become_victim();
		dl = dlopen(file, RTLD_NOW | RTLD_LOCAL);
		if (dl == NULL)
			_exit(1);
		dlsym(dl, "sum");
		dlsym(dl, "no_such_symbol");
		dlclose(dl);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) <= 1
		       ? WEXITSTATUS(status)
		       : 2;
}

static void try_one(const struct damage *d, const char *what, struct row *row)
{
	const char *file = "./bad.so"; /* nobody may not look farther up */
	bool passed = check(d), died;
	int outcome;

	file_overwrite(file, d->data, d->size);
	outcome = load_in_child(file);
	unlink(file);
	died = outcome == 2;
	row->files++;
	row->died += died;
	row->passed += passed;
	row->needless += !passed && outcome == 0;
	if (!passed || !died)
		return;
	if (damage_hits_code(d))
		row->in_code++;
	else if (damage_hits_data(d))
		row->in_data++;
	else
		row->killed++;
	if (getenv("NEAP_VERBOSE") == NULL || damage_hits_code(d))
		return;
	print_message("killed: %s:", what);
	for (size_t i = 0; i < d->size; i++) {
		if (d->data[i] != d->good[i]) {
			print_message(" at %#zx %02x for %02x\n", i,
				      (unsigned char)d->data[i],
				      (unsigned char)d->good[i]);
			break;
		}
	}
}

static void build_all(void)
{
	char file[32];

	file_overwrite("lib.map", map, strlen(map));
	for (int i = 0; i < BUILDS; i++) {
		snprintf(file, sizeof file, "good-%d.so", i);
		build_so_from(file, builds[i].cxx ? cxx_source : c_source,
			      builds[i].cxx ? ".cc" : ".c", builds[i].flags);
	}
}

/* @a each files of each kind of each build. Returns the sum of all rows. */
static struct row run_corpus(uint64_t seed, int each)
{
	struct row rows[DAMAGE_KINDS + 1] = { 0 }, *sum = &rows[DAMAGE_KINDS];
	char what[128];
	struct damage d;

	for (int b = 0; b < BUILDS; b++) {
		char good[32];

		snprintf(good, sizeof good, "good-%d.so", b);
		damage_create(&d, good, seed + (unsigned)b);
		for (int k = 0; k < DAMAGE_KINDS * each; k++) {
			enum damage_kind kind = k / each;

			damage_make(&d, kind);
			snprintf(what, sizeof what, "%s, %s", builds[b].name,
				 damage_names[kind]);
			try_one(&d, what, &rows[kind]);
		}
		damage_destroy(&d);
	}
	print_message("seed %llu\n"
		      "| damage | files | plain loader died | refused | though "
		      "loadable | past the check, died | of code | of data |\n",
		      (unsigned long long)seed);
	for (int k = 0; k <= DAMAGE_KINDS; k++) {
		const struct row *r = &rows[k];

		print_message("| %s | %u | %u | %u | %u | %u | %u | %u |\n",
			      k < DAMAGE_KINDS ? damage_names[k] : "all",
			      r->files, r->died, r->files - r->passed,
			      r->needless, r->killed, r->in_code, r->in_data);
		sum->files += k < DAMAGE_KINDS ? r->files : 0;
		sum->died += k < DAMAGE_KINDS ? r->died : 0;
		sum->passed += k < DAMAGE_KINDS ? r->passed : 0;
		sum->needless += k < DAMAGE_KINDS ? r->needless : 0;
		sum->killed += k < DAMAGE_KINDS ? r->killed : 0;
		sum->in_code += k < DAMAGE_KINDS ? r->in_code : 0;
		sum->in_data += k < DAMAGE_KINDS ? r->in_data : 0;
	}
	return *sum;
}

/* At most 3 of 420 may get past the check and kill. */
static void expect_few(const struct row *sum)
{
	if (sum->killed * 420 > 3 * sum->files)
		fail_msg("%u of %u damaged files got past the check and "
			 "killed their process",
			 sum->killed, sum->files);
	/* Else the corpus would be too mild to show anything. */
	assert_true(sum->died * 20 > sum->files);
}

static int each(void)
{
	return getenv("NEAP_SOAK") != NULL ? 400 : 20;
}

static void test_known(void **state)
{
	struct row sum = run_corpus(1, each());

	(void)state;
	expect_few(&sum);
}

static void test_by_chance(void **state)
{
	const char *given = getenv("NEAP_SEED");
	struct row sum;
	uint32_t seed;

	(void)state;
	if (given != NULL)
		seed = (uint32_t)strtoul(given, NULL, 10);
	else
		assert_int_equal(getrandom(&seed, sizeof seed, 0), sizeof seed);
	sum = run_corpus(seed, each());
	expect_few(&sum);
}

/* The sound ones pass, and open. */
static void test_good(void **state)
{
	char file[32];
	struct damage d;

	(void)state;
	for (int i = 0; i < BUILDS; i++) {
		snprintf(file, sizeof file, "./good-%d.so", i);
		damage_create(&d, file, 1);
		memcpy(d.data, d.good, d.good_size);
		d.size = d.good_size;
		if (!check(&d) || load_in_child(file) != 0)
			fail_msg("%s is refused", builds[i].name);
		damage_destroy(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_by_chance),
	};

	build_all();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

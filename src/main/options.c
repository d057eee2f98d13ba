/* The command line. See options.h. */
#include "main/options.h"

#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "config/settings.h"

enum action {
	ACT_EVAL,
	ACT_REQUIRE,
	ACT_JIT,
	ACT_LOAD,
	ACT_LOAD_PER_THREAD,
	ACT_INTERACTIVE,
	ACT_VERSION,
	ACT_HELP,
	ACT_QUIET,
};

struct flag {
	char letter;      /* 0: none */
	const char *name; /* long form; NULL: none */
	enum action action;
	const char *value; /* what it takes, for the help; NULL: nothing */
	const char *help;
};

/* clang-format off */
static const struct flag flags[] = {
	{ 'e', "--eval", ACT_EVAL, "CHUNK", "run this Lua text" },
	{ 'l', "--require", ACT_REQUIRE, "[NAME=]MOD",
	  "require MOD into the global of its name, or NAME" },
	{ 0, "--load", ACT_LOAD, "FILE",
	  "run it before all else in the shared state" },
	{ 0, "--load-per-thread", ACT_LOAD_PER_THREAD, "FILE",
	  "and it then in the state of each worker" },
	{ 'i', "--interactive", ACT_INTERACTIVE, NULL,
	  "open the console after the script" },
	{ 'j', "--jit", ACT_JIT, "CMD",
	  "the JIT compiler: on, off, flush, opt.., v=.., dump=.." },
	{ 'q', "--quiet", ACT_QUIET, NULL, "no greeting in the console" },
	{ 'v', "--version", ACT_VERSION, NULL,
	  "versions of neap and what it is built of" },
	{ 'h', "--help", ACT_HELP, NULL, "this text" },
};

/* First words kept for what neap will do; a file of that name needs "./". */
static const char *const verbs[] = {
	"console", "doc", "health", "init",
	"luacheckrc", "pack", "rocks", "run", "test",
};
/* clang-format on */

enum { FLAG_COUNT = sizeof flags / sizeof *flags };

static const struct flag *find_short(char letter)
{
	for (int i = 0; i < FLAG_COUNT; i++) {
		if (flags[i].letter == letter)
			return &flags[i];
	}
	return NULL;
}

static const struct flag *find_long(const char *name, size_t size)
{
	for (int i = 0; i < FLAG_COUNT; i++) {
		if (strlen(flags[i].name) == size &&
		    memcmp(flags[i].name, name, size) == 0)
			return &flags[i];
	}
	return NULL;
}

static void add_step(struct options *o, enum option_kind kind, const char *text)
{
	o->steps[o->step_count++] = (struct option_step){ kind, text };
}

static void apply(struct options *o, const struct flag *f, const char *value)
{
	switch (f->action) {
	case ACT_EVAL:
		o->has_eval = true;
		add_step(o, OPTION_EVAL, value);
		break;
	case ACT_REQUIRE:
		add_step(o, OPTION_REQUIRE, value);
		break;
	case ACT_JIT:
		add_step(o, OPTION_JIT, value);
		break;
	case ACT_LOAD:
		add_step(o, OPTION_LOAD, value);
		break;
	case ACT_LOAD_PER_THREAD:
		add_step(o, OPTION_LOAD_PER_THREAD, value);
		break;
	case ACT_INTERACTIVE:
		o->interactive = true;
		break;
	case ACT_VERSION:
		o->version = true;
		break;
	case ACT_HELP:
		o->help = true;
		break;
	case ACT_QUIET:
		o->quiet = true;
		break;
	}
}

static int fail_missing(const char *flag)
{
	diag_set(IllegalParams, "%s: a value is missing", flag);
	return -1;
}

/* "--name", "--name=value", "--name value". Moves *i past what it took. */
static int parse_long(struct options *o, int argc, char **argv, int *i,
		      struct settings *settings)
{
	const char *arg = argv[*i], *value = strchr(arg, '=');
	size_t size = value == NULL ? strlen(arg) : (size_t)(value - arg);
	const struct flag *f = find_long(arg, size);
	int id = settings_find_flag(arg, size);
	bool wants = id >= 0 || (f != NULL && f->value != NULL);

	if (f == NULL && id < 0) {
		diag_set(IllegalParams, "%.*s: there is no such option",
			 (int)size, arg);
		return -1;
	}
	if (!wants && value != NULL) {
		diag_set(IllegalParams, "%.*s takes no value", (int)size, arg);
		return -1;
	}
	if (wants) {
		if (value != NULL)
			value++;
		else if (*i + 1 < argc)
			value = argv[++*i];
		else
			return fail_missing(arg);
	}
	if (id >= 0)
		return settings_set(settings, id, value, ORIGIN_FLAG);
	apply(o, f, value);
	return 0;
}

/* "-i", "-iv", "-eCHUNK", "-e CHUNK". */
static int parse_short(struct options *o, int argc, char **argv, int *i)
{
	char name[3] = "-?";

	for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
		const struct flag *f = find_short(*p);

		name[1] = *p;
		if (f == NULL) {
			diag_set(IllegalParams, "%s: there is no such option",
				 argv[*i]);
			return -1;
		}
		if (f->value == NULL) {
			apply(o, f, NULL);
			continue;
		}
		if (p[1] != '\0') {
			apply(o, f, p + 1);
		} else if (*i + 1 < argc) {
			apply(o, f, argv[++*i]);
		} else {
			return fail_missing(name);
		}
		return 0;
	}
	return 0;
}

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

/* The first word, when it is none of a script. */
static int check_word(const char *word)
{
	for (unsigned i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(word, verbs[i]) == 0) {
			diag_set(IllegalParams,
				 "'neap %s' is not there yet "
				 "(to run a file of that name: ./%s)",
				 word, word);
			return -1;
		}
	}
	return 0;
}

/* "check FILE", "config show [--json] FILE": i is the index behind the word. */
static int parse_config(struct options *o, int argc, char **argv, int i)
{
	bool shows = strcmp(argv[i - 1], "config") == 0;

	if (shows && i + 1 == argc && strcmp(argv[i], "schema") == 0) {
		o->config_use = OPTION_CONFIG_SCHEMA;
		return 0;
	}
	if (shows) {
		if (i >= argc || strcmp(argv[i], "show") != 0)
			goto usage;
		i++;
	}
	o->config_use = shows ? OPTION_CONFIG_SHOW : OPTION_CONFIG_CHECK;
	for (; i < argc; i++) {
		if (shows && strcmp(argv[i], "--json") == 0)
			o->json = true;
		else if (o->config == 0 && argv[i][0] != '-')
			o->config = i;
		else
			goto usage;
	}
	if (o->config != 0)
		return 0;
usage:
	diag_set(IllegalParams,
		 "usage: neap %s FILE (to run a file of that "
		 "name: ./%s)",
		 shows ? "config schema | config show [--json]" : "check",
		 shows ? "config" : "check");
	return -1;
}

/* The first word that is no option: a script, or a configuration. */
static int parse_file(struct options *o, int argc, char **argv, int i)
{
	if (!ends_with(argv[i], ".yaml") && !ends_with(argv[i], ".yml")) {
		o->script = i;
		return 0;
	}
	o->config = i;
	if (i + 1 < argc) {
		diag_set(IllegalParams,
			 "%s: a configuration has its scripts' arguments, "
			 "'%s' is too much",
			 argv[i], argv[i + 1]);
		return -1;
	}
	return 0;
}

/* "reload FILE", "upgrade FILE": where its console is stands in there. The rest is for Lua. */
static int parse_reload(struct options *o, int argc, char **argv, int i,
			struct settings *settings)
{
	const char *last = argv[argc - 1];

	o->reload = i;
	if (i + 2 == argc &&
	    (ends_with(last, ".yaml") || ends_with(last, ".yml")))
		o->config = argc - 1;
	return settings_set(settings, SETTING_WORKERS, "1", ORIGIN_FLAG);
}

static int parse(struct options *o, int argc, char **argv,
		 struct settings *settings)
{
	int i = 1;

	for (; i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			break;
		if (strcmp(argv[i], "--") == 0) {
			return ++i < argc ? parse_file(o, argc, argv, i) : 0;
		}
		if (argv[i][1] == '-'
			    ? parse_long(o, argc, argv, &i, settings) != 0
			    : parse_short(o, argc, argv, &i) != 0)
			return -1;
	}
	if (i >= argc)
		return 0;
	if (strcmp(argv[i], "version") == 0) {
		o->version = true;
		return 0;
	}
	if (strcmp(argv[i], "connect") == 0) {
		o->connect = i;
		return settings_set(settings, SETTING_WORKERS, "1",
				    ORIGIN_FLAG);
	}
	if (strcmp(argv[i], "reload") == 0 || strcmp(argv[i], "upgrade") == 0)
		return parse_reload(o, argc, argv, i, settings);
	if (strcmp(argv[i], "module") == 0) {
		o->module = i;
		return 0;
	}
	if (strcmp(argv[i], "check") == 0 || strcmp(argv[i], "config") == 0)
		return parse_config(o, argc, argv, i + 1);
	if (check_word(argv[i]) != 0)
		return -1;
	return parse_file(o, argc, argv, i);
}

int options_parse(struct options *o, int argc, char **argv,
		  struct settings *settings)
{
	*o = (struct options){ 0 };
	/* A step takes at least one argument. */
	o->steps = mem_alloc((argc + 1) * sizeof *o->steps);
	if (o->steps == NULL) {
		diag_set_oom(argc * sizeof *o->steps, "the command line");
		return -1;
	}
	if (parse(o, argc, argv, settings) == 0)
		return 0;
	options_destroy(o);
	return -1;
}

void options_destroy(struct options *o)
{
	mem_free(o->steps);
	o->steps = NULL;
	o->step_count = 0;
}

static void print_flag(FILE *out, const char *left, const char *help)
{
	fprintf(out, "  %-30s %s\n", left, help);
}

void options_print_help(FILE *out)
{
	char left[64];

	fputs("usage: neap [options] [script [arguments]]\n"
	      "       neap [options] server.yaml\n\n"
	      "Runs a Lua script ('-': from standard input) as a server of "
	      "fibers,\nor the server that a configuration declares. Without "
	      "either, opens the console.\n\noptions:\n",
	      out);
	for (int i = 0; i < FLAG_COUNT; i++) {
		char letter[5] = "";

		if (flags[i].letter != 0)
			snprintf(letter, sizeof letter, "-%c, ",
				 flags[i].letter);
		snprintf(left, sizeof left, "%s%s%s%s", letter, flags[i].name,
			 flags[i].value == NULL ? "" : " ",
			 flags[i].value == NULL ? "" : flags[i].value);
		print_flag(out, left, flags[i].help);
	}
	print_flag(out, "--", "what follows is the script and its arguments");
	fputs("\ncommands (a file of such a name is run as ./NAME):\n", out);
	print_flag(out, "check FILE",
		   "check a configuration and its scripts, serve nothing");
	print_flag(out, "config show [--json] FILE",
		   "each of its values, and where that comes from");
	print_flag(out, "config schema", "what may stand there, as JSON");
	print_flag(out, "connect PATH|HOST:PORT",
		   "open the console of a running program");
	print_flag(out, "module new NAME",
		   "make a folder with a C module to begin with");
	print_flag(out, "reload FILE|PATH|HOST:PORT",
		   "have a running server read its configuration again");
	print_flag(out, "upgrade FILE|PATH|HOST:PORT",
		   "have a new process of its program take its place");
	print_flag(out, "version", "as --version");
	fputs("\nsettings (a flag wins over the variable, that over a "
	      "configuration):\n",
	      out);
	for (int i = 0; i < SETTING_COUNT; i++) {
		const struct setting *t = &settings_table[i];

		snprintf(left, sizeof left, "%s%s%s",
			 t->flag == NULL ? t->env : t->flag,
			 t->flag == NULL ? "=" : " ", t->value_name);
		print_flag(out, left, t->help);
		if (t->flag != NULL || t->fallback != NULL)
			fprintf(out, "  %-30s   (%s%s%s%s)\n", "",
				t->flag == NULL ? "" : t->env,
				t->flag == NULL || t->fallback == NULL ? ""
								       : "; ",
				t->fallback == NULL ? "" : "default ",
				t->fallback == NULL ? "" : t->fallback);
	}
	fputs("\nexit codes: 0; 1 an error nobody caught, or no such script; "
	      "2 a wrong command line;\n128+N ended by signal N; "
	      "os.exit(n) gives n.\n",
	      out);
}

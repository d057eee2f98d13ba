/* The command line: parsed into struct options, checked, explained. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct settings;

enum option_kind {
	OPTION_EVAL,    /* -e CHUNK */
	OPTION_REQUIRE, /* -l MOD or -l g=mod */
	OPTION_JIT,     /* -j CMD */
	OPTION_LOAD,    /* --load FILE */
	OPTION_LOAD_PER_THREAD,
};

/** What is done before the script, in the order given; files to load come
 * before all other steps. */
struct option_step {
	enum option_kind kind;
	const char *text;
};

/** What is done with a configuration. */
enum option_config {
	OPTION_CONFIG_SERVE,
	OPTION_CONFIG_CHECK,
	OPTION_CONFIG_SHOW,
	OPTION_CONFIG_SCHEMA, /* of no file */
};

struct options {
	struct option_step *steps;
	int step_count;
	bool interactive; /* -i */
	bool version;     /* -v */
	bool help;        /* -h */
	bool quiet;       /* -q: no greeting */
	bool has_eval;    /* a -e among the steps */
	int connect;      /* argv index of the command `connect`; 0: none */
	int reload;       /* argv index of the command `reload` or `upgrade`;
				0: none */
	int module;       /* argv index of the command `module`; 0: none */
	int script;       /* argv index of the script ("-": stdin); 0: none */
	int config;       /* argv index of the configuration; 0: none */
	enum option_config config_use;
	bool json; /* show it so */
};

/**
 * Parse the command line; flags that are settings go to @a settings. The
 * result points into @a argv. Returns 0, or -1 with diag set (IllegalParams:
 * one line for the user).
 */
int options_parse(struct options *o, int argc, char **argv,
		  struct settings *settings);

void options_destroy(struct options *o);

/** What `neap -h` prints. */
void options_print_help(FILE *out);

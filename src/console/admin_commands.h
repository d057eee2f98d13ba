/*
 * All admin commands there are: the server's own, each file's list, and those that
 * scripts register.
 */
#pragma once

#include "console/admin.h"

struct buf;

/* Lists end with NULL. */
extern const struct admin_command *const admin_commands_session[];
extern const struct admin_command *const admin_commands_process[];
extern const struct admin_command *const admin_commands_workers[];
extern const struct admin_command *const admin_commands_cli[];
extern const struct admin_command *const admin_commands_activity[];
extern const struct admin_command *const admin_commands_profile[];
extern const struct admin_command *const admin_commands_wait[];
extern const struct admin_command *const admin_commands_trace[];
extern const struct admin_command *const admin_commands_metrics[];
extern const struct admin_command *const admin_commands_fibers[];
extern const struct admin_command *const admin_commands_modules[];
extern const struct admin_command *const admin_commands_http[];
extern const struct admin_command *const admin_commands_log[];
extern const struct admin_command *const admin_commands_limits[];
extern const struct admin_command *const admin_commands_reload[];
extern const struct admin_command *const admin_commands_maps[];

/** One more; what it is stays the caller's. Returns 0, or -1 with diag set: there is
 * one of that name, or there are too many. */
int admin_commands_add(const struct admin_command *c);

/** Take one that was added away, for which @a is_it is true. NULL: there is none. */
const struct admin_command *
admin_commands_remove(bool (*is_it)(const struct admin_command *c));

/** Call @a fn with each command that @a level may run, in the order of their words,
 * until it returns false. */
void admin_commands_each(enum admin_level level,
			 bool (*fn)(const struct admin_command *c, void *arg),
			 void *arg);

/** The command with the longest name that @a words begin with; *ret_used of them
 * are its name. NULL: there is none. */
const struct admin_command *
admin_commands_find(char *const *words, unsigned count, unsigned *ret_used);

/** Append how @a c is called: "show fibers [worker] [json]". Returns 0 or -1. */
int admin_usage(const struct admin_command *c, struct buf *out);

/**
 * Append help, a line for each command whose name begins with @a words. With @a json
 * all that is known of them. Returns how many there are, or -1: no memory.
 */
int admin_help(char *const *words, unsigned count, enum admin_level level,
	       bool json, struct buf *out);

/**
 * Write to @a out, which is empty, why @a words are no command: with those whose names
 * begin so or, when there are none, the five whose names are most like it. Returns 0 or
 * -1: no memory.
 */
int admin_explain(char *const *words, unsigned count, enum admin_level level,
		  struct buf *out);

/**
 * Tell @a fn what may be typed in the place of the end of @a text, a line of
 * commands. Returns where the word begins that it replaces.
 */
size_t admin_complete(const char *text, size_t size, enum admin_level level,
		      void (*fn)(const char *candidate, void *arg), void *arg);

/*
 * Tables of keys and values, or of keys alone, that all threads of the process share
 * under a name, which is most often that of the file they come from: maps and ACLs.
 * They are looked up by patterns of one or more kinds (pattern_index.h).
 *
 * All functions are thread-safe. Whoever looks up waits for single changes, which
 * are short, and never for a table that is replaced as a whole: the new one is made
 * aside, as a generation of its own, and then takes the place of the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/pattern_index.h"

struct buf;
struct patref;
struct patref_gen;

enum {
	PATREF_NAME_MAX = 4095,
	PATREFS_MAX = 1024,       /* names */
	PATREF_KEY_MAX = 8192,    /* bytes */
	PATREF_VALUE_MAX = 65536, /* bytes */
	PATREF_ENTRIES_MAX = 1 << 22 /* of a generation */,
	PATREF_PENDING_MAX = 8, /* generations that are prepared at once */
};

#define PATREF_BYTES_MAX ((size_t)1 << 30) /* of a generation */

/** What happened; a subscriber of events is told. */
enum patref_change {
	PATREF_ADD,
	PATREF_DEL,
	PATREF_SET,
	PATREF_CLEAR,
	PATREF_COMMIT,
	PATREF_CHANGES,
};

/**
 * The table of that name, read from the file when nobody has asked for it yet:
 * files whose names are not absolute are looked for in @a folder, or, when that is NULL,
 * where the process works; "virt@NAME" begins empty, "opt@PATH" does, too, when there is no such file. Returns 0, or -1
 * with diag set: the file cannot be read, a line of it is wrong (with its place), a map
 * is wanted as an ACL or the other way round, there are too many.
 */
int patref_open(const char *name, bool is_map, const char *folder,
		struct patref **ret);

/** The table of that name, or NULL. */
struct patref *patref_find(const char *name);

/** The one with the lowest number above @a after, which is that of its opening: 1, 2, ..
 * NULL: there is none. They live until patrefs_end(). */
struct patref *patref_after(unsigned after);

/** Append the names of all to @a out, each with a zero byte behind. Returns 0 or -1: no
 * memory. */
int patref_names(struct buf *out);

const char *patref_name(const struct patref *r);
bool patref_is_map(const struct patref *r);

struct patref_look {
	unsigned id;
	unsigned size;    /* keys that are there for all */
	size_t bytes;     /* of them */
	uint64_t version; /* 0, and that of what was committed last */
	unsigned prepared;
	bool in_use[PATTERN_METHODS][2]; /* by method; with fold */
};
void patref_look(struct patref *r, struct patref_look *ret);

/**
 * It will be looked up by @a method. Returns 0, or -1 with diag set: one of the keys is
 * no such pattern, with its place.
 */
int patref_use(struct patref *r, enum pattern_method method, bool fold);

enum patref_found { PATREF_NOT_FOUND, PATREF_FOUND, PATREF_FAILED };

enum patref_wanted {
	PATREF_VALUE,
	PATREF_EXPANDED, /* \0 to \9 in it are what the regular expression matched */
	PATREF_KEY,      /* that matches */
};

/**
 * Look @a text up by a method that is in use, and append what is wanted of what it
 * matches to @a out. PATREF_FAILED: no memory, diag set.
 */
enum patref_found patref_match(struct patref *r, enum pattern_method method,
			       bool fold, const char *text, size_t size,
			       enum patref_wanted wanted, struct buf *out);

/* Keys as they are. @a gen is a generation that was prepared, or NULL: what is there for
 * all. Those that change return 0, or -1 with diag set: the key is there already, or is
 * not; it is no pattern of a kind in use; too long, too many, no memory; the
 * generation is gone. */

enum patref_found patref_get(struct patref *r, struct patref_gen *gen,
			     const char *key, size_t size, struct buf *out);
int patref_add(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size, const char *value, size_t value_size);
int patref_set(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size, const char *value, size_t value_size, bool or_add);
int patref_del(struct patref *r, struct patref_gen *gen, const char *key,
	       size_t size);

/** Take all out. What is left of them is freed by patref_gen_unref(*ret_old); NULL:
 * nothing. */
int patref_purge(struct patref *r, struct patref_gen *gen,
		 struct patref_gen **ret_old);

/** A generation that nobody sees, and is the caller's. NULL with diag set. */
struct patref_gen *patref_prepare(struct patref *r);

/**
 * It takes the place of what is there; older ones that are prepared are gone. Returns 0
 * and what was there in *ret_old, to be freed; or -1 with diag set, and it stays
 * prepared, unless it is gone.
 */
int patref_commit(struct patref *r, struct patref_gen *gen,
		  struct patref_gen **ret_old);

/** It was committed, is given up, or a newer one was committed. */
bool patref_is_gone(struct patref *r, const struct patref_gen *gen);

/** As patref_prepare(), for all who know its number, *ret_version; the table holds it
 * until it is committed, given up or gone. Returns 0, or -1 with diag set. */
int patref_prepare_version(struct patref *r, uint64_t *ret_version);

/** What was prepared so, with a reference for the caller. NULL with diag set: it is not
 * there, or no more. */
struct patref_gen *patref_version(struct patref *r, uint64_t version);

/** Nobody wants it any more; then patref_gen_unref(). */
void patref_give_up(struct patref *r, struct patref_gen *gen);

/** What the file has now, which is the caller's, and nobody else sees; @a folder as of
 * patref_open(). NULL with diag set. */
struct patref_gen *patref_read(struct patref *r, const char *folder);

/** It takes the place of what is there, as by patref_commit(), which is then in *ret_old;
 * or, with -1 and diag set, @a gen is: it is taken over either way. */
int patref_install(struct patref *r, struct patref_gen *gen,
		   struct patref_gen **ret_old);

/** One reference less; the last one frees what is in it and goes with it, which takes
 * time when that is much: patref_gen_weight() entries, none when others have it, too. NULL
 * is fine. */
void patref_gen_unref(struct patref_gen *gen);
unsigned patref_gen_weight(const struct patref_gen *gen);
unsigned patref_gen_size(const struct patref_gen *gen);

/** How many keys there are. */
unsigned patref_size(struct patref *r, struct patref_gen *gen);

/** A walk through the keys of what is there now, or of @a gen, but for those that are
 * added after it began. All zero is none. */
struct patref_cursor {
	struct list link; /* in the generation */
	struct patref *ref;
	struct patref_gen *gen;
	struct list *at; /* the next entry */
	uint64_t end;    /* of their order */
};

void patref_cursor_open(struct patref_cursor *c, struct patref *r,
			struct patref_gen *gen);
/** Append up to @a max pairs to @a out, each as two sizes (uint32_t) and the bytes of
 * key and value. Returns how many; 0: the end; -1: no memory, diag set. */
int patref_cursor_next(struct patref_cursor *c, unsigned max, struct buf *out);
/** Returns a reference, which is the caller's; NULL: it is closed. */
struct patref_gen *patref_cursor_close(struct patref_cursor *c);

/** Told of each change of a table that is watched, on the thread that made it, with no
 * lock held. */
typedef void (*patref_watch_f)(const char *name, enum patref_change change);
void patref_set_watch(patref_watch_f fn);

/** Somebody wants to know of changes of @a r, or does no more. */
void patref_watch(struct patref *r, int change);

/** The end of the process. */
void patrefs_end(void);

/** What a line of a file tells of a key, of @a r's kind. False: nothing, as it is a
 * comment. */
struct patref_line {
	const char *key, *value;
	size_t key_size, value_size;
};
bool patref_read_line(const struct patref *r, const char *line, size_t size,
		      struct patref_line *ret);

/* Between patref.c and patref_file.c. */

/** Add the lines of the file to @a gen. Returns 0, or -1 with diag set. */
int patref__read_file(struct patref *r, struct patref_gen *gen,
		      const char *folder);

/** Add a line's key, which no reader sees yet. A key that is there keeps its value. */
int patref__load(struct patref *r, struct patref_gen *gen, const char *key,
		 size_t size, const char *value, size_t value_size,
		 unsigned line);

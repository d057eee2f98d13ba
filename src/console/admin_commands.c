/* All admin commands, and what is told of them. See admin_commands.h. */
#include "console/admin_commands.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "console/admin_line.h"
#include "port/json_encode.h"

enum {
	COMMANDS_MAX = 256,
	NAME_MAX_SIZE = 64, /* of words that are compared */
	LIKE_MAX = 5,       /* that are offered for one that is not there */
};

static const struct admin_command *const *const lists[] = {
	admin_commands_session, admin_commands_cli,     admin_commands_process,
	admin_commands_workers, admin_commands_fibers,  admin_commands_activity,
	admin_commands_profile, admin_commands_trace,   admin_commands_modules,
	admin_commands_http,    admin_commands_log,     admin_commands_limits,
	admin_commands_reload,  admin_commands_metrics, admin_commands_wait,
	admin_commands_maps,
};

const char *const admin_level_names[ADMIN_LEVEL_COUNT] = { "user", "operator",
							   "admin" };

static int compare(const void *a, const void *b)
{
	return strcmp((*(const struct admin_command *const *)a)->words,
		      (*(const struct admin_command *const *)b)->words);
}

/* Of each thread that serves consoles: while a server reloads there are two, and what
 * scripts register is of their states. */
static __thread const struct admin_command *all_commands[COMMANDS_MAX];
static __thread unsigned all_count;

/* Sorted once. */
static unsigned sorted(const struct admin_command ***ret)
{
	*ret = all_commands;
	if (all_count > 0)
		return all_count;
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
		for (unsigned i = 0; lists[l][i] != NULL; i++)
			if (all_count < COMMANDS_MAX)
				all_commands[all_count++] = lists[l][i];
	qsort(all_commands, all_count, sizeof(all_commands[0]), compare);
	return all_count;
}

int admin_commands_add(const struct admin_command *c)
{
	const struct admin_command **all;
	unsigned count = sorted(&all);

	if (bsearch(&c, all, count, sizeof(all[0]), compare) != NULL) {
		diag_set(IllegalParams, "there is a command '%s' already",
			 c->words);
		return -1;
	}
	if (count == COMMANDS_MAX) {
		diag_set(ClientError, "there are %d commands already",
			 COMMANDS_MAX);
		return -1;
	}
	all[all_count++] = c;
	qsort(all, all_count, sizeof(all[0]), compare);
	return 0;
}

const struct admin_command *
admin_commands_remove(bool (*is_it)(const struct admin_command *c))
{
	const struct admin_command **all, *found;
	unsigned count = sorted(&all);

	for (unsigned i = 0; i < count; i++) {
		if (!is_it(all[i]))
			continue;
		found = all[i];
		memmove(&all[i], &all[i + 1], (count - i - 1) * sizeof(all[0]));
		all_count--;
		return found;
	}
	return NULL;
}

void admin_commands_each(enum admin_level level,
			 bool (*fn)(const struct admin_command *c, void *arg),
			 void *arg)
{
	const struct admin_command **all;
	unsigned count = sorted(&all);

	for (unsigned i = 0; i < count; i++)
		if (all[i]->level <= level && !fn(all[i], arg))
			return;
}

/* How many of @a words are @a name; 0: they do not begin with it. */
static unsigned match_name(const char *name, char *const *words, unsigned count)
{
	unsigned used = 0;

	for (;;) {
		size_t size = strcspn(name, " ");

		if (used == count || strlen(words[used]) != size ||
		    memcmp(words[used], name, size) != 0)
			return 0;
		used++;
		if (name[size] == '\0')
			return used;
		name += size + 1;
	}
}

const struct admin_command *
admin_commands_find(char *const *words, unsigned count, unsigned *ret_used)
{
	const struct admin_command **all, *best = NULL;
	unsigned all_count = sorted(&all);

	*ret_used = 0;
	for (unsigned i = 0; i < all_count; i++) {
		unsigned used = match_name(all[i]->words, words, count);

		if (used > *ret_used) {
			*ret_used = used;
			best = all[i];
		}
	}
	return best;
}

static int put_arg(const struct admin_arg *a, struct buf *out)
{
	const char *open = a->kind == ADMIN_FLAG ? "" : "<";
	const char *close = a->kind == ADMIN_FLAG ? "" : ">";
	const char *name = a->name;

	if (a->choices != NULL) {
		name = a->choices;
		open = close = "";
	} else if (a->kind == ADMIN_VERSION) {
		open = "@<";
	}
	if (a->keyed)
		return buf_printf(out,
				  a->optional ? " [%s %s%s%s]" : " %s %s%s%s",
				  a->name, open, name, close);
	return buf_printf(out, a->optional ? " [%s%s%s]" : " %s%s%s", open,
			  name, close);
}

int admin_usage(const struct admin_command *c, struct buf *out)
{
	if (buf_puts(out, c->words) != 0)
		return -1;
	for (const struct admin_arg *a = c->args; a != NULL && a->name != NULL;
	     a++)
		if (put_arg(a, out) != 0)
			return -1;
	if (c->collect != NULL && buf_puts(out, " [worker <n>]") != 0)
		return -1;
	if (c->columns != NULL &&
	    buf_puts(out, c->plain ? " [json]" : " [json|typed]") != 0)
		return -1;
	return c->payload ? buf_puts(out, " [<<]") : 0;
}

/* --- what is like what was typed --- */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance between @a a and the beginning of @a b. */
static unsigned distance(const char *a, size_t a_size, const char *b,
			 size_t b_size)
{
	unsigned row[NAME_MAX_SIZE + 1], best;

	a_size = a_size < NAME_MAX_SIZE ? a_size : NAME_MAX_SIZE;
	b_size = b_size < NAME_MAX_SIZE ? b_size : NAME_MAX_SIZE;
	for (unsigned j = 0; j <= a_size; j++)
		row[j] = j;
	best = row[a_size];
	for (unsigned i = 1; i <= b_size; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= a_size; j++) {
			unsigned above = row[j];

			row[j] = least(least(row[j], row[j - 1]) + 1,
				       diagonal + (a[j - 1] != b[i - 1]));
			diagonal = above;
		}
		best = least(best, row[a_size]);
	}
	return best;
}

static size_t join(char *const *words, unsigned count, char *to)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t n = strlen(words[i]);

		if (size + n + 1 > NAME_MAX_SIZE)
			break;
		if (size > 0)
			to[size++] = ' ';
		memcpy(to + size, words[i], n);
		size += n;
	}
	to[size] = '\0';
	return size;
}

struct likeness {
	const struct admin_command *command;
	unsigned distance;
};

static int by_distance(const void *a, const void *b)
{
	const struct likeness *x = a, *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return strcmp(x->command->words, y->command->words);
}

/* The commands most like @a words. Returns how many. */
static unsigned find_like(char *const *words, unsigned count,
			  enum admin_level level,
			  const struct admin_command **ret)
{
	struct likeness found[COMMANDS_MAX];
	const struct admin_command **all;
	char typed[NAME_MAX_SIZE + 1];
	size_t size = join(words, count, typed);
	unsigned all_count = sorted(&all), n = 0;

	for (unsigned i = 0; i < all_count; i++) {
		unsigned d = distance(typed, size, all[i]->words,
				      strlen(all[i]->words));

		if (all[i]->level <= level && d <= 1 + size / 3)
			found[n++] = (struct likeness){ all[i], d };
	}
	qsort(found, n, sizeof(found[0]), by_distance);
	n = n < LIKE_MAX ? n : LIKE_MAX;
	for (unsigned i = 0; i < n; i++)
		ret[i] = found[i].command;
	return n;
}

/* --- help --- */

/* Does the name begin with the words, the last of which may be a part? */
static bool begins_with(const char *name, char *const *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t size = strcspn(name, " "), n = strlen(words[i]);
		bool last = i + 1 == count;

		if (last ? n > size : n != size)
			return false;
		if (memcmp(name, words[i], n) != 0)
			return false;
		if (!last && name[size] == '\0')
			return false;
		name += size + (name[size] != '\0');
	}
	return true;
}

/* What it does has a column, and a line when how it is called is too long for one. */
static int put_help(const struct admin_command *c, struct buf *out)
{
	enum { COLUMN = 38 };
	size_t before = out->size, size;

	if (buf_puts(out, "  ") != 0 || admin_usage(c, out) != 0)
		return -1;
	size = out->size - before;
	if (size > COLUMN && buf_putc(out, '\n') != 0)
		return -1;
	return buf_printf(out, "%*s %s\n",
			  (int)(size > COLUMN ? COLUMN : COLUMN - size), "",
			  c->help);
}

static const char *const kind_names[] = {
	[ADMIN_TEXT] = "text",       [ADMIN_NUMBER] = "number",
	[ADMIN_COUNTER] = "counter", [ADMIN_BYTES] = "bytes",
	[ADMIN_SECONDS] = "seconds", [ADMIN_PERCENT] = "percent",
	[ADMIN_FLAG] = "flag",       [ADMIN_COMMAND] = "command",
	[ADMIN_VERSION] = "version",
};

static int tell_text(struct port_sink *s, const char *key, const char *text)
{
	return port_str(s, key, strlen(key)) != 0 ||
			       port_str(s, text, strlen(text)) != 0
		       ? -1
		       : 0;
}

static int tell_args(struct port_sink *s, const struct admin_arg *a)
{
	if (port_str(s, "arguments", 9) != 0 ||
	    port_array(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) != 0)
		return -1;
	for (; a != NULL && a->name != NULL; a++) {
		if (port_map(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) != 0 ||
		    tell_text(s, "name", a->name) != 0 ||
		    tell_text(s, "type", kind_names[a->kind]) != 0 ||
		    (a->choices != NULL &&
		     tell_text(s, "choices", a->choices) != 0) ||
		    tell_text(s, "help", a->help) != 0 ||
		    port_str(s, "optional", 8) != 0 ||
		    port_boolean(s, a->optional) != 0 || port_end(s) != 0)
			return -1;
	}
	return port_end(s);
}

static int tell_columns(struct port_sink *s, const struct admin_column *c)
{
	if (port_str(s, "columns", 7) != 0 ||
	    port_array(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) != 0)
		return -1;
	for (; c != NULL && c->name != NULL; c++) {
		if (port_map(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) != 0 ||
		    tell_text(s, "name", c->name) != 0 ||
		    tell_text(s, "type", kind_names[c->kind]) != 0 ||
		    tell_text(s, "help", c->help) != 0 || port_end(s) != 0)
			return -1;
	}
	return port_end(s);
}

static int put_help_json(const struct admin_command *c, struct buf *out)
{
	struct buf usage = { 0 };
	struct json_encoder e;
	struct port_sink *s = &e.sink;
	int rc = -1;

	json_encoder_create(&e, out, &json_encode_default);
	if (admin_usage(c, &usage) == 0 && buf_putc(&usage, '\0') == 0 &&
	    port_map(s, PORT_COUNT_UNKNOWN, PORT_STYLE_FLOW) == 0 &&
	    tell_text(s, "name", c->words) == 0 &&
	    tell_text(s, "usage", usage.data) == 0 &&
	    tell_text(s, "level", admin_level_names[c->level]) == 0 &&
	    tell_text(s, "help", c->help) == 0 && tell_args(s, c->args) == 0 &&
	    tell_columns(s, c->columns) == 0)
		rc = port_end(s);
	buf_destroy(&usage);
	return rc;
}

static int put_one(const struct admin_command *c, bool json, unsigned nth,
		   struct buf *out)
{
	if (!json)
		return put_help(c, out);
	return buf_puts(out, nth == 0 ? "[" : ",\n") != 0
		       ? -1
		       : put_help_json(c, out);
}

int admin_help(char *const *words, unsigned count, enum admin_level level,
	       bool json, struct buf *out)
{
	const struct admin_command **all;
	unsigned all_count = sorted(&all), n = 0;

	for (unsigned i = 0; i < all_count; i++) {
		if (all[i]->level > level ||
		    !begins_with(all[i]->words, words, count))
			continue;
		if (put_one(all[i], json, n++, out) != 0)
			return -1;
	}
	if (json && buf_puts(out, n == 0 ? "[]\n" : "]\n") != 0)
		return -1;
	return (int)n;
}

/* What operators of HAProxy may type, and what there is here. */
static const struct {
	const char *words, *here;
} elsewhere[] = {
	{ "show sess", "show requests, show connections" },
	{ "show threads", "show workers, dump state" },
	{ "show fd", "show connections" },
	{ "show profiling", "profile lua" },
	{ "set profiling", "profile lua" },
	{ "show proc", "show workers" },
	{ "shutdown session", "shut connection" },
	{ "shutdown sessions", "shut connection" },
	{ "trace", "trace request" },
	{ "expert-mode", "nothing: what is dangerous has the level admin" },
	{ "experimental-mode", "nothing: no command is an experiment" },
	{ "clear counters", "nothing: counters only grow; what reads them "
			    "takes differences" },
	{ "show servers", "nothing: there are no backends" },
	{ "show backend", "nothing: there are no backends" },
	{ "set server", "nothing: there are no backends" },
	{ "enable", "nothing: there are no backends" },
	{ "disable", "nothing: there are no backends" },
	{ "show table", "nothing: there are no stick tables; see shared.dict" },
};

static const char *find_elsewhere(char *const *words, unsigned count)
{
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (match_name(elsewhere[i].words, words, count) > 0)
			return elsewhere[i].here;
	return NULL;
}

static int put_like(char *const *words, unsigned count, enum admin_level level,
		    struct buf *out)
{
	const char *here = find_elsewhere(words, count);
	const struct admin_command *like[LIKE_MAX];
	unsigned n = find_like(words, count, level, like);

	if (here != NULL)
		return buf_printf(out, "no such command; what is like it: %s\n",
				  here);

	if (buf_puts(out, n > 0 ? "no such command; do you mean:\n"
				: "no such command: see help\n") != 0)
		return -1;
	for (unsigned i = 0; i < n; i++)
		if (put_help(like[i], out) != 0)
			return -1;
	return 0;
}

int admin_explain(char *const *words, unsigned count, enum admin_level level,
		  struct buf *out)
{
	int rc;

	if (buf_puts(out, "more words are wanted:\n") != 0)
		return -1;
	rc = admin_help(words, count, level, false, out);
	if (rc == 0) {
		out->size = 0;
		rc = put_like(words, count, level, out);
	}
	if (rc < 0)
		return -1;
	out->size--; /* the end of the last line */
	return 0;
}

/* --- completion --- */

/* The word of @a name at @a nth into @a to. */
static bool word_at(const char *name, unsigned nth, char *to, size_t room)
{
	size_t size;

	for (; nth > 0; nth--) {
		name += strcspn(name, " ");
		if (*name++ == '\0')
			return false;
	}
	size = strcspn(name, " ");
	if (size >= room)
		return false;
	memcpy(to, name, size);
	to[size] = '\0';
	return true;
}

/* What is offered in the place of @a prefix. */
struct offer {
	const char *prefix;
	enum admin_level level;
	void (*fn)(const char *candidate, void *arg);
	void *arg;
};

static void offer(const struct offer *o, const char *text, size_t size)
{
	char word[NAME_MAX_SIZE];
	size_t typed = strlen(o->prefix);

	if (size >= sizeof(word) || typed > size ||
	    memcmp(text, o->prefix, typed) != 0)
		return;
	memcpy(word, text, size);
	word[size] = '\0';
	o->fn(word, o->arg);
}

static void complete_names(char *const *words, unsigned count,
			   const struct offer *o)
{
	const struct admin_command **all;
	unsigned all_count = sorted(&all);
	char word[NAME_MAX_SIZE], before[NAME_MAX_SIZE] = "";

	for (unsigned i = 0; i < all_count; i++) {
		if (all[i]->level > o->level ||
		    !begins_with(all[i]->words, words, count) ||
		    !word_at(all[i]->words, count - 1, word, sizeof(word)) ||
		    strcmp(word, before) == 0)
			continue;
		memcpy(before, word, sizeof(before));
		offer(o, word, strlen(word));
	}
}

/* One that needs quotes is not offered. */
static void offer_value(const char *value, void *arg)
{
	const struct offer *o = arg;

	if (strncmp(value, o->prefix, strlen(o->prefix)) == 0 &&
	    value[strcspn(value, " \t;'\"\\\n")] == '\0')
		o->fn(value, o->arg);
}

static void offer_arg(const struct admin_arg *a, const struct offer *o)
{
	const char *choice = a->choices;

	if (a->kind == ADMIN_FLAG)
		offer(o, a->name, strlen(a->name));
	if (a->each != NULL)
		a->each(offer_value, (void *)o);
	while (choice != NULL) {
		size_t size = strcspn(choice, "|");

		offer(o, choice, size);
		choice = choice[size] == '|' ? choice + size + 1 : NULL;
	}
}

/* Of @a first and those behind it, which are told by their names. Returns how many words
 * are whole. */
static unsigned complete_keyed(const struct admin_arg *first,
			       char *const *words, unsigned count,
			       const struct offer *o)
{
	const struct admin_arg *a;
	unsigned used = 0;

	for (; used + 1 < count; used += 2) {
		for (a = first; a->name != NULL; a++)
			if (strcmp(a->name, words[used]) == 0)
				break;
		if (a->name == NULL)
			return used;
		if (used + 2 == count) { /* its value is being typed */
			offer_arg(a, o);
			return used;
		}
	}
	for (a = first; a->name != NULL; a++) {
		bool given = false;

		for (unsigned i = 0; i < used; i += 2)
			given |= strcmp(a->name, words[i]) == 0;
		if (!given)
			offer(o, a->name, strlen(a->name));
	}
	return used;
}

/* What belongs to all commands of rows: see admin_args_read(). */
static void complete_common(const struct admin_command *c, char *const *words,
			    unsigned count, const struct offer *o)
{
	bool worker = count > 1 && strcmp(words[0], "worker") == 0;

	if (c->collect != NULL && count == 1)
		offer(o, "worker", 6);
	if (c->collect != NULL && count == 2 && worker)
		admin_each_worker(offer_value, (void *)o);
	if (c->columns != NULL && (count == 1 || (count == 3 && worker))) {
		offer(o, "json", 4);
		if (!c->plain)
			offer(o, "typed", 5);
	}
}

/* Is @a word what @a a is, or does it belong to the next one? */
static bool is_for(const struct admin_arg *a, const char *word)
{
	switch (a->kind) {
	case ADMIN_FLAG:
		return strcmp(word, a->name) == 0;
	case ADMIN_VERSION:
		return *word == '@';
	default:
		return true;
	}
}

/* The arguments of @a c are @a words, the last of which is being typed. */
static void complete_args(const struct admin_command *c, char *const *words,
			  unsigned count, const struct offer *o)
{
	const struct admin_arg *a = c->args;
	unsigned used = 0;

	for (; a != NULL && a->name != NULL; a++) {
		bool here = used + 1 == count;

		if (a->keyed) {
			used += complete_keyed(a, words + used, count - used,
					       o);
			break;
		}
		if (a->kind == ADMIN_COMMAND) {
			complete_names(words + used, count - used, o);
			return;
		}
		if (here)
			offer_arg(a, o);
		if (here && !a->optional)
			return;
		if (!here && is_for(a, words[used]))
			used++;
	}
	complete_common(c, words + used, count - used, o);
}

static void complete_words(char *const *words, unsigned count,
			   const struct offer *o)
{
	const struct admin_command *c;
	unsigned used;

	complete_names(words, count, o);
	c = admin_commands_find(words, count - 1, &used);
	if (c != NULL && c->level <= o->level)
		complete_args(c, words + used, count - used, o);
}

size_t admin_complete(const char *text, size_t size, enum admin_level level,
		      void (*fn)(const char *candidate, void *arg), void *arg)
{
	struct buf copy = { 0 };
	struct admin_words w = { 0 };
	char nothing[] = "", *at;
	size_t start = size;

	if (buf_append(&copy, text, size) != 0 || buf_putc(&copy, '\0') != 0) {
		buf_destroy(&copy);
		return size;
	}
	for (at = copy.data; *at != '\0';)
		if (admin_line_next(&at, &w) < 0) {
			diag_clear(); /* inside quotes */
			w.count = ADMIN_WORDS_MAX;
			break;
		}
	while (start > 0 && strchr(" \t;", text[start - 1]) == NULL)
		start--;
	if (start > 0 && start == size && text[start - 1] == ';')
		w.count = 0;
	if (start == size && w.count < ADMIN_WORDS_MAX)
		w.word[w.count++] = nothing; /* a new word */
	if (w.count > 0 && w.count < ADMIN_WORDS_MAX)
		complete_words(w.word, w.count,
			       &(struct offer){ w.word[w.count - 1], level, fn,
						arg });
	buf_destroy(&copy);
	return start;
}

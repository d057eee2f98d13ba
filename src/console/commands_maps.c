/*
 * Admin commands of maps and ACLs: what is in them, changes, and replacements that are
 * prepared under a number and committed as a whole. Such a number is the table's, not the
 * session's: scripts may use a connection for each command, as with HAProxy.
 */
#include <stdlib.h>
#include <string.h>

#include "app/patref.h"
#include "app/patref_drop.h"
#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "console/admin_commands.h"

enum {
	PIECE = 100,  /* keys at a time */
	LINES = 1000, /* behind "<<", that are taken in one go */
};

/* The table that a command is about, and the version of it. */
struct table {
	struct patref *ref;
	struct patref_gen *gen; /* NULL: what is there for all */
};

enum { ARG_NAME, ARG_KEY, ARG_VALUE };

/* The argument @a i behind the version, if the command has one. */
static const struct admin_value *arg(const struct admin_run *run, unsigned i)
{
	const struct admin_arg *first = admin_run_command(run)->args;

	return admin_arg(run, i + (first->kind == ADMIN_VERSION));
}

/* Commands of both kinds are named alike. */
static bool is_for_maps(const struct admin_run *run)
{
	const char *words = admin_run_command(run)->words;

	return strcmp(words + strlen(words) - 4, " map") == 0;
}

/* By its name, or "#3". NULL: there is none. */
static struct patref *find(const char *name)
{
	struct patref *r;
	unsigned long id;
	char *end;

	r = patref_find(name);
	if (r != NULL || name[0] != '#' || name[1] < '1' || name[1] > '9')
		return r;
	id = strtoul(name + 1, &end, 10);
	return *end == '\0' && id <= PATREFS_MAX
		       ? patref_after((unsigned)id - 1)
		       : NULL;
}

/* Returns 0, or -1 and it was said why. */
static int find_table(struct admin_run *run, struct table *ret)
{
	const struct admin_arg *first = admin_run_command(run)->args;
	const struct admin_value *version = admin_arg(run, 0);
	const char *name = arg(run, ARG_NAME)->text;
	struct patref *r = find(name);

	if (r == NULL) {
		admin_fail(run,
			   "there is no map or ACL '%s'; 'show maps' has those "
			   "that there are",
			   name);
		return -1;
	}
	if (patref_is_map(r) != is_for_maps(run)) {
		admin_fail(run, "'%s' is %s", name,
			   patref_is_map(r) ? "a map, and no ACL"
					    : "an ACL, and no map");
		return -1;
	}
	*ret = (struct table){ .ref = r };
	if (first->kind != ADMIN_VERSION || !version->given)
		return 0;
	ret->gen = patref_version(r, (uint64_t)version->number);
	if (ret->gen != NULL)
		return 0;
	admin_fail_diag(run);
	return -1;
}

static void drop(struct admin_run *run, struct patref_gen *gen)
{
	patref_drop(&admin_worker(run)->loop, gen);
}

/* As parse() ends that has done all. */
static int end(struct admin_run *run, struct table *t, int rc)
{
	if (rc != 0)
		admin_fail_diag(run);
	drop(run, t->gen);
	return rc == 0 ? 0 : -1;
}

static void each_of(bool is_map, void (*fn)(const char *name, void *arg),
		    void *arg)
{
	struct patref_look look = { .id = 0 };
	struct patref *r;

	while ((r = patref_after(look.id)) != NULL) {
		patref_look(r, &look);
		if (patref_is_map(r) == is_map)
			fn(patref_name(r), arg);
	}
}

static void each_map(void (*fn)(const char *name, void *arg), void *arg)
{
	each_of(true, fn, arg);
}

static void each_acl(void (*fn)(const char *name, void *arg), void *arg)
{
	each_of(false, fn, arg);
}

/* --- show maps --- */

static enum admin_step next_table(struct admin_run *run,
				  struct admin_cell *cells)
{
	unsigned *last = admin_context(run);
	struct patref *r = patref_after(*last);
	struct patref_look look;

	if (r == NULL)
		return ADMIN_DONE;
	patref_look(r, &look);
	*last = look.id;
	cells[0] = admin_number(look.id);
	cells[1] = admin_text(patref_is_map(r) ? "map" : "acl");
	cells[2] = admin_number(look.size);
	cells[3] = admin_number((double)look.bytes);
	cells[4] = admin_number((double)look.version);
	cells[5] = admin_number(look.prepared);
	cells[6] = admin_text(patref_name(r));
	return ADMIN_MORE;
}

static const struct admin_column table_columns[] = {
	{ "id", ADMIN_NUMBER, 4, "its number: #1 is a name, too" },
	{ "kind", ADMIN_TEXT, -4, "map, acl", true },
	{ "keys", ADMIN_NUMBER, 8, "that there are" },
	{ "bytes", ADMIN_BYTES, 10, "of keys and values, with what they cost" },
	{ "version", ADMIN_NUMBER, 7,
	  "that was committed last; 0: what was read at first" },
	{ "prepared", ADMIN_NUMBER, 8, "replacements that are begun" },
	{ "name", ADMIN_TEXT, 0, "of its file, as it was opened" },
	{ .name = NULL },
};

static const struct admin_command show_maps = {
	.words = "show maps",
	.level = ADMIN_OPERATOR,
	.help = "the maps and ACLs",
	.columns = table_columns,
	.context = ADMIN_CONTEXT(unsigned),
	.next = next_table,
};

/* --- show map, show acl --- */

struct walk {
	struct table table;
	struct patref_cursor cursor;
	struct buf pairs; /* of the cursor, and what texts are of them */
	size_t at;
	struct buf key, value;
};

static int begin_walk(struct admin_run *run)
{
	struct walk *w = admin_context(run);

	if (find_table(run, &w->table) != 0)
		return -1;
	patref_cursor_open(&w->cursor, w->table.ref, w->table.gen);
	return 0;
}

/* As a text that ends with a zero byte, and has none. Returns 0 or -1. */
static int put_text(struct buf *to, const char *from, size_t size)
{
	to->size = 0;
	for (size_t i = 0; i < size; i++)
		if ((from[i] == '\0' ? buf_puts(to, "\\0")
				     : buf_putc(to, from[i])) != 0)
			return -1;
	return buf_putc(to, '\0');
}

static int take(struct walk *w, size_t size, struct buf *to)
{
	const char *from = w->pairs.data + w->at;

	w->at += size;
	return put_text(to, from, size);
}

static enum admin_step next_pair(struct admin_run *run,
				 struct admin_cell *cells)
{
	struct walk *w = admin_context(run);
	uint32_t sizes[2];

	if (w->at == w->pairs.size) {
		int n;

		w->at = w->pairs.size = 0;
		n = patref_cursor_next(&w->cursor, PIECE, &w->pairs);
		if (n < 0)
			return admin_fail_diag(run);
		if (n == 0)
			return ADMIN_DONE;
	}
	memcpy(sizes, w->pairs.data + w->at, sizeof(sizes));
	w->at += sizeof(sizes);
	if (take(w, sizes[0], &w->key) != 0 ||
	    take(w, sizes[1], &w->value) != 0)
		return admin_fail(run, "not enough memory");
	cells[0] = admin_text(w->key.data);
	if (is_for_maps(run))
		cells[1] = admin_text(w->value.data);
	return ADMIN_MORE;
}

static void end_walk(struct admin_run *run)
{
	struct walk *w = admin_context(run);

	drop(run, patref_cursor_close(&w->cursor));
	buf_destroy(&w->pairs);
	buf_destroy(&w->key);
	buf_destroy(&w->value);
	drop(run, w->table.gen);
}

static const struct admin_column pair_columns[] = {
	{ "key", ADMIN_TEXT, -30, "in the order in which they came" },
	{ "value", ADMIN_TEXT, 0, "of it" },
	{ .name = NULL },
};
static const struct admin_column key_columns[] = {
	{ "key", ADMIN_TEXT, 0, "in the order in which they came" },
	{ .name = NULL },
};

#define VERSION(optional)                                             \
	{                                                             \
		"version", ADMIN_VERSION, optional, NULL,             \
			"that was prepared, instead of what is there" \
	}
#define MAP                                                               \
	{                                                                 \
		"map", ADMIN_TEXT, false, NULL, "its name, or #1", false, \
			each_map                                          \
	}
#define ACL                                                               \
	{                                                                 \
		"acl", ADMIN_TEXT, false, NULL, "its name, or #1", false, \
			each_acl                                          \
	}

static const struct admin_arg map_args[] = {
	VERSION(true),
	MAP,
	{ .name = NULL },
};
static const struct admin_arg acl_args[] = {
	VERSION(true),
	ACL,
	{ .name = NULL },
};

static const struct admin_command show_map = {
	.words = "show map",
	.level = ADMIN_OPERATOR,
	.help = "the keys and values of a map",
	.args = map_args,
	.columns = pair_columns,
	.context = ADMIN_CONTEXT(struct walk),
	.parse = begin_walk,
	.next = next_pair,
	.release = end_walk,
};

static const struct admin_command show_acl = {
	.words = "show acl",
	.level = ADMIN_OPERATOR,
	.help = "the keys of an ACL",
	.args = acl_args,
	.columns = key_columns,
	.context = ADMIN_CONTEXT(struct walk),
	.parse = begin_walk,
	.next = next_pair,
	.release = end_walk,
};

/* --- get map, get acl --- */

struct look_up {
	struct table table;
	struct patref_look look;
	unsigned next; /* way of looking up, with fold or without */
	struct buf value, text;
};

static int begin_look_up(struct admin_run *run)
{
	struct look_up *l = admin_context(run);

	if (find_table(run, &l->table) != 0)
		return -1;
	patref_look(l->table.ref, &l->look);
	return 0;
}

static enum admin_step next_way(struct admin_run *run, struct admin_cell *cells)
{
	struct look_up *l = admin_context(run);
	const char *text = arg(run, ARG_KEY)->text;
	enum patref_found found;
	enum pattern_method m;
	bool fold;

	while (l->next < 2 * PATTERN_METHODS &&
	       !l->look.in_use[l->next / 2][l->next % 2])
		l->next++;
	if (l->next == 2 * PATTERN_METHODS)
		return ADMIN_DONE;
	m = l->next / 2;
	fold = l->next++ % 2;
	l->value.size = 0;
	found = patref_match(l->table.ref, m, fold, text, strlen(text), false,
			     &l->value);
	if (found == PATREF_FAILED)
		return admin_fail_diag(run);
	if (put_text(&l->text, l->value.data, l->value.size) != 0)
		return admin_fail(run, "not enough memory");
	cells[0] = admin_text(pattern_method_names[m]);
	cells[1] = admin_number(fold);
	cells[2] = admin_number(found == PATREF_FOUND);
	if (is_for_maps(run))
		cells[3] =
			admin_text(found == PATREF_FOUND ? l->text.data : NULL);
	return ADMIN_MORE;
}

static void end_look_up(struct admin_run *run)
{
	struct look_up *l = admin_context(run);

	buf_destroy(&l->value);
	buf_destroy(&l->text);
}

#define WAY                                                                   \
	{ "method", ADMIN_TEXT, -6, "a way of looking up that somebody uses", \
	  true },                                                             \
		{ "fold", ADMIN_FLAG, -4,                                     \
		  "small and capital letters are alike" },                    \
	{                                                                     \
		"found", ADMIN_FLAG, -5,                                      \
			"there is a key that the text matches"                \
	}

static const struct admin_column map_ways[] = {
	WAY,
	{ "value", ADMIN_TEXT, 0, "of that key; none: it is not found" },
	{ .name = NULL },
};
static const struct admin_column acl_ways[] = {
	WAY,
	{ .name = NULL },
};

static const struct admin_arg map_text_args[] = {
	MAP,
	{ "text", ADMIN_TEXT, false, NULL, "what is looked up" },
	{ .name = NULL },
};
static const struct admin_arg acl_text_args[] = {
	ACL,
	{ "text", ADMIN_TEXT, false, NULL, "what is looked up" },
	{ .name = NULL },
};

static const struct admin_command get_map = {
	.words = "get map",
	.level = ADMIN_OPERATOR,
	.help = "what a map has for a text",
	.args = map_text_args,
	.columns = map_ways,
	.context = ADMIN_CONTEXT(struct look_up),
	.parse = begin_look_up,
	.next = next_way,
	.release = end_look_up,
};

static const struct admin_command get_acl = {
	.words = "get acl",
	.level = ADMIN_OPERATOR,
	.help = "whether an ACL has a text",
	.args = acl_text_args,
	.columns = acl_ways,
	.context = ADMIN_CONTEXT(struct look_up),
	.parse = begin_look_up,
	.next = next_way,
	.release = end_look_up,
};

/* --- add --- */

struct adding {
	struct table table;
	size_t at; /* of the lines behind "<<" */
	unsigned line, added;
};

static int begin_adding(struct admin_run *run)
{
	struct adding *a = admin_context(run);
	bool has_key = arg(run, ARG_KEY)->given;
	size_t size;

	if (find_table(run, &a->table) != 0)
		return -1;
	if (has_key == (admin_payload(run, &size) != NULL))
		admin_fail(run, "a key, or lines behind \"<<\": one of them");
	else if (has_key && is_for_maps(run) && !arg(run, ARG_VALUE)->given)
		admin_fail(run, "the key's value is wanted");
	else
		return 0;
	drop(run, a->table.gen);
	return -1;
}

/* The next line. Returns 0, or -1 with diag set. */
static int add_line(struct adding *a, const char *text, size_t size)
{
	const char *from = text + a->at;
	const char *stop = memchr(from, '\n', size - a->at);
	struct patref_line l;

	a->at = (size_t)(stop - text) + 1; /* each has its end */
	a->line++;
	if (!patref_read_line(a->table.ref, from, (size_t)(stop - from), &l))
		return 0;
	if (patref_add(a->table.ref, a->table.gen, l.key, l.key_size, l.value,
		       l.value_size) != 0)
		return -1;
	a->added++;
	return 0;
}

static enum admin_step add(struct admin_run *run)
{
	struct adding *a = admin_context(run);
	const char *key = arg(run, ARG_KEY)->text;
	const char *value = arg(run, ARG_VALUE)->text;
	const char *text;
	size_t size;

	if (key != NULL)
		return patref_add(a->table.ref, a->table.gen, key, strlen(key),
				  value, value != NULL ? strlen(value) : 0) == 0
			       ? ADMIN_DONE
			       : admin_fail_diag(run);
	text = admin_payload(run, &size);
	for (unsigned i = 0; i < LINES && a->at < size; i++) {
		struct error *e;

		if (add_line(a, text, size) == 0)
			continue;
		e = diag_take();
		admin_fail(run, "line %u: %s; %u before it are added", a->line,
			   e->message, a->added);
		error_unref(e);
		return ADMIN_FAILED;
	}
	return a->at < size ? ADMIN_MORE : ADMIN_DONE;
}

static void end_adding(struct admin_run *run)
{
	const struct adding *a = admin_context(run);

	drop(run, a->table.gen);
}

#define KEY(optional)                                                        \
	{                                                                    \
		"key", ADMIN_TEXT, optional, NULL, "of it, as show tells it" \
	}

static const struct admin_arg map_add_args[] = {
	VERSION(true),
	MAP,
	KEY(true),
	{ "value", ADMIN_TEXT, true, NULL, "the rest of the line" },
	{ .name = NULL },
};
static const struct admin_arg acl_add_args[] = {
	VERSION(true),
	ACL,
	KEY(true),
	{ .name = NULL },
};

static const struct admin_command add_map = {
	.words = "add map",
	.level = ADMIN_ADMIN,
	.help = "add a key that is not there, or the lines behind \"<<\"",
	.args = map_add_args,
	.payload = true,
	.open = true,
	.context = ADMIN_CONTEXT(struct adding),
	.parse = begin_adding,
	.io = add,
	.release = end_adding,
};

static const struct admin_command add_acl = {
	.words = "add acl",
	.level = ADMIN_ADMIN,
	.help = "add a key that is not there, or the lines behind \"<<\"",
	.args = acl_add_args,
	.payload = true,
	.open = true,
	.context = ADMIN_CONTEXT(struct adding),
	.parse = begin_adding,
	.io = add,
	.release = end_adding,
};

/* --- set, del, clear --- */

static int set(struct admin_run *run)
{
	const char *key = arg(run, ARG_KEY)->text;
	const char *value = arg(run, ARG_VALUE)->text;
	struct table t;

	if (find_table(run, &t) != 0)
		return -1;
	return end(run, &t,
		   patref_set(t.ref, t.gen, key, strlen(key), value,
			      strlen(value), false));
}

static int del(struct admin_run *run)
{
	const char *key = arg(run, ARG_KEY)->text;
	struct table t;

	if (find_table(run, &t) != 0)
		return -1;
	return end(run, &t, patref_del(t.ref, t.gen, key, strlen(key)));
}

static int clear(struct admin_run *run)
{
	struct patref_gen *old = NULL;
	struct table t;
	int rc;

	if (find_table(run, &t) != 0)
		return -1;
	rc = patref_purge(t.ref, t.gen, &old);
	drop(run, old);
	return end(run, &t, rc);
}

static const struct admin_arg map_set_args[] = {
	VERSION(true),
	MAP,
	KEY(false),
	{ "value", ADMIN_TEXT, false, NULL, "the rest of the line" },
	{ .name = NULL },
};
static const struct admin_arg map_del_args[] = {
	VERSION(true),
	MAP,
	KEY(false),
	{ .name = NULL },
};
static const struct admin_arg acl_del_args[] = {
	VERSION(true),
	ACL,
	KEY(false),
	{ .name = NULL },
};

static const struct admin_command set_map = {
	.words = "set map",
	.level = ADMIN_ADMIN,
	.help = "change the value of a key that is there",
	.args = map_set_args,
	.parse = set,
};

static const struct admin_command del_map = {
	.words = "del map",
	.level = ADMIN_ADMIN,
	.help = "take a key out of a map",
	.args = map_del_args,
	.parse = del,
};

static const struct admin_command del_acl = {
	.words = "del acl",
	.level = ADMIN_ADMIN,
	.help = "take a key out of an ACL",
	.args = acl_del_args,
	.parse = del,
};

static const struct admin_command clear_map = {
	.words = "clear map",
	.level = ADMIN_ADMIN,
	.help = "take all keys out of a map",
	.args = map_args,
	.parse = clear,
};

static const struct admin_command clear_acl = {
	.words = "clear acl",
	.level = ADMIN_ADMIN,
	.help = "take all keys out of an ACL",
	.args = acl_args,
	.parse = clear,
};

/* --- prepare, commit, abort --- */

static int prepare(struct admin_run *run)
{
	uint64_t *version = admin_context(run);
	struct table t;

	if (find_table(run, &t) != 0)
		return -1;
	return end(run, &t, patref_prepare_version(t.ref, version));
}

static enum admin_step tell_version(struct admin_run *run)
{
	const uint64_t *version = admin_context(run);

	return admin_print(run, "New version created: %llu\n",
			   (unsigned long long)*version)
		       ? ADMIN_DONE
		       : ADMIN_MORE;
}

static int commit(struct admin_run *run)
{
	struct patref_gen *old = NULL;
	struct table t;
	int rc;

	if (find_table(run, &t) != 0)
		return -1;
	rc = patref_commit(t.ref, t.gen, &old);
	drop(run, old);
	return end(run, &t, rc);
}

static int give_up(struct admin_run *run)
{
	struct table t;

	if (find_table(run, &t) != 0)
		return -1;
	patref_give_up(t.ref, t.gen);
	return end(run, &t, 0);
}

static const struct admin_arg map_alone[] = { MAP, { .name = NULL } };
static const struct admin_arg acl_alone[] = { ACL, { .name = NULL } };
static const struct admin_arg map_version_args[] = {
	VERSION(false),
	MAP,
	{ .name = NULL },
};
static const struct admin_arg acl_version_args[] = {
	VERSION(false),
	ACL,
	{ .name = NULL },
};

static const struct admin_command prepare_map = {
	.words = "prepare map",
	.level = ADMIN_ADMIN,
	.help = "begin a replacement, which is empty, and tell its number",
	.args = map_alone,
	.open = true,
	.context = ADMIN_CONTEXT(uint64_t),
	.parse = prepare,
	.io = tell_version,
};

static const struct admin_command prepare_acl = {
	.words = "prepare acl",
	.level = ADMIN_ADMIN,
	.help = "begin a replacement, which is empty, and tell its number",
	.args = acl_alone,
	.open = true,
	.context = ADMIN_CONTEXT(uint64_t),
	.parse = prepare,
	.io = tell_version,
};

static const struct admin_command commit_map = {
	.words = "commit map",
	.level = ADMIN_ADMIN,
	.help = "have all look up in what was prepared",
	.args = map_version_args,
	.parse = commit,
};

static const struct admin_command commit_acl = {
	.words = "commit acl",
	.level = ADMIN_ADMIN,
	.help = "have all look up in what was prepared",
	.args = acl_version_args,
	.parse = commit,
};

static const struct admin_command abort_map = {
	.words = "abort map",
	.level = ADMIN_ADMIN,
	.help = "forget what was prepared",
	.args = map_version_args,
	.parse = give_up,
};

static const struct admin_command abort_acl = {
	.words = "abort acl",
	.level = ADMIN_ADMIN,
	.help = "forget what was prepared",
	.args = acl_version_args,
	.parse = give_up,
};

const struct admin_command *const admin_commands_maps[] = {
	&show_maps,  &show_map,  &show_acl,    &get_map,     &get_acl,
	&add_map,    &add_acl,   &set_map,     &del_map,     &del_acl,
	&clear_map,  &clear_acl, &prepare_map, &prepare_acl, &commit_map,
	&commit_acl, &abort_map, &abort_acl,   NULL,
};

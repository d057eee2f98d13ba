/* A generation of a map or ACL. See patref_gen.h. */
#include "app/patref_gen.h"

#include <string.h>

#include "app/patref.h"
#include "base/diag.h"

struct siphash_key patref_hash_key;

/* --- entries --- */

size_t patref_entry_cost(const struct entry *e)
{
	return sizeof *e + e->key_size + e->value_size;
}

void patref_entry_free(struct entry *e)
{
	struct entry_item *i, *next;

	for (i = e->items; i != NULL; i = next) {
		next = i->next;
		pattern_item_destroy(&i->item,
				     (enum pattern_method)(i->index / 2));
		mem_free(i);
	}
	mem_free(e->value);
	mem_free(e);
}

char *patref_copy_value(const char *value, size_t size)
{
	char *copy = mem_alloc(size + 1);

	if (copy == NULL) {
		diag_set_oom(size + 1, "a value");
		return NULL;
	}
	if (size > 0)
		memcpy(copy, value, size);
	copy[size] = '\0';
	return copy;
}

/* An item of @a e for the index @a n, not in it yet. */
static struct entry_item *make_item(struct entry *e,
				    const struct pattern_index *x, unsigned n)
{
	struct entry_item *i = mem_zalloc(sizeof *i);

	if (i == NULL) {
		diag_set_oom(sizeof *i, "a pattern");
		return NULL;
	}
	i->index = n;
	if (pattern_item_create(&i->item, x, e->key, e->key_size) != 0) {
		mem_free(i);
		return NULL;
	}
	i->item.order = e->order;
	i->item.owner = e;
	return i;
}

struct entry *patref_entry_new(struct patref_gen *gen, const char *key,
			       size_t size, const char *value,
			       size_t value_size, bool has_value)
{
	struct entry *e = mem_zalloc(sizeof *e + size + 1);

	if (e == NULL) {
		diag_set_oom(sizeof *e + size + 1, "a key");
		return NULL;
	}
	memcpy(e->key, key, size);
	e->key_size = size;
	e->order = gen->next_order++;
	if (has_value) {
		e->value = patref_copy_value(value, value_size);
		e->value_size = value_size;
		if (e->value == NULL)
			goto fail;
	}
	for (unsigned n = 0; n < PATREF_INDEXES; n++) {
		struct entry_item *i;

		if (gen->indexes[n] == NULL)
			continue;
		i = make_item(e, gen->indexes[n], n);
		if (i == NULL)
			goto fail;
		i->next = e->items;
		e->items = i;
	}
	return e;
fail:
	patref_entry_free(e);
	return NULL;
}

struct entry *patref_gen_find(const struct patref_gen *gen, const char *key,
			      size_t size)
{
	struct entry *e;

	HASH_FIND(hh, gen->entries, key, size, e);
	return e;
}

/* All or nothing. */
int patref_entry_link(struct patref_gen *gen, struct entry *e)
{
	struct entry_item *i;

	HASH_ADD_KEYPTR(hh, gen->entries, e->key, e->key_size, e);
	if (e->hh.tbl == NULL) {
		diag_set_oom(sizeof *e, "a key");
		return -1;
	}
	for (i = e->items; i != NULL; i = i->next) {
		if (pattern_index_add(gen->indexes[i->index], &i->item) != 0)
			goto fail;
	}
	list_add_tail(&gen->order, &e->link);
	gen->bytes += patref_entry_cost(e);
	return 0;
fail:
	for (struct entry_item *in = e->items; in != i; in = in->next)
		pattern_index_remove(gen->indexes[in->index], &in->item);
	HASH_DEL(gen->entries, e);
	return -1;
}

void patref_entry_unlink(struct patref_gen *gen, struct entry *e)
{
	for (struct entry_item *i = e->items; i != NULL; i = i->next)
		pattern_index_remove(gen->indexes[i->index], &i->item);
	list_foreach(link, &gen->cursors) {
		struct patref_cursor *c =
			list_entry(link, struct patref_cursor, link);

		if (c->at == &e->link)
			c->at = e->link.next;
	}
	list_del(&e->link);
	HASH_DEL(gen->entries, e);
	gen->bytes -= patref_entry_cost(e);
}

/* --- generations --- */

struct patref_gen *patref_gen_new(void)
{
	struct patref_gen *gen = mem_zalloc(sizeof *gen);

	if (gen == NULL) {
		diag_set_oom(sizeof *gen, "a map or ACL");
		return NULL;
	}
	gen->refs = 1;
	list_init(&gen->order);
	list_init(&gen->cursors);
	list_init(&gen->link);
	return gen;
}

static void index_free(struct pattern_index *x)
{
	if (x == NULL)
		return;
	pattern_index_destroy(x);
	mem_free(x);
}

static void end_cursors(struct patref_gen *gen)
{
	list_foreach(c, &gen->cursors)
		list_entry(c, struct patref_cursor, link)->at = &gen->order;
}

/* All entries and indexes go. */
void patref_gen_clear(struct patref_gen *gen)
{
	struct list *link;

	end_cursors(gen);
	for (unsigned n = 0; n < PATREF_INDEXES; n++) {
		index_free(gen->indexes[n]);
		gen->indexes[n] = NULL;
	}
	HASH_CLEAR(hh, gen->entries);
	while ((link = list_shift(&gen->order)) != NULL)
		patref_entry_free(list_entry(link, struct entry, link));
	gen->bytes = 0;
}

void patref_gen_exchange(struct patref_gen *a, struct patref_gen *b)
{
	struct list order;
	struct patref_gen was = *a;

	end_cursors(a);
	end_cursors(b);
	list_init(&order);
	list_splice_tail(&order, &a->order);
	list_splice_tail(&a->order, &b->order);
	list_splice_tail(&b->order, &order);
	a->entries = b->entries;
	b->entries = was.entries;
	a->bytes = b->bytes;
	b->bytes = was.bytes;
	memcpy(a->indexes, b->indexes, sizeof a->indexes);
	memcpy(b->indexes, was.indexes, sizeof b->indexes);
}

void patref_gen_unref(struct patref_gen *gen)
{
	while (gen != NULL &&
	       __atomic_sub_fetch(&gen->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		struct patref_gen *rest = gen->rest;

		patref_gen_clear(gen);
		mem_free(gen);
		gen = rest;
	}
}

unsigned patref_gen_size(const struct patref_gen *gen)
{
	return HASH_COUNT(gen->entries);
}

unsigned patref_gen_weight(const struct patref_gen *gen)
{
	unsigned n = 0;

	/* Of one that others have, too, nothing goes; and they may be changing it. */
	if (gen != NULL && __atomic_load_n(&gen->refs, __ATOMIC_ACQUIRE) > 1)
		return 0;

	for (; gen != NULL; gen = gen->rest)
		n += patref_gen_size(gen);
	return n;
}

static struct pattern_index *index_new(unsigned n)
{
	struct pattern_index *x = mem_zalloc(sizeof *x);

	if (x == NULL) {
		diag_set_oom(sizeof *x, "a map or ACL");
		return NULL;
	}
	pattern_index_create(x, (enum pattern_method)(n / 2), n % 2);
	return x;
}

/* Take the items of index @a n, which nobody sees, from all entries. */
static void drop_items(struct patref_gen *gen, unsigned n)
{
	list_foreach(link, &gen->order) {
		struct entry *e = list_entry(link, struct entry, link);
		struct entry_item *i = e->items;

		if (i == NULL || i->index != n)
			continue;
		e->items = i->next;
		pattern_item_destroy(&i->item, (enum pattern_method)(n / 2));
		mem_free(i);
	}
}

static void add_place(const char *name, const struct entry *e)
{
	struct error *cause;

	if (e->line == 0)
		return;
	cause = diag_take();
	diag_set_error(error_new(
		cause->type, cause->code, __FILE__, __LINE__, "%s:%u: %s",
		strncmp(name, "opt@", 4) == 0 ? name + 4 : name, e->line,
		cause->message));
	error_unref(cause);
}

/* An index over all entries of @a gen; nobody sees it yet. */
struct pattern_index *patref_gen_index(const char *name, struct patref_gen *gen,
				       unsigned n)
{
	struct pattern_index *x = index_new(n);

	if (x == NULL)
		return NULL;
	list_foreach(link, &gen->order) {
		struct entry *e = list_entry(link, struct entry, link);
		struct entry_item *i = make_item(e, x, n);

		if (i != NULL) {
			i->next = e->items;
			e->items = i;
		}
		if (i == NULL || pattern_index_add(x, &i->item) != 0) {
			add_place(name, e);
			index_free(x);
			drop_items(gen, n);
			return NULL;
		}
	}
	return x;
}

/* The indexes that @a like has, for @a gen, which nobody sees. */
int patref_gen_build(const char *name, struct patref_gen *gen,
		     const struct patref_gen *like)
{
	for (unsigned n = 0; n < PATREF_INDEXES; n++) {
		if (like->indexes[n] == NULL || gen->indexes[n] != NULL)
			continue;
		gen->indexes[n] = patref_gen_index(name, gen, n);
		if (gen->indexes[n] == NULL)
			return -1;
	}
	return 0;
}

/* An empty one with the indexes that @a like has. */
struct patref_gen *patref_gen_like(const char *name,
				   const struct patref_gen *like)
{
	struct patref_gen *gen = patref_gen_new();

	if (gen != NULL && patref_gen_build(name, gen, like) != 0) {
		patref_gen_unref(gen);
		return NULL;
	}
	return gen;
}

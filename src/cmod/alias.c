/* Paths that lead to an instance. See alias.h. */
#include "cmod/alias.h"

#include <string.h>

#include "cmod/module.h"

struct alias {
	UT_hash_handle hh; /* by path */
	struct list link;  /* in its instance */
	struct cmod *module;
	struct alias_state state;
	char path[];
};

enum { PER_INSTANCE_MAX = 16 };

static struct alias *aliases;

/* A word at a time: what the table hashes by itself, byte after byte, takes
 * longer than all else that is done here. */
static unsigned hash_of(const char *path, size_t size)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = size * odd, word;

	for (; size >= 8; size -= 8, path += 8) {
		memcpy(&word, path, 8);
		h = (h ^ word) * odd;
		h ^= h >> 32;
	}
	word = 0;
	memcpy(&word, path, size);
	h = (h ^ word) * odd;
	return (unsigned)(h >> 32);
}

static struct alias *find(const char *path, size_t size, unsigned hash)
{
	struct alias *a;

	HASH_FIND_BYHASHVALUE(hh, aliases, path, size, hash, a);
	return a;
}

static void drop(struct alias *a)
{
	HASH_DEL(aliases, a);
	list_del(&a->link);
	a->module->alias_count--;
	mem_free(a);
}

struct cmod *alias__find(const char *path, size_t size,
			 struct alias_state **ret)
{
	struct alias *a = find(path, size, hash_of(path, size));

	if (a == NULL)
		return NULL;
	*ret = &a->state;
	return a->module;
}

void alias__note(struct cmod *m, const char *path, size_t size)
{
	unsigned hash = hash_of(path, size);
	struct alias *a = find(path, size, hash);

	if (a != NULL && a->module == m)
		return;
	if (a != NULL)
		drop(a);
	if (!m->cached || m->alias_count >= PER_INSTANCE_MAX)
		return;
	a = mem_alloc(sizeof *a + size + 1);
	if (a == NULL)
		return;
	a->module = m;
	a->state = (struct alias_state){ .still = 0 };
	memcpy(a->path, path, size + 1);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, aliases, a->path, size, hash, a);
	if (a->hh.tbl == NULL) {
		mem_free(a);
		return;
	}
	list_add(&m->aliases, &a->link);
	m->alias_count++;
}

void alias__drop_all(struct cmod *m)
{
	struct list *link;

	while ((link = m->aliases.next) != &m->aliases)
		drop(list_entry(link, struct alias, link));
}

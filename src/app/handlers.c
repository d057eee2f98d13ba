/* Registered functions of the application. See handlers.h. */
#include "app/handlers.h"

#include <lauxlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"

/* A table that cannot grow leaves the element out: its hh.tbl is NULL. */
#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#include <uthash.h>

/* So many are named when the start is refused. */
enum { TOLD_MAX = 10 };

struct handler {
	UT_hash_handle hh;
	enum handler_kind kind;
	int *refs;  /* a slot for each state, behind the name */
	char *note; /* NULL: nothing */
	char key[];
	/* the kind as a letter, then the name: one hash serves all kinds */
};

const char *const handler_kind_names[HANDLER_KIND_COUNT + 1] = {
	[HANDLER_ACTION] = "action",       [HANDLER_FETCH] = "fetch",
	[HANDLER_CONVERTER] = "converter", [HANDLER_FILTER] = "filter",
	[HANDLER_SERVICE] = "service",     [HANDLER_COMMAND] = "command",
	[HANDLER_INTERNAL] = "internal",
};

typedef char key_text[HANDLER_NAME_MAX + 2];

/* Returns its length, or 0 when the name is too long or empty. */
static size_t make_key(key_text key, enum handler_kind kind, const char *name)
{
	size_t size = strlen(name);

	if (size == 0 || size > HANDLER_NAME_MAX)
		return 0;
	key[0] = (char)('a' + kind);
	memcpy(key + 1, name, size + 1);
	return size + 1;
}

void handlers_create(struct handlers *h, unsigned workers)
{
	*h = (struct handlers){ .workers = workers };
	pthread_mutex_init(&h->lock, NULL); /* plain: cannot fail */
}

void handlers_destroy(struct handlers *h)
{
	struct handler *r, *next;

	HASH_ITER(hh, h->records, r, next) {
		HASH_DEL(h->records, r);
		mem_free(r->note);
		mem_free(r);
	}
	pthread_mutex_destroy(&h->lock);
}

static struct handler *add(struct handlers *h, const char *key, size_t size)
{
	size_t slots = (sizeof(struct handler) + size + 1 + sizeof(int) - 1) /
		       sizeof(int) * sizeof(int);
	size_t total = slots + (h->workers + 1) * sizeof(int);
	struct handler *r;

	if (h->count >= HANDLERS_MAX) {
		diag_set(ClientError, "%d functions are the most there can be",
			 HANDLERS_MAX);
		return NULL;
	}
	r = mem_zalloc(total);
	if (r != NULL) {
		memcpy(r->key, key, size + 1);
		HASH_ADD(hh, h->records, key, size, r);
		if (r->hh.tbl == NULL) {
			mem_free(r);
			r = NULL;
		}
	}
	if (r == NULL) {
		diag_set_oom(total, "a registered function");
		return NULL;
	}
	r->kind = key[0] - 'a';
	r->refs = (int *)((char *)r + slots);
	for (unsigned i = 0; i <= h->workers; i++)
		r->refs[i] = LUA_NOREF;
	h->count++;
	return r;
}

int handlers_put(struct handlers *h, enum handler_kind kind, const char *name,
		 unsigned state, int ref, int *ret_old)
{
	key_text key;
	size_t size = make_key(key, kind, name);
	struct handler *r = NULL;

	if (size == 0) {
		diag_set(IllegalParams,
			 "the name of a function has 1 to %d bytes",
			 HANDLER_NAME_MAX);
		return -1;
	}
	pthread_mutex_lock(&h->lock);
	if (handlers_are_sealed(h)) {
		diag_set(ClientError,
			 "%s '%s' comes too late: functions are registered "
			 "while the files of --load and --load-per-thread load",
			 handler_kind_names[kind], name);
	} else {
		HASH_FIND(hh, h->records, key, size, r);
		if (r == NULL)
			r = add(h, key, size);
	}
	if (r != NULL) {
		*ret_old = r->refs[state];
		r->refs[state] = ref;
	}
	pthread_mutex_unlock(&h->lock);
	return r == NULL ? -1 : 0;
}

int handlers_note(struct handlers *h, enum handler_kind kind, const char *name,
		  const char *note)
{
	size_t size = strnlen(note, HANDLER_NOTE_MAX), key_size;
	struct handler *r = NULL;
	char *copy = mem_alloc(size + 1);
	key_text key;

	if (copy == NULL) {
		diag_set_oom(size + 1, "a registered function");
		return -1;
	}
	memcpy(copy, note, size);
	copy[size] = '\0';
	key_size = make_key(key, kind, name);
	pthread_mutex_lock(&h->lock);
	if (key_size != 0 && !handlers_are_sealed(h))
		HASH_FIND(hh, h->records, key, key_size, r);
	if (r != NULL) {
		mem_free(r->note);
		r->note = copy;
	}
	pthread_mutex_unlock(&h->lock);
	if (r != NULL)
		return 0;
	mem_free(copy);
	diag_set(ClientError,
		 "%s '%s' cannot be noted: it is not registered, "
		 "or everything is loaded",
		 handler_kind_names[kind], name);
	return -1;
}

/* What is wrong with @a r, appended to @a text. */
static void tell_wrong(const struct handlers *h, const struct handler *r,
		       struct buf *text)
{
	const char *sep = " ";

	buf_printf(text, "%s%s '%s' is registered in ",
		   text->size > 0 ? "\n" : "", handler_kind_names[r->kind],
		   r->key + 1);
	if (r->refs[0] != LUA_NOREF) {
		buf_puts(text, "the shared state and in workers too");
		return;
	}
	buf_puts(text, "not every worker: it is missing in");
	for (unsigned i = 1; i <= h->workers; i++) {
		if (r->refs[i] != LUA_NOREF)
			continue;
		buf_printf(text, "%s%u", sep, i);
		sep = ", ";
	}
}

static bool is_right(const struct handlers *h, const struct handler *r)
{
	unsigned count = 0;

	for (unsigned i = 1; i <= h->workers; i++)
		count += r->refs[i] != LUA_NOREF;
	return r->refs[0] != LUA_NOREF ? count == 0 : count == h->workers;
}

int handlers_seal(struct handlers *h)
{
	struct buf text = { 0 };
	unsigned wrong = 0;
	struct handler *r, *next;

	pthread_mutex_lock(&h->lock);
	HASH_ITER(hh, h->records, r, next) {
		if (!is_right(h, r) && ++wrong <= TOLD_MAX)
			tell_wrong(h, r, &text);
	}
	if (wrong == 0)
		__atomic_store_n(&h->sealed, true, __ATOMIC_RELEASE);
	else
		diag_set(ClientError,
			 "%.*s\n%u function%s: each must be in the shared "
			 "state alone, or in all workers",
			 (int)text.size, text.data == NULL ? "" : text.data,
			 wrong, wrong == 1 ? "" : "s");
	pthread_mutex_unlock(&h->lock);
	buf_destroy(&text);
	return wrong == 0 ? 0 : -1;
}

const struct handler *handlers_find(const struct handlers *h,
				    enum handler_kind kind, const char *name)
{
	key_text key;
	size_t size = make_key(key, kind, name);
	struct handler *r = NULL;

	if (size != 0 && handlers_are_sealed(h))
		HASH_FIND(hh, h->records, key, size, r);
	return r;
}

const struct handler *handlers_next(const struct handlers *h,
				    enum handler_kind kind,
				    const struct handler *before)
{
	const struct handler *r = NULL;

	if (handlers_are_sealed(h))
		r = before == NULL ? h->records : before->hh.next;
	while (r != NULL && r->kind != kind)
		r = r->hh.next;
	return r;
}

bool handler_is_shared(const struct handler *r)
{
	return r->refs[0] != LUA_NOREF;
}

enum handler_kind handler_kind(const struct handler *r)
{
	return r->kind;
}

const char *handler_name(const struct handler *r)
{
	return r->key + 1;
}

const char *handler_note(const struct handler *r)
{
	return r->note == NULL ? "" : r->note;
}

int handler_ref(const struct handler *r, unsigned state)
{
	return r->refs[state];
}

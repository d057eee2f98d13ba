/* Changes to the environment. See environment.h. */
#include "base/environment.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"

/* In the place of one that was removed: what stands behind it stays where readers
 * look for it. */
static char removed[] = "";

/* What was set, for good: somebody may be reading it. */
struct kept {
	struct kept *next;
	char data[] __attribute__((aligned(sizeof(char *))));
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char **own;  /* the array, once it was too short: ours */
static size_t room; /* places in it, the one for the end included */
static size_t used; /* bytes of all that is kept */
static struct kept *all;

/* Of the allocator: what it has beside each, what its sizes are multiples of, and the
 * least. */
enum { CHUNK_EXTRA = 8, CHUNK_STEP = 16, CHUNK_LEAST = 32 };

static size_t cost_of(size_t size)
{
	size_t steps = (size + CHUNK_EXTRA + CHUNK_STEP - 1) / CHUNK_STEP;

	return steps * CHUNK_STEP < CHUNK_LEAST ? CHUNK_LEAST
						: steps * CHUNK_STEP;
}

static void *keep(size_t size)
{
	size_t whole = cost_of(sizeof(struct kept) + size);
	struct kept *k;

	if (size > ENVIRONMENT_MAX || whole > ENVIRONMENT_MAX - used)
		return NULL;
	k = mem_zalloc(sizeof(*k) + size);
	if (k == NULL)
		return NULL;
	used += whole;
	k->next = all;
	all = k;
	return k->data;
}

static void put(char **place, char *entry)
{
	__atomic_store_n(place, entry, __ATOMIC_RELEASE);
}

static bool has_name(const char *entry, const char *name, size_t n)
{
	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

/* The place of @name; or a free one, or NULL, and *count how many there are. */
static char **find(const char *name, size_t *count)
{
	char **free_place = NULL;
	size_t n = strlen(name), i = 0;

	for (; environ != NULL && environ[i] != NULL; i++) {
		if (has_name(environ[i], name, n))
			return &environ[i];
		if (environ[i] == removed)
			free_place = &environ[i];
	}
	*count = i;
	return free_place;
}

/* A longer array, for who reads the old one it stays. */
static char **grow(size_t count)
{
	size_t places = 2 * count + 16;
	char **longer = keep(places * sizeof(*longer));

	if (longer == NULL)
		return NULL;
	if (count > 0)
		memcpy(longer, environ, count * sizeof(*longer));
	own = longer;
	room = places;
	__atomic_store_n(&environ, longer, __ATOMIC_RELEASE);
	return &longer[count];
}

static char *make_entry(const char *name, const char *value)
{
	size_t n = strlen(name), m = strlen(value), size = n + m + 2;
	char *entry = keep(size);

	if (entry == NULL)
		return NULL;
	memcpy(entry, name, n);
	entry[n] = '=';
	memcpy(entry + n + 1, value, m + 1);
	return entry;
}

static int set(const char *name, const char *value)
{
	size_t n = strlen(name), count = 0;
	char **place = find(name, &count), *entry;
	bool is_there = place != NULL && *place != removed;

	if (is_there && value != NULL && strcmp(*place + n + 1, value) == 0)
		return 0;
	if (value == NULL) {
		for (; is_there; place = find(name, &count),
				 is_there = place != NULL && *place != removed)
			put(place, removed); /* it may be there twice */
		return 0;
	}
	if (place == NULL && count < ENVIRONMENT_COUNT_MAX) {
		place = own != NULL && environ == own && count + 1 < room
				? &own[count]
				: grow(count);
	}
	entry = place != NULL ? make_entry(name, value) : NULL;
	if (entry == NULL)
		return -ENOMEM;
	put(place, entry);
	return 0;
}

int environment_set(const char *name, const char *value)
{
	int rc;

	if (*name == '\0' || strchr(name, '=') != NULL)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	rc = set(name, value);
	pthread_mutex_unlock(&lock);
	return rc;
}

void environment_each(void (*see)(const char *entry, void *arg), void *arg)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; environ != NULL && environ[i] != NULL; i++) {
		if (environ[i] != removed)
			see(environ[i], arg);
	}
	pthread_mutex_unlock(&lock);
}

/* The table of armed failures. See inject.h. */
#include "base/inject.h"

#include <pthread.h>
#include <string.h>

char *mem_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = mem_alloc(size);

	return copy == NULL ? NULL : memcpy(copy, s, size);
}

#ifdef NEAP_INJECT

enum { INJECT_MAX = 16 };

static struct {
	char name[32];
	long after; /* passes left before the first failure */
	long count; /* failures left, -1 for ever */
	long asked;
} armed[INJECT_MAX];
static int armed_count; /* read without the lock: zero is the common case */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool inject(const char *name)
{
	bool due = false;

	if (__atomic_load_n(&armed_count, __ATOMIC_RELAXED) == 0)
		return false;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < armed_count; i++) {
		if (strcmp(armed[i].name, name) != 0)
			continue;
		armed[i].asked++;
		if (armed[i].after > 0) {
			armed[i].after--;
		} else if (armed[i].count != 0) {
			armed[i].count -= armed[i].count > 0;
			due = true;
		}
	}
	pthread_mutex_unlock(&lock);
	return due;
}

int inject_arm(const char *name, long after, long count)
{
	int rc = -1;

	pthread_mutex_lock(&lock);
	if (armed_count < INJECT_MAX && strlen(name) < sizeof armed[0].name) {
		strcpy(armed[armed_count].name, name);
		armed[armed_count].after = after;
		armed[armed_count].count = count;
		armed[armed_count].asked = 0;
		__atomic_store_n(&armed_count, armed_count + 1,
				 __ATOMIC_RELAXED);
		rc = 0;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void inject_reset(void)
{
	pthread_mutex_lock(&lock);
	__atomic_store_n(&armed_count, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
}

long inject_asked(const char *name)
{
	long asked = 0;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < armed_count; i++) {
		if (strcmp(armed[i].name, name) == 0)
			asked += armed[i].asked;
	}
	pthread_mutex_unlock(&lock);
	return asked;
}

#else

int inject_arm(const char *name, long after, long count)
{
	(void)name, (void)after, (void)count;
	return -1;
}

void inject_reset(void)
{
}

long inject_asked(const char *name)
{
	(void)name;
	return 0;
}

#endif

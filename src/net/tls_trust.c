/*
 * Whom clients and servers trust, read once. See tls_trust.h.
 *
 * A file is the same while its device, inode, size and times are. Its time has the
 * granularity of a clock's tick: one that is young when it is read may be written
 * once more without another time, so it is read again when it has come of age.
 */
#include "net/tls_trust.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/inject.h"

enum { YOUNG_S = 1 };

/** What tells one state of a file from another. All 0: there is none. */
struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
	bool young;
};

struct trust {
	char *file; /* NULL: free */
	char *dir;  /* NULL: none */
	struct identity file_id, dir_id;
	X509_STORE *store; /* NULL: not read, or only by others */
	unsigned state;    /* number of this state; 0: the first one */
	uint64_t used;     /* when, in look-ups */
};

static struct {
	pthread_mutex_t lock;
	struct trust list[TLS_TRUSTS];
	uint64_t lookups;
	unsigned states;
	bool full; /* something was forgotten: nothing is known to be a first state */
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct identity identity_of(const char *path)
{
	struct identity id;
	struct timespec now;
	struct stat st;

	memset(&id, 0, sizeof id);
	if (path == NULL || stat(path, &st) != 0)
		return id;
	clock_gettime(CLOCK_REALTIME, &now);
	id.dev = st.st_dev;
	id.ino = st.st_ino;
	id.size = st.st_size;
	id.modified = st.st_mtim;
	id.changed = st.st_ctim;
	id.young = now.tv_sec - st.st_ctim.tv_sec <= YOUNG_S;
	return id;
}

static bool is_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       is_time(&a->modified, &b->modified) &&
	       is_time(&a->changed, &b->changed);
}

static bool is_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void forget(struct trust *t)
{
	X509_STORE_free(t->store);
	t->store = NULL;
}

static void clear(struct trust *t)
{
	forget(t);
	mem_free(t->file);
	mem_free(t->dir);
	memset(t, 0, sizeof *t);
}

/* A place for the two, that of the one that was not wanted for the longest time if
 * there is no other. NULL: there is no memory. */
static struct trust *add(const char *file, const char *dir)
{
	struct trust *t = &cache.list[0];

	for (unsigned i = 1; i < TLS_TRUSTS; i++) {
		if (cache.list[i].used < t->used)
			t = &cache.list[i];
	}
	cache.full |= t->file != NULL;
	clear(t);
	t->file = mem_strdup(file);
	t->dir = dir != NULL ? mem_strdup(dir) : NULL;
	if (t->file == NULL || (dir != NULL && t->dir == NULL)) {
		clear(t);
		return NULL;
	}
	t->state = cache.full ? ++cache.states : 0;
	return t;
}

/* What is known of the two as they are now, with the lock. NULL: no memory. */
static struct trust *find(const char *file, const char *dir,
			  const struct identity *file_id,
			  const struct identity *dir_id)
{
	struct trust *t = NULL;

	for (unsigned i = 0; i < TLS_TRUSTS && t == NULL; i++) {
		if (cache.list[i].file != NULL &&
		    strcmp(cache.list[i].file, file) == 0 &&
		    is_text(cache.list[i].dir, dir))
			t = &cache.list[i];
	}
	if (t == NULL) {
		t = add(file, dir);
		if (t == NULL)
			return NULL;
	} else if (!is_same(&t->file_id, file_id) ||
		   !is_same(&t->dir_id, dir_id)) {
		forget(t);
		t->state = ++cache.states;
	} else if (t->file_id.young != file_id->young ||
		   t->dir_id.young != dir_id->young) {
		forget(t);
	}
	t->file_id = *file_id;
	t->dir_id = *dir_id;
	t->used = ++cache.lookups;
	return t;
}

static X509_STORE *known(const char *file, const char *dir,
			 const struct identity *file_id,
			 const struct identity *dir_id)
{
	X509_STORE *store = NULL;
	struct trust *t;

	pthread_mutex_lock(&cache.lock);
	t = find(file, dir, file_id, dir_id);
	if (t != NULL && t->store != NULL && X509_STORE_up_ref(t->store) == 1)
		store = t->store;
	pthread_mutex_unlock(&cache.lock);
	return store;
}

/* Keep @a store, read when the two were as is said; others may have been here. */
static void keep(X509_STORE *store, const char *file, const char *dir,
		 const struct identity *file_id, const struct identity *dir_id)
{
	struct trust *t;

	pthread_mutex_lock(&cache.lock);
	t = find(file, dir, file_id, dir_id);
	if (t != NULL && t->store == NULL && X509_STORE_up_ref(store) == 1)
		t->store = store;
	pthread_mutex_unlock(&cache.lock);
}

/* 0; -1: the file, -2: the folder. */
static int read_store(X509_STORE *store, const char *file, const char *dir)
{
	if (X509_STORE_load_file(store, file) != 1)
		return -1;
	return dir == NULL || X509_STORE_load_path(store, dir) == 1 ? 0 : -2;
}

int tls_trust_use(SSL_CTX *ctx, const char *file, const char *dir)
{
	struct identity file_id = identity_of(file), dir_id = identity_of(dir);
	X509_STORE *store = known(file, dir, &file_id, &dir_id);
	int rc;

	if (store == NULL) {
		store = X509_STORE_new();
		rc = store != NULL ? read_store(store, file, dir) : -1;
		if (rc != 0) {
			X509_STORE_free(store);
			return rc;
		}
		keep(store, file, dir, &file_id, &dir_id);
	}
	SSL_CTX_set_cert_store(ctx, store);
	return 0;
}

/* Each bit of @a number as a segment that leads nowhere: "/" or "/.". */
static size_t write_number(char *to, unsigned number)
{
	size_t n = 0;

	for (; number != 0; number >>= 1) {
		to[n++] = '/';
		if (number & 1)
			to[n++] = '.';
	}
	return n;
}

void tls_trust_spell(const char *file, char *to, size_t size)
{
	struct identity id = identity_of(file), none = identity_of(NULL);
	char prefix[TLS_TRUST_SPELLING + 2] = "";
	struct trust *t;
	size_t n = 0;

	pthread_mutex_lock(&cache.lock);
	t = find(file, NULL, &id, &none);
	if (t != NULL && t->state != 0) {
		if (file[0] != '/')
			prefix[n++] = '.';
		n += write_number(prefix + n, t->state);
		if (file[0] != '/')
			prefix[n++] = '/';
		prefix[n] = '\0';
	}
	pthread_mutex_unlock(&cache.lock);
	snprintf(to, size, "%s%s", prefix, file);
}

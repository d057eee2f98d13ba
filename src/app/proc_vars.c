/* Variables of the process. See proc_vars.h. */
#include "app/proc_vars.h"

#include <pthread.h>
#include <string.h>

#include "app/request.h"
#include "base/diag.h"
#include "base/inject.h"

/* A table that cannot grow leaves the element out: its hh.tbl is NULL. */
#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#include <uthash.h>

struct proc_var {
	UT_hash_handle hh;
	struct request_value value; /* nil: only declared */
	bool declared;
	char name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct proc_var *vars;
static size_t bytes; /* of all */

static size_t size_of(const struct request_value *v)
{
	return v->kind == REQUEST_STRING ? v->string->size : 0;
}

static void drop(const struct request_value *v)
{
	if (v->kind == REQUEST_STRING)
		request_string_unref(v->string);
}

static void remove_var(struct proc_var *v)
{
	HASH_DEL(vars, v);
	bytes -= strlen(v->name) + size_of(&v->value);
	mem_free(v);
}

static int fail_full(const char *name)
{
	diag_set(ClientError,
		 "variable '%s': the process has %d variables or %d bytes of "
		 "them, which is the most",
		 name, PROC_VARS_MAX, PROC_VARS_BYTES_MAX);
	return -1;
}

static int add(const char *name, const struct request_value *value)
{
	size_t size = strlen(name);
	struct proc_var *v;

	if (HASH_COUNT(vars) >= PROC_VARS_MAX)
		return fail_full(name);
	v = mem_zalloc(sizeof *v + size + 1);
	if (v != NULL) {
		memcpy(v->name, name, size + 1);
		v->value = *value;
		HASH_ADD_KEYPTR(hh, vars, v->name, size, v);
		if (v->hh.tbl != NULL) {
			bytes += size + size_of(value);
			return 0;
		}
		mem_free(v);
	}
	diag_set_oom(sizeof *v + size + 1, "a variable");
	return -1;
}

/* With the lock. What is to be dropped afterwards is in *ret_old. */
static int put(struct proc_var *v, const char *name,
	       const struct request_value *value, struct request_value *ret_old)
{
	size_t before;

	if (v == NULL && value->kind == REQUEST_NIL)
		return 0;
	before = v == NULL ? 0 : size_of(&v->value);
	if (bytes - before + size_of(value) + strlen(name) >
	    PROC_VARS_BYTES_MAX)
		return fail_full(name);
	if (v == NULL)
		return add(name, value);
	*ret_old = v->value;
	if (value->kind == REQUEST_NIL && !v->declared) {
		remove_var(v);
		return 0;
	}
	bytes = bytes - before + size_of(value);
	v->value = *value;
	return 0;
}

int proc_vars_set(const char *name, struct request_value value,
		  bool only_if_there, bool *ret_there)
{
	struct request_value old = { REQUEST_NIL, { 0 } };
	struct proc_var *v;
	bool skip;
	int rc = 0;

	pthread_mutex_lock(&lock);
	HASH_FIND_STR(vars, name, v);
	skip = v == NULL && only_if_there;
	*ret_there = v != NULL;
	if (!skip)
		rc = put(v, name, &value, &old);
	pthread_mutex_unlock(&lock);
	drop(&old);
	if (rc != 0 || skip)
		drop(&value);
	return rc;
}

void proc_vars_declare(const char *name)
{
	const struct request_value none = { REQUEST_NIL, { 0 } };
	struct proc_var *v;

	pthread_mutex_lock(&lock);
	HASH_FIND_STR(vars, name, v);
	if (v == NULL && add(name, &none) == 0)
		HASH_FIND_STR(vars, name, v);
	if (v != NULL)
		v->declared = true;
	pthread_mutex_unlock(&lock);
}

void proc_vars_get(const char *name, struct request_value *ret_value)
{
	struct proc_var *v;

	*ret_value = (struct request_value){ REQUEST_NIL, { 0 } };
	pthread_mutex_lock(&lock);
	HASH_FIND_STR(vars, name, v);
	if (v != NULL)
		*ret_value = v->value;
	if (ret_value->kind == REQUEST_STRING)
		atomic_fetch_add_explicit(&ret_value->string->refs, 1,
					  memory_order_relaxed);
	pthread_mutex_unlock(&lock);
}

void proc_vars_end(void)
{
	struct proc_var *v, *next;

	pthread_mutex_lock(&lock);
	HASH_ITER(hh, vars, v, next) {
		struct request_value value = v->value;

		remove_var(v);
		drop(&value);
	}
	pthread_mutex_unlock(&lock);
}

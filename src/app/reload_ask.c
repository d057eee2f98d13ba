/* Reloads that somebody asks for. See reload_ask.h. */
#include "app/reload_ask.h"

#include <pthread.h>
#include <stddef.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/list.h"

struct reload_ask {
	struct list link;
	unsigned refs;           /* atomic */
	enum reload_state state; /* atomic; what follows is set before */
	unsigned number;
	char *why;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct asks {
	struct list waiting, begun;
	bool wanted;
} all[RELOAD_KINDS];
static void (*wake)(void); /* NULL: there is nothing to be reloaded */

void reload_ask_unref(struct reload_ask *a)
{
	if (a == NULL || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	mem_free(a->why);
	mem_free(a);
}

struct reload_ask *reload_ask(enum reload_kind kind)
{
	struct reload_ask *a = mem_zalloc(sizeof *a);
	bool can;

	if (a == NULL) {
		diag_set_oom(sizeof *a, "a reload");
		return NULL;
	}
	a->refs = 2;
	pthread_mutex_lock(&lock);
	can = wake != NULL;
	if (can) {
		list_add_tail(&all[kind].waiting, &a->link);
		wake();
	}
	pthread_mutex_unlock(&lock);
	if (can)
		return a;
	mem_free(a);
	diag_set(ClientError, "there is nothing that can be reloaded: no "
			      "configuration is served, or the server ends");
	return NULL;
}

enum reload_state reload_ask_state(const struct reload_ask *a,
				   const char **ret_why, unsigned *ret_number)
{
	enum reload_state state = __atomic_load_n(&a->state, __ATOMIC_ACQUIRE);

	if (state == RELOAD_WAITS)
		return state;
	*ret_why = a->why == NULL ? "not enough memory to tell why" : a->why;
	*ret_number = a->number;
	return state;
}

void reload_asks_open(void (*fn)(void))
{
	pthread_mutex_lock(&lock);
	wake = fn;
	for (int i = 0; i < RELOAD_KINDS; i++) {
		list_init(&all[i].waiting);
		list_init(&all[i].begun);
		all[i].wanted = false;
	}
	pthread_mutex_unlock(&lock);
}

void reload_asks_want(enum reload_kind kind)
{
	pthread_mutex_lock(&lock);
	all[kind].wanted = true;
	pthread_mutex_unlock(&lock);
}

bool reload_asks_begin(enum reload_kind kind)
{
	struct asks *asks = &all[kind];
	bool any;

	pthread_mutex_lock(&lock);
	any = asks->wanted || !list_empty(&asks->waiting);
	asks->wanted = false;
	list_splice_tail(&asks->begun, &asks->waiting);
	pthread_mutex_unlock(&lock);
	return any;
}

static void answer(struct list *asks, unsigned number, const char *why)
{
	struct list *link;

	while ((link = list_shift(asks)) != NULL) {
		struct reload_ask *a =
			list_entry(link, struct reload_ask, link);

		a->number = number;
		a->why = why == NULL ? NULL : mem_strdup(why);
		__atomic_store_n(&a->state,
				 why == NULL ? RELOAD_SERVES
					     : RELOAD_HAS_FAILED,
				 __ATOMIC_RELEASE);
		reload_ask_unref(a);
	}
}

void reload_asks_answer(enum reload_kind kind, unsigned number, const char *why)
{
	pthread_mutex_lock(&lock);
	answer(&all[kind].begun, number, why);
	pthread_mutex_unlock(&lock);
}

void reload_asks_close(void)
{
	pthread_mutex_lock(&lock);
	wake = NULL;
	for (int i = 0; i < RELOAD_KINDS; i++) {
		answer(&all[i].begun, 0, "the server ends");
		answer(&all[i].waiting, 0, "the server ends");
	}
	pthread_mutex_unlock(&lock);
}

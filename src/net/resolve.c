/*
 * Names of hosts to addresses. See resolve.h.
 *
 *	NEW -> QUEUED -> AWAY (a thread has it) -> KNOWN -> forgotten
 *
 * An answer that nobody waits for any more is let go: one that is AWAY goes its
 * way unseen, and is freed when the thread is done with it, maybe after the
 * loop has ended.
 */
#include "net/resolve.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "base/inject.h"
#include "base/list.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/pool.h"
#include "runtime/timer.h"

/* A table that cannot grow leaves the element out: its hh.tbl is NULL. */
#define HASH_NONFATAL_OOM      1
#define uthash_malloc(size)    mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#include <uthash.h>

enum { RETRY_MS = 20 }; /* when others have all the threads */

/** A question, and in the end its answer. */
struct resolve_answer {
	UT_hash_handle hh;   /* while it is in the table */
	struct list link;    /* of the queue, or of those known, by age */
	struct list waiters; /* fibers */
	struct pool_job job;
	enum { QUEUED, AWAY, KNOWN } state;
	bool let_go; /* nobody has it but the job */
	uint64_t until_ns;
	struct addrinfo *found;
	int rc;  /* of getaddrinfo(3) */
	int err; /* its errno */
	const char *host;
	const char *service;
	struct addrinfo hints;
	size_t key_size;
	char key[]; /* numbers, host, service; each text ends in a zero byte */
};

/** Of a thread. */
static __thread struct {
	struct resolve_answer *table;
	struct list queue;
	struct list known;
	unsigned queued;
	unsigned away; /* of ours */
	unsigned count_known;
	struct loop *loop; /* NULL: never used */
	struct timers *timers;
	struct timer retry;
} own;

static atomic_uint away; /* of the process */

static unsigned away_max(void)
{
	unsigned threads = pool_get_limits().threads;

	return threads > 1 ? threads / 2 : 1;
}

static void answer_free(struct resolve_answer *a)
{
	if (a->found != NULL)
		freeaddrinfo(a->found);
	mem_free(a);
}

/* Out of the table and its list. */
static void forget(struct resolve_answer *a)
{
	HASH_DEL(own.table, a);
	if (a->state == QUEUED)
		own.queued--;
	if (a->state == KNOWN)
		own.count_known--;
	if (a->state != AWAY)
		list_del(&a->link);
}

static void know(struct resolve_answer *a)
{
	uint64_t ttl_ms = a->rc == 0 ? RESOLVE_TTL_MS : RESOLVE_FAILED_TTL_MS;

	a->state = KNOWN;
	a->until_ns = uv_hrtime() + ttl_ms * 1000000;
	list_add_tail(&own.known, &a->link);
	if (++own.count_known > RESOLVE_KNOWN_MAX) {
		struct resolve_answer *oldest =
			list_entry(own.known.next, struct resolve_answer, link);

		forget(oldest);
		answer_free(oldest);
	}
	while (!list_empty(&a->waiters))
		fiber_wakeup(list_entry(a->waiters.next, struct fiber, link),
			     0);
}

static void ask(struct resolve_answer *a, int flags)
{
	struct addrinfo hints = a->hints;

	hints.ai_flags |= flags;
	a->rc = getaddrinfo(a->host, a->service, &hints, &a->found);
	a->err = a->rc == EAI_SYSTEM ? errno : 0;
	if (a->rc != 0)
		a->found = NULL;
}

/* A bare system, as a container without /etc/hosts, does not know this one. It is
 * the same everywhere (RFC 6761). */
static void ask_for_localhost(struct resolve_answer *a)
{
	struct addrinfo hints = a->hints;

	/* Without a host it is the loopback, unless it is for bind(). */
	hints.ai_flags &= ~(AI_PASSIVE | AI_CANONNAME);
	a->rc = getaddrinfo(NULL, a->service != NULL ? a->service : "0", &hints,
			    &a->found);
	a->err = a->rc == EAI_SYSTEM ? errno : 0;
	if (a->rc != 0)
		a->found = NULL;
	else if (a->hints.ai_flags & AI_CANONNAME)
		a->found->ai_canonname = strdup(a->host); /* freed with it */
}

static void run(struct pool_job *job)
{
	struct resolve_answer *a = list_entry(job, struct resolve_answer, job);

	ask(a, 0);
	if (a->rc != 0 && a->rc != EAI_MEMORY && a->host != NULL &&
	    strcasecmp(a->host, "localhost") == 0)
		ask_for_localhost(a);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	const struct resolve_answer *a =
		list_entry(job, struct resolve_answer, job);

	snprintf(buf, size, "look-up of the host %.256s",
		 a->host != NULL ? a->host : "(any)");
}

static void start_some(void);

static void on_done(struct pool_job *job)
{
	struct resolve_answer *a = list_entry(job, struct resolve_answer, job);
	bool let_go = a->let_go;

	atomic_fetch_sub(&away, 1);
	if (!let_go) {
		own.away--;
		know(a);
		start_some();
		return;
	}
	answer_free(a);
	/* On the thread that asked, unless its loop has ended. */
	if (own.loop != NULL)
		start_some();
}

static void on_retry(struct timer *t)
{
	(void)t;
	start_some();
}

/* A thread shall have it. False: not now. */
static bool submit(struct resolve_answer *a)
{
	int rc;

	if (atomic_fetch_add(&away, 1) >= away_max()) {
		atomic_fetch_sub(&away, 1);
		return false;
	}
	list_del(&a->link);
	own.queued--;
	a->state = AWAY;
	a->job = (struct pool_job){ .run = run,
				    .done = on_done,
				    .describe = describe };
	rc = inject("resolve.submit")
		     ? UV_ENOBUFS
		     : pool_submit(&own.loop->port, &own.loop->uv, &a->job);
	if (rc == 0) {
		own.away++;
		return true;
	}
	atomic_fetch_sub(&away, 1);
	a->rc = EAI_SYSTEM;
	a->err = -rc;
	know(a);
	return true;
}

static void start_some(void)
{
	while (!list_empty(&own.queue)) {
		if (!submit(list_entry(own.queue.next, struct resolve_answer,
				       link)))
			break;
	}
	/* When one of ours comes back the next one goes; else nobody tells. */
	if (list_empty(&own.queue) || own.away > 0)
		timer_stop(own.timers, &own.retry);
	else if (!timer_active(&own.retry))
		timer_start(own.timers, &own.retry,
			    uv_hrtime() + RETRY_MS * 1000000ull, on_retry);
}

/* Nobody waits for it, and it is not known. */
static void let_go(struct resolve_answer *a)
{
	forget(a);
	if (a->state == QUEUED) {
		answer_free(a);
		return;
	}
	own.away--;
	a->let_go = true;
	if (!pool_abandon(&a->job))
		return; /* on_done() frees it */
	atomic_fetch_sub(&away, 1);
	answer_free(a);
}

static struct resolve_answer *answer_new(const struct resolve_key *k,
					 size_t host_size, size_t service_size)
{
	const int numbers[] = {
		k->family, k->type,         k->protocol,
		k->flags,  k->host != NULL, k->service != NULL
	};
	size_t size = sizeof numbers + host_size + service_size;
	struct resolve_answer *a = mem_zalloc(sizeof *a + size);

	if (a == NULL)
		return NULL;
	memcpy(a->key, numbers, sizeof numbers);
	a->key_size = size;
	a->host = memcpy(a->key + sizeof numbers,
			 k->host != NULL ? k->host : "", host_size);
	a->service = memcpy(a->key + sizeof numbers + host_size,
			    k->service != NULL ? k->service : "", service_size);
	if (k->host == NULL)
		a->host = NULL;
	if (k->service == NULL)
		a->service = NULL;
	a->hints.ai_family = k->family;
	a->hints.ai_socktype = k->type;
	a->hints.ai_protocol = k->protocol;
	a->hints.ai_flags = k->flags;
	list_init(&a->waiters);
	return a;
}

/* An answer of the same key; the older one, if it is still good. */
static struct resolve_answer *find(struct resolve_answer *a)
{
	struct resolve_answer *old;

	HASH_FIND(hh, own.table, a->key, a->key_size, old);
	if (old == NULL || old->state != KNOWN || uv_hrtime() < old->until_ns)
		return old;
	forget(old);
	answer_free(old);
	return NULL;
}

/* The C library takes a number modulo 65536. */
static bool is_beyond_ports(const char *service)
{
	char *end;

	return strtoul(service, &end, 10) > 65535 && *end == '\0';
}

/* Numbers are known at once. */
static bool ask_numbers(struct resolve_answer *a)
{
	if (a->service != NULL && is_beyond_ports(a->service)) {
		a->rc = EAI_SERVICE;
		return true;
	}
	if (a->host == NULL && a->service == NULL)
		return false;
	ask(a, AI_NUMERICHOST | AI_NUMERICSERV);
	if (a->rc != EAI_NONAME)
		return true;
	return a->hints.ai_flags & AI_NUMERICHOST &&
	       a->hints.ai_flags & AI_NUMERICSERV;
}

static void open_own(struct fiber *self)
{
	if (own.loop != NULL)
		return;
	own.loop = self->sched->loop;
	own.timers = &self->sched->timers;
	list_init(&own.queue);
	list_init(&own.known);
}

static size_t size_of(const char *text)
{
	return (text != NULL ? strlen(text) : 0) + 1;
}

int resolve_ask(struct fiber *self, const struct resolve_key *key,
		struct resolve_answer **ret_answer)
{
	size_t host_size = size_of(key->host);
	size_t service_size = size_of(key->service);
	struct resolve_answer *a, *old;
	bool known;

	if (host_size > RESOLVE_NAME_MAX || service_size > RESOLVE_NAME_MAX)
		return UV_ENAMETOOLONG;
	open_own(self);
	a = answer_new(key, host_size, service_size);
	if (a == NULL)
		return UV_ENOMEM;
	old = find(a);
	if (old != NULL) {
		answer_free(a);
		*ret_answer = old;
		return old->state == KNOWN ? 0 : UV_EAGAIN;
	}
	known = ask_numbers(a);
	if (!known && own.queued >= RESOLVE_PENDING_MAX) {
		answer_free(a);
		return UV_ENOBUFS;
	}
	HASH_ADD_KEYPTR(hh, own.table, a->key, a->key_size, a);
	if (a->hh.tbl == NULL) {
		answer_free(a);
		return UV_ENOMEM;
	}
	*ret_answer = a;
	if (known) {
		know(a);
		return 0;
	}
	a->state = QUEUED;
	list_add_tail(&own.queue, &a->link);
	own.queued++;
	start_some();
	return a->state == KNOWN ? 0 : UV_EAGAIN;
}

static void undo(struct fiber *f, void *arg)
{
	struct resolve_answer *a = arg;

	/* It is still in the list. */
	if (a->waiters.next == &f->link && f->link.next == &a->waiters) {
		list_del(&f->link);
		let_go(a);
		start_some(); /* the loop lives for those in the queue */
	}
}

void resolve_wait(struct resolve_answer *a, struct fiber *self,
		  uint64_t timeout_ns)
{
	fiber_park(self, undo, a, timeout_ns);
	list_add_tail(&a->waiters, &self->link);
}

int resolve_status(const struct resolve_answer *a, int *ret_errno)
{
	*ret_errno = a->err;
	return a->rc;
}

const struct addrinfo *resolve_found(const struct resolve_answer *a)
{
	return a->found;
}

void resolve_forget(void)
{
	struct resolve_answer *a, *next;

	HASH_ITER(hh, own.table, a, next) {
		if (a->state != KNOWN)
			continue;
		forget(a);
		answer_free(a);
	}
}

void resolve_end(void)
{
	struct resolve_answer *a, *next;

	if (own.loop == NULL)
		return;
	resolve_forget();
	HASH_ITER(hh, own.table, a, next)
		let_go(a);
	timer_stop(own.timers, &own.retry);
	own.loop = NULL;
}

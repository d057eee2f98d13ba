/* Memory limits of fibers. See lua_account.h. */
#include "lua/lua_account.h"

#include "base/diag.h"
#include "base/inject.h"
#include "lua/lua_collector.h"
#include "lua/lua_fiber.h"
#include "lua/lua_internal.h"
#include "lua/lua_limits.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"

enum {
	BUCKETS = 256,  /* at first */
	SAMPLES = 512,  /* of an account that is full, about */
	INTERVAL = 512, /* bytes, at least */
	SLACK = 4,      /* a part of the limit */
	STATE_SLACK =
		8, /* of what the state has: a check costs in proportion */
};

/** An object that stands for some bytes. */
struct lua_sample {
	struct list link;        /* of its account */
	struct lua_sample *next; /* of its bucket */
	struct lua_account *account;
	uintptr_t address;
	size_t weight;
	unsigned check; /* the number of the last check when it was taken */
};

static struct lua_sample **bucket_of(const struct lua_samples *s,
				     uintptr_t address)
{
	uint64_t h = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15);

	return &s->buckets[(h >> 32) & s->mask];
}

static void link_sample(struct lua_samples *s, struct lua_sample *x)
{
	struct lua_sample **bucket = bucket_of(s, x->address);

	x->next = *bucket;
	*bucket = x;
}

/* Of the object at @a address, or NULL; no more found after this. */
static struct lua_sample *unlink_sample(const struct lua_samples *s,
					uintptr_t address)
{
	struct lua_sample **at = bucket_of(s, address), *x;

	while ((x = *at) != NULL && x->address != address)
		at = &x->next;
	if (x != NULL)
		*at = x->next;
	return x;
}

/* Without memory for more buckets they get longer. */
static void widen(struct lua_samples *s)
{
	struct lua_sample **old = s->buckets, *x, *next;
	size_t count = s->mask + 1;
	struct lua_sample **wide =
		mem_zalloc(2 * count * sizeof(struct lua_sample *));

	if (wide == NULL)
		return;
	s->buckets = wide;
	s->mask = 2 * count - 1;
	for (size_t i = 0; i < count; i++) {
		for (x = old[i]; x != NULL; x = next) {
			next = x->next;
			link_sample(s, x);
		}
	}
	mem_free(old);
}

static bool is_old(const struct lua_sample *x)
{
	return x->check != x->account->check;
}

/* It stands for @a weight from now on, 0: for nothing. */
static void weigh(struct lua_sample *x, size_t weight)
{
	struct lua_account *a = x->account;

	a->used += weight - x->weight; /* unsigned: also less */
	if (is_old(x))
		a->old += weight - x->weight;
	x->weight = weight;
}

static void drop(struct lua_samples *s, struct lua_sample *x)
{
	weigh(x, 0);
	list_del(&x->link);
	s->count--;
	mem_free(x);
}

/* Without memory for a sample its bytes are not counted. */
static void take(struct lua_samples *s, struct lua_account *a,
		 uintptr_t address, size_t weight)
{
	struct lua_sample *x = mem_alloc(sizeof *x);

	if (x == NULL)
		return;
	*x = (struct lua_sample){ .account = a,
				  .address = address,
				  .check = a->check };
	list_add(&a->samples, &x->link);
	if (s->count++ > s->mask)
		widen(s);
	link_sample(s, x);
	weigh(x, weight);
}

/* Anything up to twice the interval: no rhythm of allocations goes by between the
 * samples. */
static size_t next_interval(struct lua_account *a)
{
	struct lua_samples *s = &a->vm->samples;

	s->seed ^= s->seed << 13;
	s->seed ^= s->seed >> 7;
	s->seed ^= s->seed << 17;
	return 1 + s->seed % (2 * a->interval);
}

/* How many bytes an object that was given @a size is to stand for, mostly 0. */
static size_t draw(struct lua_account *a, size_t size)
{
	size_t weight = 0;

	if (size >= 2 * a->interval)
		return size; /* large ones for themselves */
	while (size >= a->left) {
		size -= a->left;
		a->left = next_interval(a);
		weight += a->interval;
	}
	a->left -= size;
	return weight;
}

/* When it has grown by how much the next check is due. Checks cost what the
 * state has, and are made by the fiber that allocates: they are rare enough. Above
 * the limit nobody has grown for nothing: each check ends a fiber, or finds that
 * the last end has helped. */
static void plan(struct lua_account *a, size_t held)
{
	size_t slack = a->limit / SLACK;
	size_t least = a->vm->memory.used / STATE_SLACK;

	if (slack < least)
		slack = least;
	a->check_at = a->limit;
	if (held <= a->limit && held + slack > a->limit)
		a->check_at = held + slack;
	a->interval = (a->limit > slack ? a->limit : slack) / SAMPLES;
	if (a->interval < INTERVAL)
		a->interval = INTERVAL;
}

static bool is_over(const struct lua_account *a)
{
	return a->vm->memory.running->base.over != FIBER_OVER_NONE;
}

/*
 * The fiber that runs has allocated. Most of what it has may be garbage: who
 * seems to be over its limit is judged by what a whole collection has left of it.
 */
static void check(struct lua_account *a)
{
	struct lua_vm *vm = a->vm;

	if (is_over(a)) {
		lua_preempt_over(vm); /* it is not told yet */
		return;
	}
	if (!a->is_checking) {
		if (a->used <= a->check_at)
			return;
		a->is_checking = true;
		a->check++;
		a->old = a->used;
		a->cycles = lua_collector_cycles(vm);
	}
	if (!lua_collector_hurry(vm, a->cycles))
		return;
	a->is_checking = false;
	a->found = a->old;
	plan(a, a->found);
	if (a->found <= a->limit)
		return;
	vm->memory.running->base.over = FIBER_OVER_MEMORY;
	lua_preempt_over(vm);
}

/* Who pays for @a size bytes at @a ptr; NULL: nobody. */
static struct lua_account *payer(struct lua_vm *vm, const void *ptr,
				 size_t size)
{
	const struct lua_fiber *f = vm->memory.running;

	if (f == NULL || &f->base != vm->sched->current ||
	    f->own_limits == NULL ||
	    !lua_collector_is_for_script(vm, ptr, size))
		return NULL;
	return lua_limits_account(f);
}

/* An object larger than all that the fiber may have is not worth a collection. */
static bool is_too_large(const struct lua_account *a, size_t growth)
{
	return growth > a->limit && a->vm->memory.own == 0;
}

/* Takes the place of lua_memory_alloc() while there are accounts. */
static void *account_alloc(void *arg, void *ptr, size_t old_size, size_t size)
{
	struct lua_vm *vm = arg;
	struct lua_samples *s = &vm->samples;
	uintptr_t address = (uintptr_t)ptr; /* it may be freed in between */
	size_t old = ptr == NULL ? 0 : old_size, weight = 0;
	struct lua_account *a = size > old ? payer(vm, ptr, size) : NULL;
	struct lua_sample *x = NULL;
	void *p;

	if (a != NULL && is_too_large(a, size - old)) {
		vm->memory.failures++;
		return NULL;
	}
	p = lua_memory_alloc(arg, ptr, old_size, size);
	if (p == NULL && size != 0)
		return NULL;
	if (ptr != NULL && s->count != 0)
		x = unlink_sample(s, address);
	if (x != NULL && size == 0) {
		drop(s, x);
		return p;
	}
	if (a != NULL)
		weight = draw(a, size - old);
	if (x != NULL) {
		if (size < old)
			weigh(x, (size_t)((double)x->weight * (double)size /
					  (double)old));
		else if (weight != 0)
			weigh(x, x->weight + weight); /* its maker's still */
		x->address = (uintptr_t)p;
		link_sample(s, x);
	} else if (weight != 0) {
		take(s, a, (uintptr_t)p, weight);
	}
	if (a != NULL)
		check(a);
	return p;
}

int lua_account_open(struct lua_account *a, struct lua_vm *vm, size_t limit)
{
	struct lua_samples *s = &vm->samples;

	if (s->accounts == 0) {
		size_t size = BUCKETS * sizeof(struct lua_sample *);

		s->buckets = mem_zalloc(size);
		if (s->buckets == NULL) {
			diag_set_oom(size, "the memory limit of a fiber");
			return -1;
		}
		s->mask = BUCKETS - 1;
		s->seed = UINT64_C(0x2545f4914f6cdd1d);
		lua_setallocf(vm->L, account_alloc, vm);
	}
	s->accounts++;
	*a = (struct lua_account){ .vm = vm, .limit = limit };
	list_init(&a->samples);
	plan(a, 0);
	a->check_at = limit;
	a->left = next_interval(a);
	return 0;
}

void lua_account_close(struct lua_account *a)
{
	struct lua_vm *vm = a->vm;
	struct list *link;

	if (vm == NULL)
		return;
	while ((link = list_shift(&a->samples)) != NULL) {
		struct lua_sample *x =
			list_entry(link, struct lua_sample, link);

		unlink_sample(&vm->samples, x->address);
		drop(&vm->samples, x);
	}
	a->vm = NULL;
	if (--vm->samples.accounts != 0)
		return;
	lua_setallocf(vm->L, lua_memory_alloc, vm);
	mem_free(vm->samples.buckets);
	vm->samples.buckets = NULL;
}

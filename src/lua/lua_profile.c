/* What a Lua state spends its time on. See lua_profile.h. */
#include "lua/lua_profile.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/inject.h"
#include "lua/lua_fiber.h"
#include "lua/lua_internal.h"
#include "lua/lua_state.h"
#include "lua/lua_where.h"

#if !NEAP_LUAJIT_SYSTEM
#include <lj_frame.h>
#endif

enum {
	STACKS_MAX = 3000, /* different ones */
	SLOTS = 8192,      /* a power of two above that */
	TEXTS = 512 << 10, /* bytes of all */
	TEXT_MAX = 3000,   /* of one */
	LEVELS_MAX = 64,   /* of one: the innermost */
	NOTES_MAX = 16,    /* of a turn, before its stack is known */
	NAMES = 64,        /* of C functions that are remembered */
	NAME_ROOM = 48,
};

/* A tick of this turn. */
struct note {
	struct lua_where where;
	uint64_t cpu_ns, blocked_ns;
};

struct lua_profile {
	struct { /* the stacks */
		uint32_t text, hash;
		uint64_t ns;
	} stacks[STACKS_MAX];
	uint16_t slots[SLOTS]; /* number of a stack, from 1; 0: none */
	unsigned count;
	uint32_t size; /* of texts */
	char texts[TEXTS];
	uint64_t until_ns;
	uint64_t others_ns, loop_ns;
	volatile sig_atomic_t busy; /* a tick that comes now is an other */
	uint64_t turn;              /* whose notes they are */
	unsigned noted;
	struct note notes[NOTES_MAX];
	struct {
		lua_CFunction code;
		char name[NAME_ROOM];
	} names[NAMES];
	unsigned named;
	char frames[LEVELS_MAX][NAME_ROOM + LUA_IDSIZE + 16];
};

struct lua_profile *lua_profile_new(void)
{
	return mem_zalloc(sizeof(struct lua_profile));
}

void lua_profile_free(struct lua_profile *p)
{
	mem_free(p);
}

bool lua_profile_start(struct lua_vm *vm, struct lua_profile *p,
		       uint64_t until_ns)
{
	p->until_ns = until_ns;
	vm->profile = p;
	if (lua_preempt_sample(vm, true))
		return true;
	vm->profile = NULL;
	return false;
}

void lua_profile_stop(struct lua_vm *vm)
{
	if (vm->profile == NULL)
		return;
	lua_preempt_sample(vm, false);
	vm->profile = NULL;
}

/* --- the table --- */

static uint32_t hash_of(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* Allocates nothing: also in a signal handler, while not busy. */
static void count(struct lua_profile *p, const char *text, uint64_t ns)
{
	uint32_t h = hash_of(text), at = h;
	size_t size = strlen(text) + 1;
	unsigned n;

	for (; (n = p->slots[at % SLOTS]) != 0; at++) {
		if (p->stacks[n - 1].hash == h &&
		    strcmp(p->texts + p->stacks[n - 1].text, text) == 0) {
			p->stacks[n - 1].ns += ns;
			return;
		}
	}
	if (p->count == STACKS_MAX || size > TEXTS - p->size) {
		p->others_ns += ns;
		return;
	}
	memcpy(p->texts + p->size, text, size);
	p->stacks[p->count].text = p->size;
	p->stacks[p->count].hash = h;
	p->stacks[p->count].ns = ns;
	p->size += (uint32_t)size;
	p->slots[at % SLOTS] = (uint16_t)++p->count;
}

bool lua_profile_next(const struct lua_profile *p, unsigned *at,
		      const char **ret_text, uint64_t *ret_us)
{
	const struct {
		const char *text;
		uint64_t ns;
	} more[] = { { "(loop)", p->loop_ns }, { "(others)", p->others_ns } };

	while (*at < p->count + 2) {
		unsigned i = (*at)++;

		if (i < p->count) {
			*ret_text = p->texts + p->stacks[i].text;
			*ret_us = (p->stacks[i].ns + 500) / 1000;
		} else {
			*ret_text = more[i - p->count].text;
			*ret_us = (more[i - p->count].ns + 500) / 1000;
		}
		if (*ret_us > 0)
			return true;
	}
	return false;
}

/* --- one stack as text --- */

struct text {
	char bytes[TEXT_MAX];
	size_t size;
};

/* A frame's name is whatever a script likes, but no end of it, and no line. */
static void add(struct text *t, const char *s)
{
	for (; *s != '\0' && t->size < TEXT_MAX - 1; s++) {
		char c = *s;

		if (c == ';' || (unsigned char)c < ' ' || c == 0x7f)
			c = '_';
		t->bytes[t->size++] = c;
	}
	t->bytes[t->size] = '\0';
}

static void add_frame(struct text *t, const char *s)
{
	if (t->size > 0 && t->size < TEXT_MAX - 1)
		t->bytes[t->size++] = ';';
	add(t, s);
}

/* Safe in a signal handler, where it comes with @a name looked up before, or without. */
static void add_leaf(struct text *t, const struct lua_where *w,
		     const char *name)
{
	const char *slash;

	switch (w->kind) {
	case LUA_WHERE_GC:
		add_frame(t, "(gc)");
		break;
	case LUA_WHERE_COMPILER:
		add_frame(t, "(compiler)");
		break;
	case LUA_WHERE_MODULE:
		slash = strrchr(w->file, '/');
		add_frame(t, w->name);
		add(t, "@");
		add(t, slash != NULL ? slash + 1 : w->file);
		break;
	default:
		if (name != NULL)
			add_frame(t, name);
	}
}

static void count_both(struct lua_profile *p, struct text *t,
		       const struct note *n)
{
	if (n->cpu_ns > 0)
		count(p, t->bytes, n->cpu_ns);
	if (n->blocked_ns > 0) {
		add_frame(t, "(blocked)");
		count(p, t->bytes, n->blocked_ns);
	}
}

/* --- in signal handlers --- */

bool lua_profile_is_over(const struct lua_profile *p, uint64_t now_ns)
{
	return now_ns >= p->until_ns;
}

void lua_profile_add_loop(struct lua_profile *p, uint64_t cpu_ns)
{
	p->loop_ns += cpu_ns;
}

void lua_profile_note(struct lua_profile *p, const struct lua_fiber *f,
		      const struct lua_where *w, uint64_t cpu_ns,
		      uint64_t blocked_ns)
{
	struct note n = { *w, cpu_ns, blocked_ns };

	if (p->busy) {
		p->others_ns += cpu_ns;
		return;
	}
	if (f->co == NULL || f->guest != NULL) {
		/* A function of a module that was put aside: no Lua is there. */
		struct text t = { .size = 0 };

		add(&t, f->name);
		add_leaf(&t, w, NULL);
		count_both(p, &t, &n);
		return;
	}
	if (p->turn != f->vm->sched->turns) {
		p->turn = f->vm->sched->turns;
		for (unsigned i = 0; i < p->noted; i++)
			p->others_ns += p->notes[i].cpu_ns;
		p->noted = 0;
	}
	if (p->noted < NOTES_MAX) {
		p->notes[p->noted++] = n;
		return;
	}
	p->notes[NOTES_MAX - 1].cpu_ns += cpu_ns;
	p->notes[NOTES_MAX - 1].blocked_ns += blocked_ns;
}

/* --- outside of them --- */

#if NEAP_LUAJIT_SYSTEM

void lua_profile_take(struct lua_vm *vm, lua_State *L)
{
	(void)vm, (void)L;
	(void)add_leaf, (void)count_both;
}

#else

/* Looked up once. */
static const char *name_of(struct lua_vm *vm, lua_CFunction code)
{
	struct lua_profile *p = vm->profile;
	unsigned at = p->named < NAMES ? p->named : NAMES - 1;

	for (unsigned i = 0; i < p->named; i++)
		if (p->names[i].code == code)
			return p->names[i].name;
	p->names[at].code = code;
	if (!lua_where_name(code, vm, p->names[at].name, NAME_ROOM))
		p->names[at].name[0] = '\0';
	p->named = at + 1;
	return p->names[at].name;
}

static const GCfunc *function_at(lua_State *L, const lua_Debug *ar)
{
	return frame_func(tvref(L->stack) + (ar->i_ci & 0xffff));
}

static void describe(struct lua_vm *vm, const GCfunc *fn, const lua_Debug *ar,
		     char *to, size_t room)
{
	const char *name = ar->name != NULL ? ar->name : "";

	if (iscfunc(fn) && *name_of(vm, fn->c.f) != '\0')
		snprintf(to, room, "%s", name_of(vm, fn->c.f));
	else if (*ar->what == 'C')
		snprintf(to, room, "%s", *name != '\0' ? name : "(C)");
	else if (*ar->what == 'm')
		snprintf(to, room, "%s", ar->short_src);
	else
		snprintf(to, room, "%.*s%s%s:%d", NAME_ROOM, name,
			 *name != '\0' ? "@" : "", ar->short_src,
			 ar->linedefined);
}

/* The frames of L, the innermost first; their functions too. Returns how many. */
static unsigned walk(struct lua_vm *vm, lua_State *L, const GCfunc **fns)
{
	struct lua_profile *p = vm->profile;
	unsigned n = 0;
	lua_Debug ar;

	for (; n < LEVELS_MAX && lua_getstack(L, (int)n, &ar); n++) {
		lua_getinfo(L, "nS", &ar);
		fns[n] = function_at(L, &ar);
		describe(vm, fns[n], &ar, p->frames[n], sizeof(p->frames[n]));
	}
	return n;
}

/* The frame, from the innermost on, that the C function @a code has, or 0: it has returned
 * by now, and was called by the innermost one. */
static unsigned find_code(const GCfunc **fns, unsigned count,
			  lua_CFunction code, bool *ret_found)
{
	*ret_found = false;
	for (unsigned i = 0; i < count && code != NULL; i++) {
		if (iscfunc(fns[i]) && fns[i]->c.f == code) {
			*ret_found = true;
			return i;
		}
	}
	return 0;
}

static void take_note(struct lua_vm *vm, lua_State *L, const struct note *n,
		      const GCfunc **fns, unsigned levels)
{
	const struct lua_fiber *f = lua_fiber_of(vm->sched->current);
	char symbol[NAME_ROOM], file[NAME_ROOM], both[2 * NAME_ROOM + 1];
	const struct lua_where *w = &n->where;
	struct text t = { .size = 0 };
	const char *leaf = NULL;
	bool found = false;
	unsigned from = 0;

	if (w->kind == LUA_WHERE_C) {
		from = find_code(fns, levels, w->code, &found);
		leaf = found || w->code == NULL ? NULL : name_of(vm, w->code);
		leaf = leaf != NULL && *leaf == '\0' ? "(C)" : leaf;
	}
	/* One without a name calls what has one, by the FFI most often. */
	if ((w->kind == LUA_WHERE_TRACE_C ||
	     (leaf != NULL && strcmp(leaf, "(C)") == 0)) &&
	    lua_where_symbol(w->pc, symbol, NAME_ROOM, file, NAME_ROOM)) {
		snprintf(both, sizeof(both), "%s@%s", symbol, file);
		leaf = both;
	}
	add(&t, f != NULL ? f->name : "(loop)");
	if (f != NULL && L != f->co)
		add_frame(&t, "(coroutine)");
	if (levels == LEVELS_MAX)
		add_frame(&t, "(deeper)");
	for (unsigned i = levels; i > from; i--)
		add_frame(&t, vm->profile->frames[i - 1]);
	add_leaf(&t, w, leaf);
	count_both(vm->profile, &t, n);
}

void lua_profile_take(struct lua_vm *vm, lua_State *L)
{
	struct lua_profile *p = vm->profile;
	const GCfunc *fns[LEVELS_MAX];
	unsigned levels;

	if (p == NULL || p->noted == 0)
		return;
	p->busy = true;
	atomic_signal_fence(memory_order_seq_cst);
	levels = walk(vm, L, fns);
	for (unsigned i = 0; i < p->noted; i++)
		take_note(vm, L, &p->notes[i], fns, levels);
	p->noted = 0;
	atomic_signal_fence(memory_order_seq_cst);
	p->busy = false;
}

#endif

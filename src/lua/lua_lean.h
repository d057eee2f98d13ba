/*
 * What fibers, channels and sockets do at each switch and each start, as short
 * as can be: over LuaJIT's own layout where it is ours, else by the API. The rest of
 * the code has no business here.
 */
#pragma once

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_fast.h"
#include "lua/lua_fiber.h"
#include "lua/lua_memory.h"
#include "lua/lua_preempt.h"
#include "lua/lua_state.h"

/** A key and its value, for as long as their table has them. */
struct lua_texts {
	const char *key, *value;
	size_t key_size, value_size;
};

#if !NEAP_LUAJIT_SYSTEM

#include <lj_frame.h>
#include <lj_vm.h>

/** lua_vm_of(), without a call. */
static inline struct lua_vm *lua_lean_vm(lua_State *L)
{
	return G(L)->allocd;
}

/** lua_class_check() of argument @a arg. */
static inline void *lua_lean_check(lua_State *L, int arg, enum lua_class id)
{
	cTValue *o = L->base + arg - 1;

	if (__builtin_expect(o < L->top && tvisudata(o), 1) &&
	    tabref(udataV(o)->metatable) ==
		    lua_lean_vm(L)->classes[id].metatable)
		return uddata(udataV(o));
	return lua_class_check(L, arg, id);
}

/** The userdata of this class that is the first element of the table that is
 * argument @a arg, in whose place it is from now on: whatever becomes of the
 * table, it stays. NULL: there is none. */
static inline void *lua_lean_boxed(lua_State *L, int arg, enum lua_class id)
{
	TValue *arg_slot = L->base + arg - 1;
	cTValue *o = arg_slot;

	if (o >= L->top)
		return NULL;
	if (tvistab(o) && tabV(o)->asize > 1)
		o = arrayslot(tabV(o), 1);
	if (!tvisudata(o) || tabref(udataV(o)->metatable) !=
				     lua_lean_vm(L)->classes[id].metatable)
		return NULL;
	copyTV(L, arg_slot, o);
	return uddata(udataV(o));
}

/** A finalizer runs. */
static inline bool lua_lean_in_finalizer(lua_State *L)
{
	return G(L)->hookmask & HOOK_GC;
}

/** The string that is argument @a arg; NULL: it is none. */
static inline const char *lua_lean_string(lua_State *L, int arg,
					  size_t *ret_size)
{
	cTValue *o = L->base + arg - 1;

	if (o >= L->top || !tvisstr(o))
		return NULL;
	*ret_size = strV(o)->len;
	return strVdata(o);
}

/** lua_tonumber() of argument @a arg. */
static inline lua_Number lua_lean_number(lua_State *L, int arg)
{
	cTValue *o = L->base + arg - 1;

	return __builtin_expect(o < L->top && tvisnum(o), 1)
		       ? numV(o)
		       : lua_tonumber(L, arg);
}

/** The userdata that is upvalue @a n of the running C function. */
static inline void *lua_lean_upvalue(lua_State *L, int n)
{
	return uddata(udataV(&curr_func(L)->c.upvalue[n - 1]));
}

/* Push element @a i of table @a t, or say that it is not where arrays have it. */
static inline bool lua_lean_push_element(lua_State *L, const GCtab *t, int i)
{
	if (__builtin_expect((uint32_t)i >= t->asize, 0))
		return false;
	copyTV(L, L->top, arrayslot(t, (uint32_t)i));
	L->top++;
	return true;
}

/** Push element @a i of the table that is upvalue @a n. Throws: no; there must be
 * room, as there is for a C function. */
static inline void lua_lean_push_of_upvalue(lua_State *L, int n, int i)
{
	const GCtab *t = tabV(&curr_func(L)->c.upvalue[n - 1]);

	if (!lua_lean_push_element(L, t, i))
		lua_rawgeti(L, lua_upvalueindex(n), i);
}

/** Push what the registry has for @a ref. */
static inline void lua_lean_push_ref(lua_State *L, int ref)
{
	if (!lua_lean_push_element(L, tabV(registry(L)), ref))
		lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}

/** The pair of texts at or behind place *at of the table that is argument @a arg.
 * Returns 1 with *at behind it; 0: there are no more; -1: it is no table, or
 * there is a pair of another kind. */
static inline int lua_lean_next_texts(lua_State *L, int arg, uint32_t *at,
				      struct lua_texts *ret)
{
	cTValue *o = L->base + arg - 1;
	const GCtab *t;
	const Node *n;

	if (o >= L->top || !tvistab(o) || tabV(o)->asize > 0)
		return -1;
	t = tabV(o);
	do {
		if (*at > t->hmask)
			return 0;
		n = &noderef(t->node)[(*at)++];
	} while (tvisnil(&n->val));
	if (!tvisstr(&n->key) || !tvisstr(&n->val))
		return -1;
	ret->key = strdata(strV(&n->key));
	ret->key_size = strV(&n->key)->len;
	ret->value = strdata(strV(&n->val));
	ret->value_size = strV(&n->val)->len;
	return 1;
}

/** The text that is the key at or behind place *at of the table that is argument
 * @a arg. Returns 1 with *at behind it; 0: there are no more; -1: it is no table, or
 * there may be a key of another kind. */
static inline int lua_lean_next_key(lua_State *L, int arg, uint32_t *at,
				    const char **ret, size_t *ret_size)
{
	cTValue *o = L->base + arg - 1;
	const GCtab *t;
	const Node *n;

	if (o >= L->top || !tvistab(o) || tabV(o)->asize > 0)
		return -1;
	t = tabV(o);
	do {
		if (*at > t->hmask)
			return 0;
		n = &noderef(t->node)[(*at)++];
	} while (tvisnil(&n->val));
	if (!tvisstr(&n->key))
		return -1;
	*ret = strdata(strV(&n->key));
	*ret_size = strV(&n->key)->len;
	return 1;
}

/** lua_toboolean(L, arg) */
static inline bool lua_lean_toboolean(lua_State *L, int arg)
{
	cTValue *o = L->base + arg - 1;

	return o < L->top && tvistruecond(o);
}

/** Argument @a arg is nil, or not there. */
static inline bool lua_lean_isnoneornil(lua_State *L, int arg)
{
	cTValue *o = L->base + arg - 1;

	return o >= L->top || tvisnil(o);
}

static inline bool lua_lean_isyieldable(lua_State *L)
{
	return cframe_canyield(L->cframe) &&
	       !(G(L)->hookmask & (HOOK_GC | HOOK_VMEVENT));
}

/** Push a copy of argument @a arg of @a from on @a to. Throws: no; there must
 * be room, as there is on a coroutine that waits. */
static inline void lua_lean_copy(lua_State *to, lua_State *from, int arg)
{
	copyTV(to, to->top, from->base + arg - 1);
	to->top++;
}

/** lua_settop(co, 0) */
static inline void lua_lean_clear(lua_State *co)
{
	co->top = co->base;
}

/** The value at the top, as a number to compare with. */
static inline uint64_t lua_lean_bits(lua_State *L)
{
	return (L->top - 1)->u64;
}

/** lua_push_park_mark() */
static inline void lua_lean_push_park_mark(lua_State *L)
{
	L->top->u64 = lua_lean_vm(L)->park_bits;
	L->top++;
}

/** lua_yield() of the park mark alone, after lua_lean_wait_check(). */
static inline int lua_lean_yield_park_mark(lua_State *L)
{
	if (__builtin_expect(hook_active(G(L)), 0)) {
		lua_lean_push_park_mark(L);
		return lua_yield(L, 1);
	}
	L->base->u64 = lua_lean_vm(L)->park_bits;
	L->top = L->base + 1;
	L->cframe = NULL;
	L->status = LUA_YIELD;
	return -1;
}

/** lua_resume() */
static inline int lua_lean_resume(lua_State *co, int nargs)
{
	if (__builtin_expect(co->status == LUA_YIELD && co->cframe == NULL, 1))
		return lj_vm_resume(co, co->top - nargs, 0, 0);
	return lua_resume(co, nargs);
}

/** lua_has_park_mark() */
static inline bool lua_lean_has_park_mark(lua_State *L)
{
	return L->top > L->base &&
	       lua_lean_bits(L) == lua_lean_vm(L)->park_bits;
}

/** A userdata with the metatable of a class, pushed. Throws: out of memory. */
static inline void *lua_lean_box(lua_State *L, enum lua_class id, size_t size)
{
	void *box = lua_newuserdata(L, size);

	/* It is new, and white: it needs no barrier. */
	setgcref(udataV(L->top - 1)->metatable,
		 obj2gco((GCtab *)lua_lean_vm(L)->classes[id].metatable));
	return box;
}

/** Element @a key of the environment of userdata @a arg becomes the value of
 * argument @a value. Throws: out of memory. */
static inline void lua_lean_env_set(lua_State *L, int arg, int key, int value)
{
	GCtab *t = tabref(udataV(L->base + arg - 1)->env);

	if (__builtin_expect((uint32_t)key >= t->asize, 0)) {
		lua_getfenv(L, arg);
		lua_pushvalue(L, value);
		lua_rawseti(L, -2, key);
		lua_pop(L, 1);
		return;
	}
	copyTV(L, arrayslot(t, (uint32_t)key), L->base + value - 1);
	lj_gc_anybarriert(L, t);
}

/** The globals of @a co become those of @a L. Throws: no. */
static inline void lua_lean_set_globals(lua_State *L, lua_State *co)
{
	if (__builtin_expect(gcref(co->env) == gcref(L->env), 1))
		return;
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	lua_xmove(L, co, 1);
	lua_replace(co, LUA_GLOBALSINDEX);
}

/** Element @a slot of @a slots becomes the value at the top, which is popped. It
 * is there already, so nothing is thrown. */
static inline void
lua_lean_slot_set(lua_State *L, const struct lua_slots *slots, unsigned slot)
{
	GCtab *t = slots->table;

	if (__builtin_expect(slot >= t->asize, 0)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, slots->ref);
		lua_insert(L, -2);
		lua_rawseti(L, -2, (int)slot);
		lua_pop(L, 1);
		return;
	}
	L->top--;
	copyTV(L, arrayslot(t, slot), L->top);
	lj_gc_anybarriert(L, t);
}

/* As LuaJIT's own, which it keeps to itself. 0: it is not known. */
static inline int lua_lean_line(const GCproto *pt, const BCIns *pc)
{
	BCPos pos = proto_bcpos(pt, pc) - 1;
	const void *info = proto_lineinfo(pt);

	if (info == NULL || pos == 0 || pos >= pt->sizebc)
		return 0;
	pos--;
	if (pt->numline < 256)
		return pt->firstline + ((const uint8_t *)info)[pos];
	if (pt->numline < 65536)
		return pt->firstline + ((const uint16_t *)info)[pos];
	return pt->firstline + (int)((const uint32_t *)info)[pos];
}

/** Push the Lua function that has called the running C function, and give its
 * line; 0, and nothing pushed: ask the debug library. Throws: no. */
static inline int lua_lean_push_caller(lua_State *L)
{
	cTValue *frame = L->base - 1;
	const BCIns *pc;
	GCfunc *fn;
	int line;

	if (frame_islua(frame)) {
		pc = frame_pc(frame);
		frame = frame_prevl(frame);
	} else if (frame_iscont(frame) && frame_contv(frame) > 1) {
		pc = frame_contpc(frame); /* of a compiled loop */
		frame = frame_prevd(frame);
	} else {
		return 0;
	}
	fn = frame_func(frame);
	if (!isluafunc(fn) || *strdata(proto_chunkname(funcproto(fn))) == '=')
		return 0;
	line = lua_lean_line(funcproto(fn), pc);
	if (line == 0)
		return 0;
	setfuncV(L, L->top, fn);
	L->top++;
	return line;
}

#else

static inline struct lua_vm *lua_lean_vm(lua_State *L)
{
	return lua_vm_of(L);
}

static inline void *lua_lean_check(lua_State *L, int arg, enum lua_class id)
{
	return lua_class_check(L, arg, id);
}

static inline void *lua_lean_boxed(lua_State *L, int arg, enum lua_class id)
{
	void *box;

	if (lua_type(L, arg) != LUA_TTABLE)
		return lua_class_test(L, arg, id);
	lua_rawgeti(L, arg, 1);
	box = lua_class_test(L, -1, id);
	if (box != NULL)
		lua_replace(L, arg);
	else
		lua_pop(L, 1);
	return box;
}

static inline bool lua_lean_in_finalizer(lua_State *L)
{
	(void)L;
	return false; /* it does not say */
}

static inline const char *lua_lean_string(lua_State *L, int arg,
					  size_t *ret_size)
{
	return lua_type(L, arg) == LUA_TSTRING ? lua_tolstring(L, arg, ret_size)
					       : NULL;
}

static inline lua_Number lua_lean_number(lua_State *L, int arg)
{
	return lua_tonumber(L, arg);
}

static inline void *lua_lean_upvalue(lua_State *L, int n)
{
	return lua_touserdata(L, lua_upvalueindex(n));
}

static inline void lua_lean_push_of_upvalue(lua_State *L, int n, int i)
{
	lua_rawgeti(L, lua_upvalueindex(n), i);
}

static inline void lua_lean_push_ref(lua_State *L, int ref)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}

static inline int lua_lean_next_texts(lua_State *L, int arg, uint32_t *at,
				      struct lua_texts *ret)
{
	(void)L, (void)arg, (void)at, (void)ret;
	return -1;
}

static inline int lua_lean_next_key(lua_State *L, int arg, uint32_t *at,
				    const char **ret, size_t *ret_size)
{
	(void)L, (void)arg, (void)at, (void)ret, (void)ret_size;
	return -1;
}

static inline bool lua_lean_toboolean(lua_State *L, int arg)
{
	return lua_toboolean(L, arg);
}

static inline bool lua_lean_isnoneornil(lua_State *L, int arg)
{
	return lua_isnoneornil(L, arg);
}

static inline bool lua_lean_isyieldable(lua_State *L)
{
	return lua_isyieldable(L);
}

static inline void lua_lean_copy(lua_State *to, lua_State *from, int arg)
{
	lua_pushvalue(from, arg);
	if (to != from)
		lua_xmove(from, to, 1);
}

static inline void lua_lean_clear(lua_State *co)
{
	lua_settop(co, 0);
}

static inline uint64_t lua_lean_bits(lua_State *L)
{
	(void)L;
	return 0;
}

static inline void lua_lean_push_park_mark(lua_State *L)
{
	lua_push_park_mark(L);
}

static inline int lua_lean_yield_park_mark(lua_State *L)
{
	lua_push_park_mark(L);
	return lua_yield(L, 1);
}

static inline int lua_lean_resume(lua_State *co, int nargs)
{
	return lua_resume(co, nargs);
}

static inline bool lua_lean_has_park_mark(lua_State *L)
{
	return lua_has_park_mark(L);
}

static inline void *lua_lean_box(lua_State *L, enum lua_class id, size_t size)
{
	return lua_class_box(L, id, size);
}

static inline void lua_lean_env_set(lua_State *L, int arg, int key, int value)
{
	lua_getfenv(L, arg);
	lua_pushvalue(L, value);
	lua_rawseti(L, -2, key);
	lua_pop(L, 1);
}

static inline void lua_lean_set_globals(lua_State *L, lua_State *co)
{
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	lua_xmove(L, co, 1);
	lua_replace(co, LUA_GLOBALSINDEX);
}

static inline void
lua_lean_slot_set(lua_State *L, const struct lua_slots *slots, unsigned slot)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, slots->ref);
	lua_insert(L, -2);
	lua_rawseti(L, -2, (int)slot);
	lua_pop(L, 1);
}

static inline int lua_lean_push_caller(lua_State *L)
{
	(void)L;
	return 0;
}

#endif

/** lua_wait_check() */
static inline struct fiber *lua_lean_wait_check(lua_State *L)
{
	const struct lua_vm *vm = lua_lean_vm(L);
	struct fiber *self = vm->sched->current;

	if (__builtin_expect(self != NULL && self->state == FIBER_RUNNING &&
				     !vm->offloaded && lua_lean_isyieldable(L),
			     1))
		return self;
	return lua_wait_check(L);
}

/** lua_wait() of @a self */
static inline int lua_lean_wait(lua_State *L, const struct fiber *self)
{
	if (__builtin_expect(self->flags & FIBER_CANCELLED, 0))
		return lua_wait(L);
	return lua_lean_yield_park_mark(L);
}

/** lua_memory_turn() */
static inline struct lua_fiber *lua_lean_memory_turn(struct lua_vm *vm,
						     struct lua_fiber *f)
{
	struct lua_memory *m = &vm->memory;

	if (__builtin_expect(m->running != NULL || m->used != m->mark ||
				     m->recovering,
			     0))
		return lua_memory_turn(vm, f);
	m->running = f;
	return NULL;
}

/** lua_memory_turn_end() */
static inline void lua_lean_memory_turn_end(struct lua_vm *vm,
					    struct lua_fiber *outer, int rc)
{
	struct lua_memory *m = &vm->memory;

	if (__builtin_expect(m->used != m->mark || m->boosted || m->in_crisis,
			     0))
		lua_memory_turn_end(vm, outer, rc);
	else
		m->running = outer;
}

/** lua_preempt_before() */
static inline bool lua_lean_preempt_before(struct lua_fiber *f)
{
	if (__builtin_expect(f->vm->hook.armed ||
				     (f->base.flags & FIBER_PUT_ASIDE) ||
				     f->base.over != FIBER_OVER_NONE,
			     0))
		return lua_preempt_before(f);
	return false;
}

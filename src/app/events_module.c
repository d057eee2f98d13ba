/* Subscriptions of events in Lua: the C half of core_events.lua. */
#include <lauxlib.h>
#include <string.h>

#include "app/app.h"
#include "app/events.h"
#include "app/patref.h"
#include "app/tools_modules.h"
#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_limits.h"
#include "lua/lua_serialize.h"

static const char class[] = "neap.events_sub";

struct box {
	struct events_sub *sub; /* NULL: it is over */
	struct worker *worker;
	struct lua_fiber *serving; /* NULL: no event is */
	struct event *event;       /* that is handed over */
	struct patref *watched;    /* NULL: none */
	/* Registry: what keeps it alive while it is subscribed. */
	int own_ref, object_ref, function_ref;
};

static void serve_next(struct box *box);

static void release(lua_State *L, int *ref)
{
	luaL_unref(L, LUA_REGISTRYINDEX, *ref);
	*ref = LUA_NOREF;
}

static void report(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	lua_fiber_push_report(L, f);
	log_error("an event's function failed: %s", lua_tostring(L, -1));
}

static void on_fiber_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct box *box = arg;
	struct lua_vm *vm = &box->worker->vm;

	box->serving = NULL;
	if (!ok && !lua_fiber_ended_by_cancel(f) &&
	    lua_vm_protect(vm, report, f) != 0)
		log_error("an event's function failed: %s",
			  diag_last()->message);
	if (box->sub == NULL)
		release(vm->L, &box->own_ref);
	else if (ok || !lua_fiber_ended_by_cancel(f) ||
		 !app_is_ending(box->worker->app))
		serve_next(box);
}

struct start {
	struct box *box;
	struct lua_fiber *fiber;
};

/* The function; type, data, subscription, time. */
static void push_call(lua_State *L, void *arg)
{
	const struct start *s = arg;
	const struct event *e = s->box->event;

	lua_rawgeti(L, LUA_REGISTRYINDEX, s->box->function_ref);
	lua_pushstring(L, event_names[e->type]);
	if (e->size == 0)
		lua_pushnil(L);
	else if (lua_unpack(L, e->data, e->data + e->size) != 1)
		lua_error_throw(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->box->object_ref);
	lua_pushnumber(L, e->time);
	luaL_checkstack(s->fiber->co, 5, "an event");
	lua_xmove(L, s->fiber->co, 5);
}

/* Begin with the event that has been taken. False: it is lost. */
static bool serve(struct box *box)
{
	struct lua_vm *vm = &box->worker->vm;
	struct start s = { box, NULL };
	int rc;

	s.fiber = lua_fiber_get(vm);
	rc = s.fiber == NULL ? -1 : lua_vm_protect(vm, push_call, &s);
	event_unref(box->event);
	box->event = NULL;
	if (rc != 0) {
		log_error("an event is lost: %s", diag_last()->message);
		if (s.fiber != NULL)
			lua_fiber_drop(s.fiber);
		return false;
	}
	lua_fiber_name(s.fiber, "event");
	lua_limits_set_group(s.fiber, LUA_LIMIT_TASK);
	s.fiber->on_end = on_fiber_end;
	s.fiber->on_end_arg = box;
	box->serving = s.fiber;
	lua_fiber_start_later(s.fiber, 4);
	return true;
}

/* Begin with the next event, if there is one; one by one. Nobody tells of those that
 * are queued again: when one is lost, it goes on with the one behind it. */
static void serve_next(struct box *box)
{
	if (box->sub == NULL || box->serving != NULL || box->worker->vm.closing)
		return;
	do {
		box->event = events_take(box->sub);
	} while (box->event != NULL && !serve(box));
}

static void on_event(struct events_sub *s)
{
	serve_next(s->arg);
}

static void end(struct box *box)
{
	struct events_sub *s = box->sub;

	box->sub = NULL;
	if (s == NULL)
		return;
	events_unsubscribe(s);
	events_sub_unref(s);
	if (box->watched != NULL)
		patref_watch(box->watched, -1);
	box->watched = NULL;
}

static struct box *check_box(lua_State *L)
{
	return luaL_checkudata(L, 1, class);
}

static uint64_t read_types(lua_State *L, int arg)
{
	uint64_t types = 0;

	for (int i = 1; i <= EVENTS_TYPES_MAX; i++) {
		lua_rawgeti(L, arg, i);
		if (lua_isnil(L, -1))
			break;
		types |= event_types_parse(lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return types;
}

/* is_type(name) -> boolean */
static int l_is_type(lua_State *L)
{
	lua_pushboolean(L, event_types_parse(luaL_checkstring(L, 1)) != 0);
	return 1;
}

/* subscribe(types, f, object, source) -> box, which is object[1] */
static int l_subscribe(lua_State *L)
{
	uint64_t types = read_types(L, 1);
	const char *source = luaL_optstring(L, 4, NULL);
	struct box *box;

	lua_settop(L, 4);
	box = lua_newuserdata(L, sizeof *box);
	memset(box, 0, sizeof *box);
	box->worker = worker_of(L);
	box->own_ref = box->object_ref = box->function_ref = LUA_NOREF;
	luaL_getmetatable(L, class);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawseti(L, 3, 1);
	lua_pushvalue(L, 2);
	box->function_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, 3);
	box->object_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, -1);
	box->own_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	box->sub = events_subscribe(types, source, &box->worker->mailbox,
				    on_event, box);
	if (box->sub == NULL) {
		release(L, &box->own_ref);
		release(L, &box->object_ref);
		release(L, &box->function_ref);
		return lua_error_throw(L);
	}
	if (source != NULL) {
		box->watched = patref_find(source);
		if (box->watched != NULL)
			patref_watch(box->watched, 1);
	}
	return 1;
}

/* unsubscribe(box) */
static int l_unsubscribe(lua_State *L)
{
	struct box *box = check_box(L);

	end(box);
	/* While its function runs it is needed at its end. */
	release(L, &box->function_ref);
	release(L, &box->object_ref);
	if (box->serving == NULL)
		release(L, &box->own_ref);
	return 0;
}

/* lost(box) -> number */
static int l_lost(lua_State *L)
{
	struct box *box = check_box(L);

	lua_pushnumber(L, box->sub == NULL ? 0
					   : (lua_Number)events_lost(box->sub));
	return 1;
}

static int l_gc(lua_State *L)
{
	struct box *box = check_box(L);

	end(box);
	event_unref(box->event);
	box->event = NULL;
	return 0;
}

/* publish(type, data): for tests, and Lua halves that cause events */
static int l_publish(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	struct buf data = { .limit = EVENTS_DATA_MAX };
	int type = 0;

	while (type < EVENT_TYPES && strcmp(event_names[type], name) != 0)
		type++;
	if (type == EVENT_TYPES)
		return lua_error_usage(L, "there is no event '%s'", name);
	if (!lua_isnoneornil(L, 2)) {
		if (lua_pack(L, 2, 2, &data) != 0) {
			buf_destroy(&data);
			return lua_error_throw(L);
		}
		/* The array of one value around it. */
		buf_consume(&data, 1);
	}
	events_publish_packed((enum event_type)type, NULL, data.data,
			      data.size);
	buf_destroy(&data);
	return 0;
}

static void on_patref_change(const char *name, enum patref_change change)
{
	static const enum event_type types[PATREF_CHANGES] = {
		[PATREF_ADD] = EVENT_PAT_REF_ADD,
		[PATREF_DEL] = EVENT_PAT_REF_DEL,
		[PATREF_SET] = EVENT_PAT_REF_SET,
		[PATREF_CLEAR] = EVENT_PAT_REF_CLEAR,
		[PATREF_COMMIT] = EVENT_PAT_REF_COMMIT,
	};

	events_publish_packed(types[change], name, NULL, 0);
}

int tools_open_events(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "is_type", l_is_type },         { "subscribe", l_subscribe },
		{ "unsubscribe", l_unsubscribe }, { "lost", l_lost },
		{ "publish", l_publish },         { NULL, NULL },
	};

	patref_set_watch(on_patref_change);
	luaL_newmetatable(L, class);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

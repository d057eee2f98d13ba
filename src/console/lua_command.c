/*
 * Admin commands in Lua. See lua_command.h.
 *
 * The function runs in a fiber; what it sends is kept until the session has room, and
 * past SEND_MAX the fiber waits. The run and the fiber know each other by a struct that
 * goes with the last of them, so each may end first: a client that vanishes has the
 * fiber cancelled.
 */
#include "console/lua_command.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "console/admin_commands.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_limits.h"
#include "lua/lua_state.h"
#include "runtime/cond.h"
#include "runtime/fiber.h"

enum {
	SEND_MAX = 64 << 10, /* that waits for the session */
	PIECE = 4096,
	WORDS_MAX = 5, /* of a name */
	TEXT_MAX = 256,
};

static const char object_mark; /* in the metatables of what commands get */

/** A command of a script. */
struct lua_command {
	struct admin_command base;
	struct lua_vm *vm;
	int ref;        /* the function */
	int object_ref; /* the metatable of what it gets */
	char words[TEXT_MAX];
	char help[TEXT_MAX];
};

/** A call of one. */
struct lua_call {
	struct admin_run *run;   /* NULL: nobody listens */
	struct lua_fiber *fiber; /* NULL: it has ended */
	struct sched *sched;
	uint64_t fiber_id;
	unsigned refs; /* the run, the fiber, the object in Lua */
	struct buf out;
	size_t told; /* of it */
	struct cond room;
	struct error *error; /* it ended by */
};

static void call_unref(struct lua_call *c)
{
	if (--c->refs > 0)
		return;
	if (c->error != NULL)
		error_unref(c->error);
	buf_destroy(&c->out);
	cond_destroy(&c->room);
	mem_free(c);
}

/* --- what Lua has of it --- */

static struct lua_call *check_call(lua_State *L)
{
	struct lua_call **box = lua_touserdata(L, 1);
	bool is = false;

	if (box != NULL && lua_getmetatable(L, 1)) {
		lua_pushlightuserdata(L, (void *)&object_mark);
		lua_rawget(L, -2);
		is = lua_toboolean(L, -1);
		lua_pop(L, 2);
	}
	if (!is)
		luaL_argerror(L, 1,
			      "what a command of the console gets is "
			      "wanted");
	return *box;
}

static int l_gc(lua_State *L)
{
	struct lua_call **box = lua_touserdata(L, 1);

	if (*box != NULL)
		call_unref(*box);
	*box = NULL;
	return 0;
}

/* send(command, text, taken) -> how much of it was taken | nil: nobody listens */
static int l_send(lua_State *L)
{
	struct lua_call *c = check_call(L);
	size_t size, taken = (size_t)luaL_checknumber(L, 3);
	const char *text = luaL_checklstring(L, 2, &size);
	size_t room = c->out.size < SEND_MAX ? SEND_MAX - c->out.size : 0;

	if (c->run == NULL || taken > size)
		return 0;
	size -= taken;
	size = size < room ? size : room;
	if (buf_append(&c->out, text + taken, size) != 0)
		return luaL_error(L, "not enough memory");
	if (size > 0)
		admin_wake(c->run);
	lua_pushnumber(L, (lua_Number)(taken + size));
	return 1;
}

/* wait(command) -> status: until there is room, or nobody listens */
static int l_wait(lua_State *L)
{
	struct lua_call *c = check_call(L);
	struct fiber *self = lua_wait_check(L);

	if (c->run == NULL || c->out.size < SEND_MAX) {
		bool gone = c->run == NULL && self->flags & FIBER_CANCELLED;

		lua_pushinteger(L, gone ? UV_ECANCELED : 0);
		return 1;
	}
	cond_wait_begin(&c->room, self, UINT64_MAX);
	return lua_wait(L);
}

/* payload(command) -> string | nil */
static int l_payload(lua_State *L)
{
	struct lua_call *c = check_call(L);
	const char *text;
	size_t size;

	text = c->run != NULL ? admin_payload(c->run, &size) : NULL;
	if (text == NULL)
		return 0;
	lua_pushlstring(L, text, size);
	return 1;
}

/* level(command) -> string | nil */
static int l_level(lua_State *L)
{
	struct lua_call *c = check_call(L);

	if (c->run == NULL)
		return 0;
	lua_pushstring(L, admin_level_names[admin_run_level(c->run)]);
	return 1;
}

void lua_command_push_functions(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "send", l_send },       { "wait", l_wait },
		{ "payload", l_payload }, { "level", l_level },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
}

/* --- a call --- */

struct start {
	const struct lua_command *command;
	struct lua_call *call;
	struct lua_fiber *fiber;
	char *const *words;
	unsigned count;
};

/* The function, its object and the words onto the fiber's stack. */
static void push_start(lua_State *L, void *arg)
{
	struct start *s = arg;
	struct lua_call **box;

	luaL_checkstack(L, (int)s->count + 4, "too many words");
	if (!lua_checkstack(s->fiber->co, (int)s->count + 4))
		luaL_error(L, "not enough memory");
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->command->ref);
	box = lua_newuserdata(L, sizeof(*box));
	*box = NULL;
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->command->object_ref);
	lua_setmetatable(L, -2);
	*box = s->call;
	s->call->refs++;
	for (unsigned i = 0; i < s->count; i++)
		lua_pushstring(L, s->words[i]);
	lua_xmove(L, s->fiber->co, (int)s->count + 2);
}

static void log_failure(const char *text)
{
	log_error("a command of the console failed: %s", text);
}

static void push_report(lua_State *L, void *arg)
{
	lua_fiber_push_report(L, arg);
	log_failure(lua_tostring(L, -1));
}

/* Its message, for the operator; the log has the whole report. */
static struct error *error_of(struct lua_fiber *f)
{
	struct error *e = lua_error_test(f->co, -1);

	if (e != NULL)
		return error_ref(e);
	diag_set(LuaError, "%s",
		 lua_type(f->co, -1) == LUA_TSTRING ? lua_tostring(f->co, -1)
						    : "no text");
	return diag_take();
}

/* An error of a fiber elsewhere has its traceback in its text: the log has that. */
static bool take_elsewhere(struct lua_call *c)
{
	struct error *e = c->error;
	const char *trace = strstr(e->message, "\nstack traceback:");

	if (trace == NULL)
		return false;
	log_failure(e->message);
	c->error = error_new(e->type, e->code, __FILE__, __LINE__, "%.*s",
			     (int)(trace - e->message), e->message);
	error_unref(e);
	return true;
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct lua_call *c = arg;

	c->fiber = NULL;
	if (!ok && !(c->run == NULL && lua_fiber_ended_by_cancel(f))) {
		c->error = error_of(f);
		if (!lua_fiber_ended_by_cancel(f) && !take_elsewhere(c) &&
		    lua_vm_protect(f->vm, push_report, f) != 0)
			diag_clear();
	}
	if (c->run != NULL)
		admin_wake(c->run);
	call_unref(c);
}

struct context {
	struct lua_call *call;
};

static int start_call(struct admin_run *run, const struct lua_command *command,
		      struct lua_call *c)
{
	struct start s = { .command = command, .call = c };

	s.words = admin_words(run, &s.count);
	s.fiber = lua_fiber_get(command->vm);
	if (s.fiber == NULL)
		return -1;
	if (lua_vm_protect(command->vm, push_start, &s) != 0) {
		lua_fiber_drop(s.fiber);
		return -1;
	}
	lua_fiber_name(s.fiber, "console");
	lua_limits_set_group(s.fiber, LUA_LIMIT_COMMAND);
	s.fiber->on_end = on_end;
	s.fiber->on_end_arg = c;
	c->fiber = s.fiber;
	c->fiber_id = s.fiber->base.id;
	c->sched = s.fiber->base.sched;
	c->refs++;
	lua_fiber_start_later(s.fiber, (int)s.count + 1);
	return 0;
}

static int parse(struct admin_run *run)
{
	struct context *x = admin_context(run);
	const struct lua_command *command =
		(const struct lua_command *)admin_run_command(run);
	struct lua_call *c = mem_zalloc(sizeof(*c));

	if (c == NULL) {
		admin_fail(run, "not enough memory");
		return -1;
	}
	c->run = run;
	c->refs = 1;
	cond_create(&c->room);
	if (start_call(run, command, c) != 0) {
		admin_fail_diag(run);
		c->run = NULL;
		call_unref(c);
		return -1;
	}
	x->call = c;
	return 0;
}

/* What was sent, as far as there is room. False: there is none. */
static bool tell(struct admin_run *run, struct lua_call *c)
{
	while (c->told < c->out.size) {
		size_t size = c->out.size - c->told;

		size = size < PIECE ? size : PIECE;
		if (!admin_put(run, c->out.data + c->told, size))
			return false;
		c->told += size;
	}
	c->told = 0;
	buf_reset(&c->out, PIECE);
	cond_broadcast(&c->room);
	return true;
}

static enum admin_step io(struct admin_run *run)
{
	struct context *x = admin_context(run);
	struct lua_call *c = x->call;

	if (!tell(run, c))
		return ADMIN_MORE;
	if (c->fiber != NULL)
		return ADMIN_WAIT;
	if (c->error != NULL)
		return admin_fail(run, "%s", c->error->message);
	return ADMIN_DONE;
}

static void release(struct admin_run *run)
{
	struct context *x = admin_context(run);
	struct lua_call *c = x->call;
	struct fiber *f;

	c->run = NULL;
	f = c->fiber != NULL ? fiber_find(c->sched, c->fiber_id) : NULL;
	if (f != NULL)
		fiber_cancel(f); /* first: then that is what ends a send() */
	else if (c->fiber != NULL)
		c->refs--; /* it was abandoned: nobody tells of its end */
	cond_broadcast(&c->room);
	call_unref(c);
}

/* --- declaring one --- */

/* The words of the list at index 1, behind each other. */
static void read_words(lua_State *L, char *to)
{
	size_t count = lua_objlen(L, 1), size = 0;

	if (count < 1 || count > WORDS_MAX)
		lua_error_usage(L, "a command's name has 1 to %d words",
				WORDS_MAX);
	for (size_t i = 1; i <= count; i++) {
		const char *word;
		size_t n;

		lua_rawgeti(L, 1, (int)i);
		word = lua_tolstring(L, -1, &n);
		if (word == NULL || n == 0 ||
		    strspn(word, "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-_.") != n ||
		    size + n + 2 > TEXT_MAX)
			lua_error_usage(L, "a word of a command's name is of "
					   "letters, digits, '-', '_' and '.'");
		if (size > 0)
			to[size++] = ' ';
		memcpy(to + size, word, n);
		size += n;
		lua_pop(L, 1);
	}
	to[size] = '\0';
}

static enum admin_level read_level(lua_State *L)
{
	enum admin_level level = ADMIN_ADMIN;

	lua_getfield(L, 3, "level");
	if (!lua_isnil(L, -1)) {
		const char *name = lua_tostring(L, -1);

		for (level = 0; level < ADMIN_LEVEL_COUNT; level++)
			if (name != NULL &&
			    strcmp(name, admin_level_names[level]) == 0)
				break;
		if (level == ADMIN_LEVEL_COUNT)
			lua_error_usage(L, "level: user, operator or admin");
	}
	lua_pop(L, 1);
	return level;
}

static void read_help(lua_State *L, char *to)
{
	const char *text;

	lua_getfield(L, 3, "help");
	text = lua_isnil(L, -1) ? "a command of the application"
				: luaL_checkstring(L, -1);
	snprintf(to, TEXT_MAX, "%s", text);
	lua_pop(L, 1);
}

/* The metatable of the objects whose methods are at @a index: one for all of them. */
static void push_object_meta(lua_State *L, int index)
{
	lua_pushvalue(L, index);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushlightuserdata(L, (void *)&object_mark);
	lua_pushboolean(L, true);
	lua_rawset(L, -3);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pushvalue(L, index);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, index);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

int l_console_register_command(lua_State *L)
{
	struct lua_command *command;
	char words[TEXT_MAX], help[TEXT_MAX];
	enum admin_level level;
	bool payload;
	int ref, object_ref;

	/* words, f, options, the methods of the object */
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	luaL_checktype(L, 3, LUA_TTABLE);
	luaL_checktype(L, 4, LUA_TTABLE);
	if (worker_of(L)->id != 1) /* which serves the consoles */
		return 0;
	read_words(L, words);
	level = read_level(L);
	read_help(L, help);
	lua_getfield(L, 3, "payload");
	payload = lua_toboolean(L, -1);
	lua_settop(L, 4);
	push_object_meta(L, 4);
	object_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, 2);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	command = mem_zalloc(sizeof(*command));
	if (command == NULL) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		luaL_unref(L, LUA_REGISTRYINDEX, object_ref);
		return luaL_error(L, "not enough memory");
	}
	memcpy(command->words, words, sizeof(words));
	memcpy(command->help, help, sizeof(help));
	command->vm = lua_vm_of(L);
	command->ref = ref;
	command->object_ref = object_ref;
	command->base = (struct admin_command){
		.words = command->words,
		.level = level,
		.help = command->help,
		.payload = payload,
		.raw = true,
		.context = ADMIN_CONTEXT(struct context),
		.parse = parse,
		.io = io,
		.release = release,
	};
	if (admin_commands_add(&command->base) == 0)
		return 0;
	luaL_unref(L, LUA_REGISTRYINDEX, ref);
	luaL_unref(L, LUA_REGISTRYINDEX, object_ref);
	mem_free(command);
	return lua_error_throw(L);
}

static bool is_of_script(const struct admin_command *c)
{
	return c->parse == parse;
}

void lua_commands_end(void)
{
	const struct admin_command *c;

	while ((c = admin_commands_remove(is_of_script)) != NULL)
		mem_free((void *)c);
}

/*
 * What could come next in a session's line: found here, or asked of the program that the
 * lines go to. See session.h.
 */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "console/admin_commands.h"
#include "console/lua_parts.h"
#include "console/session.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"

enum { FOUND_MAX = 1024 * 1024 };

struct completing {
	struct session *session;
	const char *text;
	size_t size;
	size_t replaced;
	struct buf *out;
};

static void add(const char *candidate, void *arg)
{
	buf_append(arg, candidate, strlen(candidate) + 1);
}

/* A word of an admin command is followed by another, or does not mind. */
static void add_word(const char *candidate, void *arg)
{
	buf_printf(arg, "%s ", candidate);
	buf_putc(arg, '\0');
}

static void complete_lua(lua_State *L, void *arg)
{
	struct completing *cp = arg;

	lua_parts_push(L, LUA_PART_COMPLETE);
	lua_pushlstring(L, cp->text, cp->size);
	lua_rawgeti(L, LUA_REGISTRYINDEX, cp->session->state_ref);
	lua_call(L, 2, 2);
	cp->replaced = (size_t)lua_tointeger(L, -2);
	for (int i = 1;; i++) {
		lua_rawgeti(L, -1, i);
		if (lua_isnil(L, -1))
			break;
		add(lua_tostring(L, -1), cp->out);
		lua_pop(L, 1);
	}
}

size_t session__complete_here(struct session *s, const char *text, size_t size,
			      struct buf *out)
{
	struct completing cp = { s, text, size, 0, out };

	if (s->in_admin)
		return admin_complete(text, size, admin_session_level(s->admin),
				      add_word, out);
	if (lua_vm_protect(s->vm, complete_lua, &cp) != 0)
		diag_clear();
	return size - cp.replaced;
}

/* --- elsewhere --- */

static void tell(struct session *s, size_t start, struct buf *found)
{
	session_candidates_f fn = s->on_candidates;

	s->on_candidates = NULL;
	if (fn != NULL)
		fn(s->arg, start, found);
	buf_destroy(found);
}

/* It gives back how many bytes are replaced, and the candidates. */
static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct session *s = arg;
	struct buf found = { .limit = FOUND_MAX };
	size_t size, start;
	const char *text;

	if (s == NULL)
		return;
	s->completer = NULL;
	start = s->complete_size;
	text = ok && lua_type(f->co, 2) == LUA_TSTRING
		       ? lua_tolstring(f->co, 2, &size)
		       : NULL;
	if (text != NULL && lua_tointeger(f->co, 1) >= 0 &&
	    (size_t)lua_tointeger(f->co, 1) <= start) {
		start -= (size_t)lua_tointeger(f->co, 1);
		buf_append(&found, text, size);
	}
	tell(s, start, &found);
}

struct asking {
	struct completing cp;
	struct lua_fiber *fiber;
};

static void push_question(lua_State *L, void *arg)
{
	struct asking *a = arg;

	lua_parts_push(L, LUA_PART_SESSION);
	lua_getfield(L, -1, "complete_there");
	lua_rawgeti(L, LUA_REGISTRYINDEX, a->cp.session->state_ref);
	lua_pushlstring(L, a->cp.text, a->cp.size);
	lua_xmove(L, a->fiber->co, 3);
}

static int ask(struct session *s, const char *text, size_t size)
{
	struct asking a = { { s, text, size, 0, NULL }, NULL };

	a.fiber = lua_fiber_get(s->vm);
	if (a.fiber == NULL)
		return -1;
	if (lua_vm_protect(s->vm, push_question, &a) != 0) {
		lua_fiber_drop(a.fiber);
		return -1;
	}
	lua_fiber_name(a.fiber, "console");
	a.fiber->on_end = on_end;
	a.fiber->on_end_arg = s;
	s->completer = a.fiber;
	s->completer_id = a.fiber->base.id;
	s->complete_size = size;
	lua_fiber_start(a.fiber, 2);
	return 0;
}

void session_complete(struct session *s, const char *text, size_t size,
		      session_candidates_f fn)
{
	struct buf found = { .limit = FOUND_MAX };
	size_t start = size;

	if (s->completer != NULL) { /* it is on its way; nobody waits for two */
		fn(s->arg, size, &found);
		return;
	}
	s->on_candidates = fn;
	if (s->elsewhere && !s->in_admin) {
		if (ask(s, text, size) == 0)
			return;
		diag_clear();
	} else {
		start = session__complete_here(s, text, size, &found);
	}
	tell(s, start, &found);
}

void session__complete_stop(struct session *s)
{
	struct lua_fiber *f = s->completer;

	s->completer = NULL;
	if (f == NULL || fiber_find(s->vm->sched, s->completer_id) != &f->base)
		return;
	f->on_end_arg = NULL; /* on_end() stays, and keeps quiet */
	fiber_cancel(&f->base);
}

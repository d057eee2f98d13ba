/*
 * A console session. See session.h; what it says is made in session.lua.
 *
 * The fiber of a line runs step(state, input, at_end) and leaves three results:
 * the answer, the input when it was complete, and what comes next. A line that
 * surely leaves the input unfinished has no fiber.
 */
#include "console/session.h"

#include <lauxlib.h>
#include <string.h>

#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "console/lua_parts.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"

static void open_state(lua_State *L, void *arg)
{
	struct session *s = arg;

	lua_parts_push(L, LUA_PART_SESSION);
	lua_getfield(L, -1, "new");
	lua_call(L, 0, 1);
	s->state_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

int session_create(struct session *s, struct lua_vm *vm,
		   const struct session_ops *ops, void *arg)
{
	*s = (struct session){
		.vm = vm,
		.ops = ops,
		.arg = arg,
		.state_ref = LUA_NOREF,
	};
	return lua_vm_protect(vm, open_state, s);
}

/* The next line begins an input. */
static void forget(struct session *s)
{
	s->continuing = false;
	buf_reset(&s->input, SESSION_SMALL_MAX);
	s->scan = (struct scan){ 0 };
	s->tried_size = s->tried_tokens = 0;
	s->vain = 0;
}

void session_destroy(struct session *s)
{
	struct lua_fiber *f = s->fiber;

	admin_session_free(s->admin);
	s->admin = NULL;
	s->in_admin = false;
	buf_destroy(&s->input);
	luaL_unref(s->vm->L, LUA_REGISTRYINDEX, s->state_ref);
	s->state_ref = LUA_NOREF;
	s->fiber = NULL;
	if (f == NULL || fiber_find(s->vm->sched, s->fiber_id) != &f->base)
		return;
	f->on_end_arg = NULL; /* on_end() stays, and keeps quiet */
	fiber_cancel(&f->base);
}

static int put_failure(struct buf *b, const char *text)
{
	int rc = buf_puts(b, "---\n- error: 'console: ");

	for (; rc == 0 && *text != '\0'; text++)
		rc = *text == '\'' ? buf_puts(b, "''") : buf_putc(b, *text);
	return rc == 0 ? buf_puts(b, "'\n...\n") : rc;
}

static const char *failure_text(struct lua_fiber *f)
{
	const struct error *e = lua_error_test(f->co, -1);

	if (e != NULL)
		return e->message;
	return lua_type(f->co, -1) == LUA_TSTRING
		       ? lua_tostring(f->co, -1)
		       : "the line could not be evaluated";
}

/* What the user would not see otherwise: the fiber itself failed, most likely at
 * a limit that no script can catch. One write, as for every answer. */
static void write_failure(struct session *s, struct lua_fiber *f)
{
	static const char no_memory[] =
		"---\n- error: 'console: not enough memory'\n...\n";
	struct buf answer = { 0 };

	if (put_failure(&answer, failure_text(f)) == 0)
		s->ops->write(s, answer.data, answer.size);
	else
		s->ops->write(s, no_memory, sizeof no_memory - 1);
	buf_destroy(&answer);
}

/* It was compiled, and may be whole with more lines. */
static void go_on(struct session *s)
{
	s->continuing = true;
	s->tried_size = s->input.size;
	s->tried_tokens = s->scan.tokens;
	if (s->input.size > SESSION_SMALL_MAX && !scan_is_open(&s->scan))
		s->vain++;
}

/* --- admin commands --- */

static void on_admin_write(void *arg, const char *data, size_t size)
{
	struct session *s = arg;

	s->ops->write(s, data, size);
}

static bool on_admin_full(void *arg)
{
	struct session *s = arg;

	return s->ops->is_full != NULL && s->ops->is_full(s);
}

/* The line that was dealt with is the entry, but for those behind "<<". */
static void on_admin_ready(void *arg)
{
	struct session *s = arg;

	s->ops->ready(s, s->input.size > 0 ? s->input.data : NULL);
}

static void on_admin_leave(void *arg)
{
	struct session *s = arg;

	s->ops->leave(s);
}

static void on_admin_lua(void *arg)
{
	struct session *s = arg;

	s->in_admin = false;
	forget(s);
	s->ops->ready(s, NULL);
}

int session_use_admin(struct session *s, enum admin_level level)
{
	static const struct admin_ops with_lua = {
		on_admin_write, on_admin_full, on_admin_ready,
		on_admin_leave, on_admin_lua,
	};
	static const struct admin_ops without = {
		on_admin_write, on_admin_full, on_admin_ready,
		on_admin_leave, NULL,
	};

	if (s->admin == NULL)
		s->admin = admin_session_new(
			worker_of(s->vm->L), level,
			level == ADMIN_ADMIN ? &with_lua : &without, s);
	if (s->admin == NULL)
		return -1;
	s->in_admin = true;
	return 0;
}

void session_drained(struct session *s)
{
	if (s->in_admin)
		admin_session_drained(s->admin);
}

/* What the Lua half has said comes next. */
static void change_language(struct session *s, const char *next)
{
	struct error *e;

	if (strcmp(next, "lua") == 0)
		s->in_admin = false;
	if (strcmp(next, "admin") != 0 ||
	    session_use_admin(s, ADMIN_ADMIN) == 0)
		return;
	e = diag_take();
	log_error("console: %s", e->message);
	error_unref(e);
}

static void feed_admin(struct session *s, const char *line, size_t size)
{
	s->input.size = 0;
	if (line != NULL && !admin_session_is_collecting(s->admin) &&
	    (buf_append(&s->input, line, size) != 0 ||
	     buf_putc(&s->input, '\0') != 0))
		s->input.size = 0; /* it is not remembered */
	admin_session_feed(s->admin, line, size);
}

/* A backslash speaks to the console itself, where Lua can be had. */
static bool is_for_admin(const struct session *s, const char *line, size_t size)
{
	return s->in_admin && (line == NULL || size == 0 || *line != '\\' ||
			       !admin_session_has_lua(s->admin) ||
			       admin_session_is_collecting(s->admin));
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct session *s = arg;
	const char *entry = NULL, *next = "";
	const char *text;
	size_t size;

	if (s == NULL)
		return;
	s->fiber = NULL;
	if (!ok) {
		forget(s);
		write_failure(s, f);
		s->ops->ready(s, NULL);
		return;
	}
	lua_settop(f->co, 3); /* within the stack's own slack: cannot throw */
	text = lua_tolstring(f->co, 1, &size);
	if (lua_type(f->co, 2) == LUA_TSTRING)
		entry = lua_tostring(f->co, 2);
	if (lua_type(f->co, 3) == LUA_TSTRING)
		next = lua_tostring(f->co, 3);
	if (strcmp(next, "more") == 0)
		go_on(s);
	else
		forget(s);
	if (text != NULL && size > 0)
		s->ops->write(s, text, size);
	change_language(s, next);
	if (strcmp(next, "leave") == 0)
		s->ops->leave(s);
	else
		s->ops->ready(s, entry);
}

struct evaluation {
	struct session *session;
	struct lua_fiber *fiber;
	bool at_end;
};

static void push_step(lua_State *L, void *arg)
{
	struct evaluation *ev = arg;
	struct session *s = ev->session;

	lua_parts_push(L, LUA_PART_SESSION);
	lua_getfield(L, -1, "step");
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->state_ref);
	lua_pushlstring(L, s->input.data, s->input.size);
	lua_pushboolean(L, ev->at_end);
	lua_xmove(L, ev->fiber->co, 4);
}

static int evaluate(struct session *s, bool at_end)
{
	struct evaluation ev = { s, lua_fiber_get(s->vm), at_end };

	if (ev.fiber == NULL)
		return -1;
	if (lua_vm_protect(s->vm, push_step, &ev) != 0) {
		lua_fiber_drop(ev.fiber);
		return -1;
	}
	lua_fiber_name(ev.fiber, "console");
	ev.fiber->on_end = on_end;
	ev.fiber->on_end_arg = s;
	s->fiber = ev.fiber;
	s->fiber_id = ev.fiber->base.id;
	lua_fiber_start(ev.fiber, 3);
	return 0;
}

static int add_line(struct session *s, const char *line, size_t size)
{
	/* A byte for the newline; an empty line has data as well. */
	if (buf_reserve(&s->input, size + 1) == NULL) {
		diag_set_oom(s->input.size + size + 1, "a line");
		return -1;
	}
	if (s->continuing)
		buf_putc(&s->input, '\n');
	buf_append(&s->input, line, size);
	scan_feed(&s->scan, line, size);
	return 0;
}

/* The line is in: nothing would come of compiling now. */
static bool is_unfinished(const struct session *s)
{
	size_t size = s->input.size;

	if (!s->continuing || size <= SESSION_SMALL_MAX ||
	    size > SESSION_INPUT_MAX || size / 2 >= s->tried_size)
		return false;
	return scan_is_open(&s->scan) || s->scan.tokens == s->tried_tokens ||
	       s->vain >= SESSION_VAIN_MAX;
}

int session_feed(struct session *s, const char *line, size_t size)
{
	bool at_end = line == NULL;

	if (is_for_admin(s, line, size)) {
		feed_admin(s, line, size);
		return 0;
	}
	if (s->in_admin)
		forget(s);
	if (!at_end && add_line(s, line, size) != 0) {
		forget(s);
		return -1;
	}
	if (at_end ? !s->continuing : is_unfinished(s)) {
		s->ops->ready(s, NULL);
		return 0;
	}
	if (evaluate(s, at_end) != 0) {
		forget(s);
		return -1;
	}
	return 0;
}

void session_interrupt(struct session *s)
{
	if (s->fiber == NULL && s->in_admin)
		admin_session_interrupt(s->admin);
	else if (s->fiber != NULL)
		fiber_cancel(&s->fiber->base);
	else
		forget(s);
}

struct completing {
	const char *text;
	size_t size;
	size_t replaced;
	void (*fn)(const char *candidate, void *arg);
	void *arg;
};

static void complete(lua_State *L, void *arg)
{
	struct completing *cp = arg;

	lua_parts_push(L, LUA_PART_COMPLETE);
	lua_pushlstring(L, cp->text, cp->size);
	lua_call(L, 1, 2);
	cp->replaced = (size_t)lua_tointeger(L, -2);
	for (int i = 1;; i++) {
		lua_rawgeti(L, -1, i);
		if (lua_isnil(L, -1))
			break;
		cp->fn(lua_tostring(L, -1), cp->arg);
		lua_pop(L, 1);
	}
}

int session_complete(struct lua_vm *vm, const char *text, size_t size,
		     size_t *ret_start,
		     void (*fn)(const char *candidate, void *arg), void *arg)
{
	struct completing cp = { text, size, 0, fn, arg };

	if (lua_vm_protect(vm, complete, &cp) != 0)
		return -1;
	*ret_start = size - cp.replaced;
	return 0;
}

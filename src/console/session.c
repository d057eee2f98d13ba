/*
 * A console session. See session.h; what it says is made in session.lua.
 *
 * The fiber of a line runs step(state, input, at_end) and leaves what
 * enum step_result says. A line that surely leaves the input unfinished has no
 * fiber.
 */
#include "console/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "console/lua_parts.h"
#include "lua/lua_call.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_state.h"

/* Where they lie on the fiber's coroutine. */
enum step_result {
	STEP_ANSWER = 1, /* text */
	STEP_ENTRY,      /* the input, when it was complete */
	STEP_NEXT,       /* "more", "leave", a language, or nothing */
	STEP_FAILED,     /* the answer is an error */
	STEP_MARKER,     /* the session's, from now on */
	STEP_PROMPT,
	STEP_ELSEWHERE, /* true, or "admin" */
};

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

struct screen_call {
	struct session *session;
	const struct session_screen *screen;
};

static void set_screen(lua_State *L, void *arg)
{
	const struct screen_call *call = arg;

	lua_rawgeti(L, LUA_REGISTRYINDEX, call->session->state_ref);
	lua_pushboolean(L, true);
	lua_setfield(L, -2, "screen");
	lua_pushboolean(L, call->screen->colours);
	lua_setfield(L, -2, "colours");
	lua_pushstring(L, call->screen->history);
	lua_setfield(L, -2, "history");
}

int session_set_screen(struct session *s, const struct session_screen *screen)
{
	struct screen_call call = { s, screen };

	return lua_vm_protect(s->vm, set_screen, &call);
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
	session__complete_stop(s);
	buf_destroy(&s->input);
	buf_destroy(&s->question);
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

/* In one write. */
void session__answer(struct session *s, const char *text, size_t size,
		     const char *status)
{
	struct buf framed = { 0 };

	if (*s->frame == '\0') {
		if (size > 0)
			s->ops->write(s, text, size);
		return;
	}
	if (buf_append(&framed, text, size) == 0 &&
	    buf_printf(&framed, "%s %s%s%s\n", s->frame, status,
		       s->in_admin || s->admin_elsewhere ? " admin" : "",
		       s->elsewhere ? " elsewhere" : "") == 0)
		s->ops->write(s, framed.data, framed.size);
	else /* whoever waits for the end of the answer waits in vain */
		s->ops->leave(s);
	buf_destroy(&framed);
}

/* What the user would not see otherwise: the fiber itself failed, most likely at
 * a limit that no script can catch. */
static void write_failure(struct session *s, struct lua_fiber *f)
{
	static const char no_memory[] =
		"---\n- error: 'console: not enough memory'\n...\n";
	struct buf answer = { 0 };

	if (put_failure(&answer, failure_text(f)) == 0)
		session__answer(s, answer.data, answer.size, "error");
	else
		session__answer(s, no_memory, sizeof no_memory - 1, "error");
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

	if (*s->frame != '\0')
		session__answer(s, "", 0, "leave");
	s->ops->leave(s);
}

static bool on_admin_set_idle(void *arg, uint64_t ns)
{
	struct session *s = arg;

	return s->ops->set_idle != NULL && s->ops->set_idle(s, ns);
}

static void on_admin_lua(void *arg)
{
	struct session *s = arg;

	s->in_admin = false;
	forget(s);
	s->ops->ready(s, NULL);
}

static void on_admin_begin(void *arg, const char *line, size_t size,
			   size_t payload)
{
	struct session *s = arg;

	if (s->ops->line != NULL)
		s->ops->line(s, &(struct session_line){ line, size, true,
							payload });
}

int session_use_admin(struct session *s, enum admin_level level)
{
	static const struct admin_ops with_lua = {
		on_admin_write, on_admin_full, on_admin_ready,
		on_admin_leave, on_admin_lua,  on_admin_set_idle,
		on_admin_begin,
	};
	static const struct admin_ops without = {
		on_admin_write, on_admin_full, on_admin_ready,
		on_admin_leave, NULL,          on_admin_set_idle,
		on_admin_begin,
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

void session_end_following(struct session *s)
{
	if (s->in_admin)
		admin_session_typed(s->admin);
}

void session_typed(struct session *s, const char *pending, size_t size)
{
	if (session__is_behind(s, pending, size))
		session_end_following(s);
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
	return s->in_admin && !s->continuing &&
	       (line == NULL || size == 0 || *line != '\\' ||
		!admin_session_has_lua(s->admin) ||
		admin_session_is_collecting(s->admin));
}

/* --- Lua --- */

static void copy_result(lua_State *co, enum step_result i, char *to,
			size_t size)
{
	*to = '\0';
	if (lua_type(co, i) == LUA_TSTRING)
		snprintf(to, size, "%s", lua_tostring(co, i));
}

/* The input is dealt with. */
static void settle(struct session *s, lua_State *co)
{
	const char *entry = NULL, *text;
	size_t size = 0;
	bool leave;

	/* Within the stack's own slack: cannot throw. */
	lua_settop(co, STEP_ELSEWHERE);
	text = lua_tolstring(co, STEP_ANSWER, &size);
	if (text == NULL)
		text = "";
	if (lua_type(co, STEP_ENTRY) == LUA_TSTRING)
		entry = lua_tostring(co, STEP_ENTRY);
	leave = lua_type(co, STEP_NEXT) == LUA_TSTRING &&
		strcmp(lua_tostring(co, STEP_NEXT), "leave") == 0;
	copy_result(co, STEP_PROMPT, s->prompt, sizeof s->prompt);
	s->elsewhere = lua_toboolean(co, STEP_ELSEWHERE);
	s->admin_elsewhere = lua_type(co, STEP_ELSEWHERE) == LUA_TSTRING;
	forget(s);
	if (lua_type(co, STEP_NEXT) == LUA_TSTRING)
		change_language(s, lua_tostring(co, STEP_NEXT));
	session__answer(s, text, size,
			leave                            ? "leave"
			: lua_toboolean(co, STEP_FAILED) ? "error"
							 : "ok");
	/* For the next input. */
	copy_result(co, STEP_MARKER, s->marker, sizeof s->marker);
	if (leave)
		s->ops->leave(s);
	else
		s->ops->ready(s, entry);
}

/* It never came to its end; what it was is worth remembering all the same. */
static void settle_failed(struct session *s, struct lua_fiber *f)
{
	struct buf input = s->input;
	bool told = buf_putc(&input, '\0') == 0;

	s->input = (struct buf){ 0 };
	forget(s);
	write_failure(s, f);
	s->ops->ready(s, told ? input.data : NULL);
	buf_destroy(&input);
}

static void on_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct session *s = arg;

	if (s == NULL)
		return;
	s->fiber = NULL;
	if (!ok) {
		settle_failed(s, f);
	} else if (lua_type(f->co, STEP_NEXT) == LUA_TSTRING &&
		   strcmp(lua_tostring(f->co, STEP_NEXT), "more") == 0) {
		go_on(s);
		s->ops->ready(s, NULL);
	} else {
		settle(s, f->co);
	}
}

int session_lua_show(lua_State *L)
{
	const struct lua_fiber *f = lua_fiber_of(sched_self->current);
	struct session *s = f->on_end == on_end ? f->on_end_arg : NULL;
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	if (s != NULL && size > 0) {
		s->in_part = true;
		s->ops->write(s, text, size);
		s->in_part = false;
	}
	lua_pushboolean(L, s == NULL || s->ops->is_full == NULL ||
				   !s->ops->is_full(s));
	return 1;
}

struct evaluation {
	struct session *session;
	struct lua_fiber *fiber;
	const char *method; /* of the Lua half */
	const char *text;
	size_t size;
	bool at_end;
};

static void push_step(lua_State *L, void *arg)
{
	struct evaluation *ev = arg;
	struct session *s = ev->session;

	lua_parts_push(L, LUA_PART_SESSION);
	lua_getfield(L, -1, ev->method);
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->state_ref);
	lua_pushlstring(L, ev->text, ev->size);
	lua_pushboolean(L, ev->at_end);
	lua_xmove(L, ev->fiber->co, 4);
}

static int start(struct session *s, struct evaluation *ev)
{
	ev->session = s;
	ev->fiber = lua_fiber_get(s->vm);
	if (ev->fiber == NULL)
		return -1;
	if (lua_vm_protect(s->vm, push_step, ev) != 0) {
		lua_fiber_drop(ev->fiber);
		return -1;
	}
	lua_fiber_name(ev->fiber, "console");
	ev->fiber->on_end = on_end;
	ev->fiber->on_end_arg = s;
	s->fiber = ev->fiber;
	s->fiber_id = ev->fiber->base.id;
	if (s->ops->begin != NULL)
		s->ops->begin(s);
	lua_fiber_start(ev->fiber, 3);
	return 0;
}

static int evaluate(struct session *s, bool at_end)
{
	struct evaluation ev = {
		.method = "step",
		.text = s->input.data,
		.size = s->input.size,
		.at_end = at_end,
	};

	return start(s, &ev);
}

int session_begin(struct session *s, const char *init)
{
	struct evaluation ev = {
		.method = "begin",
		.text = init == NULL ? "" : init,
		.size = init == NULL ? 0 : strlen(init),
	};

	return start(s, &ev);
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

/* Does the line end an input that ends by a delimiter? That is no part of it. */
static bool take_marker(const struct session *s, const char *line, size_t *size)
{
	size_t n = strlen(s->marker);

	if (n == 0 || *size < n || memcmp(line + *size - n, s->marker, n) != 0)
		return false;
	*size -= n;
	return true;
}

/* A line of an input that ends by a delimiter, or by a line. */
static int feed_marked(struct session *s, const char *line, size_t size)
{
	bool end = line == NULL || session__is_end(s, line, size);
	/* A command of the console needs none. */
	bool is_command = *s->marker != '\0' && !s->continuing && !end &&
			  size > 0 && line[0] == '\\';
	bool whole = end || take_marker(s, line, &size) || is_command;

	/* What is too large is refused when it ends, and not kept until then. */
	if (!end && s->input.size <= SESSION_INPUT_MAX) {
		if (add_line(s, line, size) != 0)
			return -1;
		s->continuing = true;
	}
	if (whole)
		return evaluate(s, true);
	s->ops->ready(s, NULL);
	return 0;
}

static int feed(struct session *s, const char *line, size_t size)
{
	bool at_end = line == NULL;

	if (at_end && !s->continuing) {
		s->ops->ready(s, NULL);
		return 0;
	}
	if (*s->marker != '\0' || *s->frame != '\0')
		return feed_marked(s, line, size);
	if (!at_end && add_line(s, line, size) != 0)
		return -1;
	if (!at_end && is_unfinished(s)) {
		s->ops->ready(s, NULL);
		return 0;
	}
	return evaluate(s, at_end);
}

int session_feed(struct session *s, const char *line, size_t size)
{
	int rc;

	rc = line != NULL ? session__feed_protocol(s, line, size) : 0;
	if (rc != 0)
		return rc > 0 ? 0 : -1;
	if (is_for_admin(s, line, size)) {
		feed_admin(s, line, size);
		return 0;
	}
	if (s->in_admin && !s->continuing)
		forget(s);
	if (s->ops->line != NULL && line != NULL &&
	    !session__is_end(s, line, size))
		s->ops->line(s, &(struct session_line){ line, size, false,
							SIZE_MAX });
	rc = feed(s, line, size);
	if (rc != 0)
		forget(s);
	return rc;
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

/*
 * Where each worker stands. See stuck.h.
 *
 * The thread on which it is found that nobody answers sends SIGQUIT to that of each worker,
 * whose handler writes a line. Lua is not called: what its stack holds is read as a tick
 * reads it.
 */
#include "app/stuck.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/log.h"
#include "lua/lua_fiber.h"
#include "lua/lua_look.h"
#include "lua/lua_where.h"
#include "runtime/signals.h"

enum { PLACES = 1024, LINE_ROOM = 1024 };

/* What a thread is asked for. */
enum { ASKED_TELL = 1 << 0, ASKED_NOTE = 1 << 1 };

/* Of the process. */
static struct place {
	atomic_bool taken;
	_Atomic(struct worker *) worker; /* NULL: it cannot be asked */
	pthread_t thread;
	atomic_int asked;
} places[PLACES];

static __thread struct place *own;

static size_t put_name(const struct worker *w, char *to, size_t room)
{
	char name[WORKER_NAME];
	int n = snprintf(to, room, "state: %s", worker_name(w, name));

	if (w->app->generation > 0)
		n += snprintf(to + n, room - n, " of generation %u",
			      w->app->generation);
	return (size_t)n;
}

static const char *kind_text(enum lua_where_kind kind)
{
	switch (kind) {
	case LUA_WHERE_GC:
		return "the collector";
	case LUA_WHERE_COMPILER:
		return "LuaJIT's compiler";
	case LUA_WHERE_LUA:
		return "Lua";
	case LUA_WHERE_TRACE_C:
		return "compiled Lua or C code";
	case LUA_WHERE_UNKNOWN:
		return "Lua or C code";
	default:
		return "C code";
	}
}

/* Signal context, on the thread of @a w. */
static void tell(const struct worker *w, const void *context)
{
	const struct lua_fiber *f = (const void *)w->sched.current;
	char line[LINE_ROOM], stack[LUA_WHERE_STACK] = "";
	size_t n = put_name(w, line, sizeof(line));
	struct lua_where where;
	char in[LUA_WHERE_TEXT];

	if (f == NULL) {
		snprintf(line + n, sizeof(line) - n, ": no fiber runs");
		log_signal(line);
		return;
	}
	lua_where_look(&w->vm, context, &where);
	if (where.kind == LUA_WHERE_C || where.kind == LUA_WHERE_MODULE)
		lua_where_stack(&w->vm, stack);
	lua_where_text(&where, NULL, in, sizeof(in));
	snprintf(line + n, sizeof(line) - n,
		 ": fiber %llu '%.64s' runs, in %s%s%s",
		 (unsigned long long)f->base.id, f->name,
		 *in != '\0' ? in : kind_text(where.kind),
		 *stack != '\0' ? ", called at " : "", stack);
	log_signal(line);
}

static bool here(const void *context)
{
	struct place *p = own;
	struct worker *w;
	int asked = p == NULL ? 0 : atomic_exchange(&p->asked, 0);

	if (asked == 0)
		return false;
	w = p->worker;
	if (w != NULL && (asked & ASKED_TELL))
		tell(w, context);
	if (w != NULL && (asked & ASKED_NOTE) && w->sched.current != NULL)
		lua_look_note(&w->vm, context);
	return true;
}

static void ask(struct place *p, int what)
{
	atomic_fetch_or(&p->asked, what);
	pthread_kill(p->thread, SIGQUIT);
}

/* Their order is that in which they come to it. */
static void late(void)
{
	log_signal("state: SIGQUIT is not answered; where the workers stand:");
	for (int i = 0; i < PLACES; i++) {
		struct place *p = &places[i];

		if (p->worker != NULL)
			ask(p, ASKED_TELL);
	}
}

static void ask_worker(const struct worker *w, int what)
{
	for (int i = 0; i < PLACES; i++) {
		if (places[i].worker == w)
			ask(&places[i], what);
	}
}

void stuck_ask(const struct worker *w)
{
	ask_worker(w, ASKED_TELL);
}

void stuck_note(const struct worker *w)
{
	ask_worker(w, ASKED_NOTE);
}

void stuck_enter(struct worker *w)
{
	for (int i = 0; i < PLACES; i++) {
		struct place *p = &places[i];

		if (atomic_exchange(&p->taken, true))
			continue;
		p->thread = pthread_self();
		p->asked = 0;
		own = p;
		p->worker = w;
		break;
	}
	signals_set_on_quit(late, here);
}

void stuck_leave(void)
{
	struct place *p = own;

	if (p == NULL)
		return;
	p->worker = NULL;
	own = NULL;
	p->taken = false;
}

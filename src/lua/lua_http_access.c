/*
 * Access logs of HTTP servers, C half.
 *
 * net tells of a request when it is over, inside whatever ended it: there it
 * becomes a line, which a thread writes, or is kept for a fiber that calls the
 * user's function with one after the other and ends when there are no more.
 * Neither keeps a request waiting; what is too much is dropped and counted.
 */
#include "lua/lua_http_access.h"

#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "lua/lua_call.h"
#include "lua/lua_class.h"
#include "lua/lua_error.h"
#include "lua/lua_fiber.h"
#include "lua/lua_http.h"
#include "net/http_access.h"
#include "net/http_access_format.h"
#include "runtime/line_file.h"

enum {
	LINE_KEEP = 65536,
	LAST_MS = 2000, /* for the function, at the end */
};

/* A label that is a note of the handler's, for the function. */
#define NOTE 0x80000000u

struct lua_http_access {
	struct lua_http_server *server;
	char **labels; /* names of routes; requests have the index + 1 */
	uint32_t label_count;
	void (*on_done)(struct lua_http_server *s); /* of a finish */

	struct line_file *file; /* NULL: a function */
	struct http_access_format format;
	struct buf line;

	struct buf queue; /* requests that the function has not been told of */
	size_t queue_at;  /* the first of them */
	uint32_t queued;
	uint32_t queue_max;
	int tell_ref; /* registry: calls the function, while it runs */
	struct lua_fiber *fiber; /* that is at it */
	struct timer timer;      /* the end of a finish */
	struct buf lost_notes;   /* the function has to be told of, too */
	uint64_t lost;
	uint64_t told_lost; /* of them, the log knows */
	bool losing;
};

static const char *label_of(const struct lua_http_access *access,
			    uint32_t label)
{
	return label > 0 && label < NOTE ? access->labels[label - 1] : NULL;
}

/* --- to a file --- */

static void on_trouble(struct line_file *f, int err, int64_t lost)
{
	const char *path = line_file_path(f);

	if (lost < 0)
		log_error(
			"access log '%s' cannot be opened again, the old file "
			"is used: %s",
			path, uv_strerror(err));
	else if (err == 0)
		log_warn("access log '%s': %lld lines were lost", path,
			 (long long)lost);
	else if (err == UV_ENOBUFS)
		log_error("access log '%s': the disk is too slow: lines are "
			  "lost",
			  path);
	else
		log_error("access log '%s': %s: lines are lost until it can be "
			  "written again",
			  path, uv_strerror(err));
}

static void write_line(struct lua_http_access *access,
		       const struct http_access *a)
{
	struct buf *line = &access->line;

	buf_reset(line, LINE_KEEP);
	if (http_access_format(&access->format, line, a,
			       label_of(access, a->label)) == 0)
		line_file_add(access->file, line->data, line->size);
	else
		access->lost++;
}

/* --- to a function --- */

static void report(lua_State *L, void *arg)
{
	struct lua_fiber *f = arg;

	lua_push_traceback(L, f->co);
	log_error("the function of an access log: %s", lua_tostring(L, -1));
}

static void start_fiber(struct lua_http_access *access);

static void check_done(struct lua_http_access *access)
{
	struct lua_http_server *s = access->server;
	void (*on_done)(struct lua_http_server *) = access->on_done;

	if (on_done == NULL || access->fiber != NULL || access->queued > 0)
		return;
	access->on_done = NULL;
	timer_stop(&s->vm->sched->timers, &access->timer);
	on_done(s);
}

static void on_fiber_end(struct lua_fiber *f, bool ok, void *arg)
{
	struct lua_http_access *access = arg;
	bool cancelled = !ok && lua_fiber_ended_by_cancel(f);

	access->fiber = NULL;
	if (!ok && !cancelled && lua_vm_protect(f->vm, report, f) != 0) {
		diag_clear();
		log_error("the function of an access log failed");
	}
	if (access->queued > 0 && !cancelled)
		start_fiber(access);
	check_done(access);
}

static void start_fiber(struct lua_http_access *access)
{
	struct lua_fiber *f;

	if (access->fiber != NULL || access->tell_ref == LUA_NOREF)
		return;
	f = lua_fiber_get(access->server->vm);
	if (f == NULL) { /* the next request tries again */
		diag_clear();
		return;
	}
	f->on_end = on_fiber_end;
	f->on_end_arg = access;
	lua_fiber_name(f, "access log");
	lua_rawgeti(f->co, LUA_REGISTRYINDEX, access->tell_ref);
	access->fiber = f;
	lua_fiber_start_later(f, 0);
}

static void note_lost(struct lua_http_access *access, uint32_t label)
{
	access->lost++;
	if (label >= NOTE) /* without memory it stays with who waits for it */
		buf_append(&access->lost_notes, &label, sizeof(label));
	if (access->losing)
		return;
	access->losing = true;
	log_error("an access log: its function is too slow: requests are not "
		  "logged");
}

static void enqueue(struct lua_http_access *access, const struct http_access *a)
{
	if (access->queued >= access->queue_max ||
	    http_access_put(&access->queue, a) != 0)
		note_lost(access, a->label);
	else
		access->queued++;
	start_fiber(access);
}

/* Take the first of the queue; its texts are good until the next call that has
 * to do with that. False: it is empty. */
static bool dequeue(struct lua_http_access *access, struct http_access *ret)
{
	if (access->queue_at == access->queue.size) {
		buf_reset(&access->queue, LINE_KEEP);
		access->queue_at = 0;
	} else if (access->queue_at > LINE_KEEP &&
		   access->queue_at > access->queue.size / 2) {
		buf_consume(&access->queue, access->queue_at);
		access->queue_at = 0;
	}
	if (access->queued == 0) {
		if (access->losing)
			log_warn("an access log: %llu requests were not logged",
				 (unsigned long long)(access->lost -
						      access->told_lost));
		access->told_lost = access->lost;
		access->losing = false;
		return false;
	}
	access->queue_at =
		http_access_get(&access->queue, access->queue_at, ret);
	access->queued--;
	return true;
}

static void set_text(lua_State *L, const char *name, struct http_text t)
{
	if (t.size == 0)
		return;
	lua_pushlstring(L, t.data, t.size);
	lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double n)
{
	lua_pushnumber(L, n);
	lua_setfield(L, -2, name);
}

/* A table with a note whose request was not told of; false: there is none. */
static bool push_lost(lua_State *L, struct lua_http_access *access)
{
	struct buf *b = &access->lost_notes;
	uint32_t label;

	if (b->size == 0)
		return false;
	b->size -= sizeof(label);
	memcpy(&label, b->data + b->size, sizeof(label));
	set_number(L, "note", label - NOTE);
	lua_pushboolean(L, 1);
	lua_setfield(L, -2, "lost");
	return true;
}

static struct lua_http_server *check_server(lua_State *L)
{
	struct lua_http_server *s =
		lua_class_check(L, 1, LUA_CLASS_HTTP_SERVER);

	if (s->http == NULL)
		lua_error_usage(L, "the server has been closed");
	return s;
}

/* next_access(server) -> table | nil */
static int l_next_access(lua_State *L)
{
	struct lua_http_access *access = check_server(L)->access;
	struct http_access a;
	const char *route;

	lua_createtable(L, 0, 16);
	if (!dequeue(access, &a))
		return push_lost(L, access);
	/* Nothing here waits, so nobody adds to the queue meanwhile. */
	set_number(L, "time", (double)a.began_ns / 1e9);
	set_text(L, "remote", a.remote);
	if (a.port != 0)
		set_number(L, "port", a.port);
	set_text(L, "method", a.method);
	set_text(L, "target", a.target);
	set_text(L, "protocol", a.protocol);
	set_number(L, "status", a.status);
	set_number(L, "sent", (double)a.sent);
	set_number(L, "received", (double)a.received);
	set_number(L, "duration", (double)a.duration_ns / 1e9);
	if (a.head_ns != 0)
		set_number(L, "head", (double)a.head_ns / 1e9);
	lua_pushboolean(L, a.complete);
	lua_setfield(L, -2, "complete");
	set_text(L, "referer", a.referer);
	set_text(L, "user_agent", a.agent);
	route = label_of(access, a.label);
	if (route != NULL) {
		lua_pushstring(L, route);
		lua_setfield(L, -2, "route");
	}
	if (a.label >= NOTE)
		set_number(L, "note", a.label - NOTE);
	return 1;
}

/* --- both --- */

static void on_access(const struct http_access *a, void *arg)
{
	struct lua_http_access *access =
		((struct lua_http_server *)arg)->access;

	if (access->file != NULL)
		write_line(access, a);
	else
		enqueue(access, a);
}

/* A new one for the server at 1, which has none. Throws: out of memory. */
static struct lua_http_access *access_new(lua_State *L)
{
	struct lua_http_server *s = check_server(L);
	struct lua_http_access *access = mem_zalloc(sizeof(*access));

	if (access == NULL) {
		diag_set_oom(sizeof(*access), "an access log");
		lua_error_throw(L);
	}
	access->server = s;
	access->tell_ref = LUA_NOREF;
	s->access = access;
	return access;
}

/* log_to_file(server, path, format, buffer, flush in seconds) */
static int l_log_to_file(lua_State *L)
{
	struct lua_http_server *s = check_server(L);
	const char *path = luaL_checkstring(L, 2);
	const char *format = luaL_checkstring(L, 3);
	struct line_file_options options = {
		.buffer = (size_t)luaL_checknumber(L, 4),
		.flush_ms = (uint32_t)(luaL_checknumber(L, 5) * 1000),
		.on_trouble = on_trouble,
	};
	struct lua_http_access *access = access_new(L);
	int err = 0;

	access->format.kind = strcmp(format, "json") == 0
				      ? HTTP_ACCESS_JSON
				      : HTTP_ACCESS_COMBINED;
	access->file = line_file_open(s->vm->sched->loop, &s->vm->sched->timers,
				      path, &options, &err);
	if (access->file == NULL) {
		diag_set_system(err, "access log '%s'", path);
		return lua_error_throw(L);
	}
	http_server_set_access(s->http, on_access);
	return 0;
}

/* log_to_function(server, tell, queue): tell() takes all that next_access() gives. */
static int l_log_to_function(lua_State *L)
{
	struct lua_http_server *s = check_server(L);
	double queue = luaL_checknumber(L, 3);
	struct lua_http_access *access;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_getfenv(L, 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 2);
	access = access_new(L);
	access->queue_max = (uint32_t)queue;
	http_server_set_access(s->http, on_access);
	return 0;
}

/* add_label(server, text) -> number */
static int l_add_label(lua_State *L)
{
	struct lua_http_access *access = check_server(L)->access;
	const char *text = luaL_checkstring(L, 2);
	char **labels, *copy = mem_strdup(text);

	labels = copy == NULL
			 ? NULL
			 : mem_realloc(access->labels, (access->label_count +
							1) * sizeof(labels[0]));
	if (labels == NULL) {
		mem_free(copy);
		diag_set_oom(strlen(text), "the name of a route");
		return lua_error_throw(L);
	}
	access->labels = labels;
	labels[access->label_count++] = copy;
	lua_pushinteger(L, (lua_Integer)access->label_count);
	return 1;
}

/* set_label(request, number) */
static int l_set_label(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);

	if (req != NULL)
		http_request_set_label(req, (uint32_t)lua_tointeger(L, 2));
	return 0;
}

/* set_note(request, number) */
static int l_set_note(lua_State *L)
{
	struct http_request *req = lua_http_find_request(L, 1);
	lua_Number n = luaL_checknumber(L, 2);

	if (!(n >= 1 && n < NOTE))
		lua_error_usage(L, "req:set_note(n): a whole number from 1 to "
				   "2147483647 is wanted");
	if (req != NULL)
		http_request_set_label(req, NOTE | (uint32_t)n);
	return 0;
}

/* reopen_log(server) -> status */
static int l_reopen_log(lua_State *L)
{
	struct lua_http_access *access = check_server(L)->access;
	int rc = 0;

	if (access->file != NULL)
		rc = line_file_reopen(access->file);
	if (rc == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	diag_set_system(rc, "access log '%s'", line_file_path(access->file));
	return lua_error_fail(L);
}

void lua_http_access_anchor(lua_State *L, struct lua_http_server *s)
{
	struct lua_http_access *access = s->access;

	if (access == NULL || access->file != NULL ||
	    access->tell_ref != LUA_NOREF)
		return;
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, 2);
	access->tell_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
}

void lua_http_access_release(struct lua_http_server *s)
{
	if (s->access == NULL)
		return;
	luaL_unref(s->vm->L, LUA_REGISTRYINDEX, s->access->tell_ref);
	s->access->tell_ref = LUA_NOREF;
}

static void on_flushed(struct line_file *f, void *arg)
{
	(void)f;
	check_done(arg);
}

static void on_last_timer(struct timer *t)
{
	struct lua_http_access *access =
		list_entry(t, struct lua_http_access, timer);
	void (*on_done)(struct lua_http_server *) = access->on_done;

	log_error("an access log: its function has not taken %u requests in "
		  "time",
		  access->queued);
	access->on_done = NULL;
	on_done(access->server);
}

void lua_http_access_finish(struct lua_http_server *s,
			    void (*on_done)(struct lua_http_server *s))
{
	struct lua_http_access *access = s->access;

	if (access == NULL) {
		on_done(s);
		return;
	}
	access->on_done = on_done;
	if (access->file != NULL) {
		line_file_flush(access->file, on_flushed, access);
		return;
	}
	timer_start(&s->vm->sched->timers, &access->timer,
		    uv_hrtime() + LAST_MS * 1000000ull, on_last_timer);
	if (access->queued > 0)
		start_fiber(access);
	check_done(access);
}

uint64_t lua_http_access_lost(const struct lua_http_server *s)
{
	const struct lua_http_access *access = s->access;

	if (access == NULL)
		return 0;
	return access->lost +
	       (access->file != NULL ? line_file_lost(access->file) : 0);
}

void lua_http_access_free(struct lua_http_server *s)
{
	struct lua_http_access *access = s->access;

	if (access == NULL)
		return;
	s->access = NULL;
	timer_stop(&s->vm->sched->timers, &access->timer);
	line_file_close(access->file);
	for (uint32_t i = 0; i < access->label_count; i++)
		mem_free(access->labels[i]);
	mem_free(access->labels);
	buf_destroy(&access->line);
	buf_destroy(&access->queue);
	buf_destroy(&access->lost_notes);
	mem_free(access);
}

void lua_http_open_note(lua_State *L)
{
	lua_pushcfunction(L, l_set_note);
	lua_setfield(L, -2, "set_note");
}

void lua_http_open_access(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "log_to_file", l_log_to_file },
		{ "log_to_function", l_log_to_function },
		{ "next_access", l_next_access },
		{ "add_label", l_add_label },
		{ "set_label", l_set_label },
		{ "reopen_log", l_reopen_log },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}

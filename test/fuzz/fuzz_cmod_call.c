/*
 * Calls of C functions with any bytes for results, and with what those decode
 * to for arguments. A call gives `true` and the results, or nil and an error;
 * arguments are one sound array, the same bytes by the short and the long way
 * of packing; what comes back from an echo goes out again as as many bytes.
 *
 * Run it with -detect_leaks=0: a Lua state frees when it likes, and libFuzzer
 * would look for leaks after each input. The sanitizer looks at the end.
 *
 * fuzz: layer lua
 */
#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/module.h"
#include "lua/lua_call.h"
#include "lua/lua_cmod.h"
#include "lua/lua_error.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "neap/module.h"
#include "port/mp_decode.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "trace_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(truth)                                                     \
	do {                                                             \
		if (!(truth)) {                                          \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, \
				__LINE__, #truth);                       \
			abort();                                         \
		}                                                        \
	} while (0)

enum { RUNS_PER_COLLECTION = 256, VALUES_MAX = 1000 };

static struct loop loop;
static struct sched sched;
static struct lua_vm vm;
static bool started;

static struct {
	const char *data; /* what the function returns next */
	size_t size;
	uint32_t results;
	struct buf args; /* what it was called with last */
} now = { .args = { .limit = SIZE_MAX } };

static void on_uncaught(struct lua_fiber *f, const char *text, void *arg)
{
	(void)f, (void)text, (void)arg;
	abort();
}

/* One value, and nothing behind it. */
static bool is_sound(const char *data, const char *end)
{
	struct trace_sink t;
	const char *next = NULL;
	int rc;

	trace_create(&t, 0);
	rc = mp_decode(data, end, &t.sink, &next);
	CHECK(t.broken == NULL);
	trace_destroy(&t);
	diag_clear();
	return rc == 0 && next == end;
}

static void keep_args(const char *args, const char *end)
{
	now.args.size = 0;
	CHECK(buf_append(&now.args, args, (size_t)(end - args)) == 0);
}

/* Each result: its size in a byte, then its bytes as far as there are any. */
static int return_pieces(neap_call_t *call, const char *args, const char *end)
{
	const char *p = now.data, *last = now.data + now.size;

	keep_args(args, end);
	for (now.results = 0; p < last; now.results++) {
		size_t size = (unsigned char)*p++;

		size = size < (size_t)(last - p) ? size : (size_t)(last - p);
		CHECK(neap_return_mp(call, p, p + size) == 0);
		p += size;
	}
	return 0;
}

static int return_whole(neap_call_t *call, const char *args, const char *end)
{
	keep_args(args, end);
	now.results = 1;
	return neap_return_mp(call, now.data, now.data + now.size);
}

static int echo(neap_call_t *call, const char *args, const char *end)
{
	keep_args(args, end);
	return neap_return_mp(call, args, end);
}

/* A handle as lua_cmod_handle.c makes them, of a function without a library. */
static void push_handle(lua_State *L, cmod_func_f code)
{
	static struct cmod module = { .refs = 1 };
	static struct cmod_func func = { .module = &module, .refs = 1 };
	struct cmod_func_box *box = lua_newuserdata(L, sizeof *box + 2);

	memset(box, 0, sizeof *box + 2);
	box->mark = lua_cmod_mark(box);
	box->use.func = &func;
	box->use.code = code;
}

/*
 * Call @a code with the @a n values on top. Returns how many results it gave,
 * which are on the stack in their place; or -1, and nothing is.
 */
static int call(lua_State *L, cmod_func_f code, int n)
{
	int base = lua_gettop(L) - n, count;
	struct error *e;

	lua_pushcfunction(L, lua_cmod_call_plain);
	push_handle(L, code);
	lua_insert(L, base + 1);
	lua_insert(L, base + 1);
	CHECK(lua_pcall(L, n + 1, LUA_MULTRET, 0) == 0);
	CHECK(call_current == NULL && diag_last() == NULL);
	count = lua_gettop(L) - base;
	CHECK(count >= 1);
	if (lua_toboolean(L, base + 1)) {
		CHECK(lua_isboolean(L, base + 1));
		lua_remove(L, base + 1);
		return count - 1;
	}
	CHECK(count == 2 && lua_isnil(L, base + 1));
	e = lua_error_test(L, -1);
	CHECK(e != NULL && e->message[0] != '\0');
	lua_settop(L, base);
	return -1;
}

/* The @a n values from @a first on, by the long way: what the call had. */
static void check_packing(lua_State *L, int first, int n)
{
	struct buf slow = { .limit = SIZE_MAX };

	CHECK(lua_pack(L, first, first + n - 1, &slow) == 0);
	CHECK(slow.size == now.args.size);
	CHECK(memcmp(slow.data, now.args.data, slow.size) == 0);
	buf_destroy(&slow);
}

/* The values on top go out, come back, and go out again. */
static void there_and_back(lua_State *L, int n)
{
	int base = lua_gettop(L) - n, rc;
	size_t first;

	luaL_checkstack(L, 2 * n + 20, NULL);
	for (int i = 1; i <= n; i++)
		lua_pushvalue(L, base + i);
	rc = call(L, echo, n);
	if (rc != 1) {
		/* Too deep, by the level of the arguments' own array; or a
		 * value that Lua takes and cannot tell. */
		CHECK(rc == -1);
		return;
	}
	check_packing(L, base + 1, n);
	CHECK(is_sound(now.args.data, now.args.data + now.args.size));
	first = now.args.size;
	CHECK(lua_istable(L, -1));
	for (int i = 1; i <= n; i++)
		lua_rawgeti(L, base + n + 1, i);
	lua_remove(L, base + n + 1);
	rc = call(L, echo, n);
	CHECK(rc == 1);
	CHECK(now.args.size == first);
}

static void run(lua_State *L, void *arg)
{
	int n;

	(void)arg;
	luaL_checkstack(L, 40, NULL);
	n = call(L, return_whole, 0);
	CHECK(n == 1 || n == -1);
	CHECK(n < 0 || is_sound(now.data, now.data + now.size));
	lua_settop(L, 0);
	n = call(L, return_pieces, 0);
	CHECK(n < 0 || n == (int)now.results);
	if (n >= 0 && n <= VALUES_MAX)
		there_and_back(L, n);
	lua_settop(L, 0);
}

static void collect(lua_State *L, void *arg)
{
	(void)arg;
	lua_gc(L, LUA_GCCOLLECT, 0);
}

static void start(void)
{
	if (loop_create(&loop) != 0 || sched_create(&sched, &loop) != 0 ||
	    lua_vm_create(&vm, &sched, on_uncaught, NULL) != 0)
		abort();
	lua_cmod_set_host();
	started = true;
}

static void open_cmod(lua_State *L, void *arg)
{
	(void)arg;
	lua_getglobal(L, "require");
	lua_pushliteral(L, "cmod");
	lua_call(L, 1, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned runs;

	if (!started) {
		start();
		CHECK(lua_vm_protect(&vm, open_cmod, NULL) == 0);
	}
	now.data = (const char *)data;
	now.size = size;
	if (lua_vm_protect(&vm, run, NULL) != 0) {
		fprintf(stderr, "thrown: %s\n", diag_last()->message);
		abort();
	}
	if (++runs % RUNS_PER_COLLECTION == 0)
		CHECK(lua_vm_protect(&vm, collect, NULL) == 0);
	return 0;
}

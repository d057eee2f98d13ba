/*
 * Memory limits of fibers: the account follows what is held, whatever is
 * allocated, moved, freed or refused; who is over ends; nothing is left of an
 * account. In several states at once, too.
 *
 * test: timeout 200, threads
 */
#include "lua_world.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "lua/lua_account.h"
#include "lua/lua_limits.h"

enum {
	LIMIT = 1 << 20,
	BLOCKS = 500,
	MOVES = 100000,
	STATES = 4,
};

/* limit(fiber, bytes). There is no ticker here, and none is wanted: the hook
 * alone ends a fiber at one of its allocations. */
static int l_limit(lua_State *L)
{
	int rc;

	lua_settop(L, 2);
	lua_pushcfunction(L, lua_limits_set);
	lua_insert(L, 1);
	lua_createtable(L, 0, 1);
	lua_insert(L, 3);
	lua_setfield(L, 3, "memory");
	world_sched.ticker = &world_vm.ticker;
	rc = lua_pcall(L, 2, 0, 0);
	world_sched.ticker = NULL;
	return rc == 0 ? 0 : lua_error(L);
}

static uint32_t chance(void)
{
	static __thread uint32_t x = 2463534242;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static struct lua_account *own_account(void)
{
	return lua_limits_account(lua_fiber_of(world_sched.current));
}

struct block {
	void *ptr;
	size_t size;
};

/* One block of @a blocks is made, grown, cut or freed, through the allocator of
 * the state. Returns by how much they have grown. */
static ptrdiff_t move(lua_State *L, struct block *b, size_t size)
{
	size_t old = b->size;
	void *arg, *ptr;
	lua_Alloc alloc = lua_getallocf(L, &arg);

	ptr = alloc(arg, b->ptr, b->size, size);
	if (ptr == NULL && size != 0)
		return 0; /* refused: it is as it was */
	if (size != 0)
		memset(ptr, 'x', size);
	b->ptr = ptr;
	b->size = size;
	return (ptrdiff_t)size - (ptrdiff_t)old;
}

/* One that grows and grows, as a table or a buffer. */
static void grow(lua_State *L, const struct lua_account *a)
{
	struct block b = { NULL, 0 };

	while (b.size < LIMIT / 2)
		move(L, &b, b.size + chance() % 1000);
	assert_in_range(a->used, LIMIT / 2 - LIMIT / 8, LIMIT / 2 + LIMIT / 8);
	move(L, &b, LIMIT / 4);
	assert_in_range(a->used, LIMIT / 4 - LIMIT / 8, LIMIT / 4 + LIMIT / 8);
	move(L, &b, 0);
}

/* exercise(refuses): blocks at random, then none. */
static int l_exercise(lua_State *L)
{
	struct lua_account *a = own_account();
	static __thread struct block blocks[BLOCKS];
	bool refuses = lua_toboolean(L, 1);
	size_t held = 0;

	assert_non_null(a);
	grow(L, a);
	for (int i = 0; i < MOVES; i++) {
		struct block *b = &blocks[chance() % BLOCKS];
		size_t size = chance() % 3 == 0 ? 0 : chance() % 2000 + 1;

		if (refuses && i % 5 == 0)
			inject_arm(i % 2 == 0 ? "malloc" : "lua.alloc",
				   chance() % 3, 2);
		held += (size_t)move(L, b, size);
		/* What finds no memory for a sample is not counted. */
		assert_true(a->used < held + LIMIT / 8);
		if (!refuses)
			assert_true(a->used + LIMIT / 8 > held);
		if (i % 1000 == 0)
			inject_reset();
	}
	inject_reset();
	assert_true(held > LIMIT / 5);
	for (int i = 0; i < BLOCKS; i++)
		move(L, &blocks[i], 0);
	/* What this call itself has made may have a sample. */
	assert_true(a->used < LIMIT / 64);
	return 0;
}

static void add_functions(lua_State *L, void *arg)
{
	(void)arg;
	lua_register(L, "limit", l_limit);
	lua_register(L, "exercise", l_exercise);
}

static void set_up(void)
{
	assert_int_equal(world_create(), 0);
	assert_int_equal(lua_vm_protect(&world_vm, add_functions, NULL), 0);
}

static void nothing_is_left(void)
{
	assert_int_equal(world_vm.samples.accounts, 0);
	assert_int_equal(world_vm.samples.count, 0);
	assert_null(world_vm.samples.buckets);
}

static void tear_down(void)
{
	world_abandon();
	nothing_is_left();
	world_destroy();
}

static void follows_what_is_held(void **state)
{
	(void)state;
	set_up();
	world_do("limit(require('fiber').self(), 1048576) exercise(false)");
	nothing_is_left();
	tear_down();
}

static void follows_through_refusals(void **state)
{
	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	set_up();
	world_do("limit(require('fiber').self(), 1048576) exercise(true)");
	nothing_is_left();
	tear_down();
}

static const char *const script =
	"local fiber = require('fiber')\n"
	"local function limited(f)\n"
	"	local it = fiber.new(function()\n"
	"		limit(fiber.self(), 131072)\n"
	"		return f()\n"
	"	end)\n"
	"	it:set_joinable(true)\n"
	"	return it:join()\n"
	"end\n"
	"local function grow(t)\n"
	"	for i = 1, 1e9 do t[#t + 1] = ('x'):rep(200) .. i end\n"
	"end\n"
	"local function over(ok, err)\n"
	"	if ok then error('WRONG: it did not end') end\n"
	"	if err.type ~= 'OutOfMemory' then error(err, 0) end\n"
	"	return err.message\n"
	"end\n"
	"over(limited(function() while true do pcall(grow, {}) end end))\n"
	"over(limited(function() coroutine.wrap(grow)({}) end))\n"
	/* Garbage, held by nobody. */
	"local ok, n = limited(function()\n"
	"	for i = 1, 20000 do local _ = ('y'):rep(100) .. i end\n"
	"	return 7\n"
	"end)\n"
	"if not ok then error(n, 0) end\n"
	"if n ~= 7 then error('WRONG: a result') end\n"
	/* Children share it, and what they leave counts. Tables: strings that are
	 * there already, as garbage of the last time, take nothing. */
	"local pile = {}\n"
	"over(limited(function()\n"
	"	for _ = 1, 1000 do\n"
	"		local child = fiber.new(function()\n"
	"			while true do pile[#pile + 1] = { 1, 2, 3, 4 } end\n"
	"		end)\n"
	"		child:set_joinable(true)\n"
	"		child:join()\n"
	"	end\n"
	"end))\n"
	"if #pile * 80 > 131072 * 4 then error('WRONG: the pile: ' .. #pile) end\n"
	/* Set again, and lifted, while it has some. */
	"local it = fiber.new(function()\n"
	"	local t = {}\n"
	"	for i = 1, 400 do\n"
	"		t[i] = ('z'):rep(200) .. i\n"
	"		if i == 200 then limit(fiber.self(), 131072) end\n"
	"		if i == 300 then limit(fiber.self(), 0) end\n"
	"	end\n"
	"end)\n"
	"it:set_joinable(true)\n"
	"limit(it, 131072)\n"
	"ok, n = it:join()\n"
	"if not ok then error(n, 0) end\n"
	/* One that is left in the middle. */
	"it = fiber.new(function()\n"
	"	local t = {}\n"
	"	for i = 1, 100 do t[i] = ('w'):rep(200) .. i end\n"
	"	fiber.sleep(1000)\n"
	"end)\n"
	"limit(it, 131072)\n"
	"fiber.yield()\n";

static void run_script(void)
{
	struct lua_fiber *f = world_fiber(script);

	if (f == NULL) {
		error_unref(diag_take());
		return;
	}
	lua_fiber_start(f, 0);
	/* All but the one that sleeps; whose partner has died of a failure waits
	 * for ever. */
	do {
		loop_run(&world_loop, UV_RUN_NOWAIT);
	} while (!list_empty(&world_sched.ready));
}

/* Of a child whose maker has ended before it nobody hears but the log. */
static bool is_expected(void)
{
	return strstr(world_told, "WRONG") == NULL &&
	       (world_told_count == 0 ||
		strstr(world_told, "memory limit of fiber") != NULL ||
		strstr(world_told, "not enough memory") != NULL);
}

static void who_is_over_ends(void **state)
{
	(void)state;
	set_up();
	run_script();
	assert_true(is_expected());
	/* It came to its end, and one sleeps. */
	assert_int_equal(world_vm.samples.accounts, 1);
	assert_true(world_vm.samples.count > 10);
	tear_down();
}

static void *state_main(void *arg)
{
	(void)arg;
	who_is_over_ends(NULL);
	return NULL;
}

static void in_several_states(void **state)
{
	pthread_t threads[STATES];

	(void)state;
	for (int i = 0; i < STATES; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, state_main, NULL), 0);
	for (int i = 0; i < STATES; i++)
		pthread_join(threads[i], NULL);
}

/* Returns whether the script got as far as to need that allocation. */
static bool strike(const char *what, long after)
{
	bool reached;

	world_forget();
	assert_int_equal(inject_arm(what, after, 1), 0);
	run_script();
	reached = inject_asked(what) > after;
	inject_reset();
	world_abandon();
	nothing_is_left();
	if (!is_expected())
		fail_msg("%s %ld: %s", what, after, world_told);
	return reached;
}

static void without_memory(void **state)
{
	static const char *const what[] = { "malloc", "lua.alloc" };

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	set_up();
	for (size_t i = 0; i < sizeof what / sizeof what[0]; i++) {
		long n = 0;

		/* The first ones each, then some. */
		while (strike(what[i], n))
			n += 1 + n / 20;
		assert_true(n > 100);
	}
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_what_is_held),
		cmocka_unit_test(follows_through_refusals),
		cmocka_unit_test(who_is_over_ends),
		cmocka_unit_test(in_several_states),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

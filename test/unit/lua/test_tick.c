/*
 * A tick at each instruction of what sets the hook outside of a signal: the hook of the
 * script, or none, is there again afterwards. What sets it is run step by step, and the
 * tick comes by the trap.
 */
#include "lua_world.h"

#include <signal.h>
#include <ucontext.h>

#include "lua/lua_preempt.h"

#if defined(__x86_64__) && !NEAP_LUAJIT_SYSTEM && !defined(__SANITIZE_THREAD__)

#define TRAP_FLAG 0x100

enum { STEPS_MAX = 20000 };

static volatile long steps, tick_at; /* steps: until the hook is set */
static volatile bool told;

static void on_step(int signo, siginfo_t *info, void *ucontext)
{
	ucontext_t *uc = ucontext;

	(void)signo, (void)info;
	if (uc->uc_mcontext.gregs[REG_RIP] == (greg_t)(uintptr_t)lua_sethook ||
	    steps == STEPS_MAX) {
		uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	if (++steps == tick_at) {
		told = true;
		world_vm.ticker.ask(world_vm.ticker.arg, uc);
	}
}

/* strike(n): an allocation catches up with a missed tick, and another tick comes at its
 * nth instruction. Gives whether it has as many. */
static int strike(lua_State *L)
{
	tick_at = luaL_checkint(L, 1);
	steps = 0;
	told = false;
	world_vm.hook.missed = world_sched.turns;
	__asm__ volatile("pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq" ::
				 : "cc", "memory");
	lua_preempt_catch_up(&world_vm);
	__asm__ volatile("pushfq\n\t"
			 "andq $~0x100, (%%rsp)\n\t"
			 "popfq" ::
				 : "cc", "memory");
	lua_pushboolean(L, told);
	return 1;
}

/* is_clean(): no hook is set. */
static int is_clean(lua_State *L)
{
	lua_pushboolean(L, lua_gethook(L) == NULL && lua_gethookmask(L) == 0);
	return 1;
}

static void tick_while_the_hook_is_set(void **unused)
{
	struct sigaction sa = { .sa_sigaction = on_step,
				.sa_flags = SA_SIGINFO },
			 before;

	(void)unused;
	assert_int_equal(lua_preempt_start(&world_vm, 1000000000), 0);
	lua_register(world_vm.L, "strike", strike);
	lua_register(world_vm.L, "is_clean", is_clean);
	assert_int_equal(sigaction(SIGTRAP, &sa, &before), 0);
	world_do("jit.off()\n"
		 "local n = 0\n"
		 "repeat\n"
		 "    n = n + 1\n"
		 "    local more = strike(n)\n"
		 "    for _ = 1, 3 do end\n"
		 "    assert(is_clean(), 'our hook stays: ' .. n)\n"
		 "until not more\n"
		 "assert(n > 10 and n < 20000, n)");
	assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
	lua_preempt_stop(&world_vm);
}

#else

static void tick_while_the_hook_is_set(void **unused)
{
	(void)unused;
	skip();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(tick_while_the_hook_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

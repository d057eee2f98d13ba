/*
 * Fibers by <neap/module.h>, run by test_own_fiber.lua. Each function gives
 * true, or fails with the line of what was not as expected.
 */
#include <neap/module.h>

#include <string.h>

#define FUNCTION(name)                                            \
	NEAP_EXPORT int name(neap_call_t *call, const char *args, \
			     const char *args_end);               \
	int name(neap_call_t *call, const char *args, const char *args_end)

#define EXPECT(x)                                             \
	do {                                                  \
		if (!(x))                                     \
			return NEAP_ERR("line %d", __LINE__); \
	} while (0)

static int yes(neap_call_t *call)
{
	static const char value[] = "\xc3";

	return neap_return_mp(call, value, value + 1);
}

static int in_init;

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* A module that is still being loaded starts nothing. */
static int init(void)
{
	in_init = neap_fiber_start("too early", nothing, NULL, NULL);
	return 0;
}

static void fini(void)
{
	neap_fiber_start("too late", nothing, NULL, NULL);
}

NEAP_MODULE("own_fibers", "1.0", init, fini);

FUNCTION(was_refused)
{
	(void)args, (void)args_end;
	EXPECT(in_init == -1);
	return yes(call);
}

static int count_down(void *arg)
{
	int *n = arg;

	while (*n > 0) {
		if (neap_fiber_yield() != 0)
			return -1;
		--*n;
	}
	return 42;
}

static int fail(void *arg)
{
	if (neap_fiber_sleep(0.001) != 0)
		return -1;
	return NEAP_ERR("failed with %s", (const char *)arg);
}

static int sleep_on(void *arg)
{
	int *refused = arg;

	while (*refused < 3) {
		if (neap_fiber_sleep(100) != 0 && neap_fiber_is_cancelled())
			++*refused;
	}
	return 0;
}

FUNCTION(join)
{
	neap_fiber_t *f = NULL, *g = NULL;
	int n = 5, result = 7, refused = 0;

	(void)args, (void)args_end;
	EXPECT(neap_fiber_start("counts", count_down, &n, &f) == 0);
	EXPECT(n == 5 && f != NULL);
	EXPECT(neap_fiber_join(f, -1, &result) == -1); /* not 0: a failure */
	EXPECT(result == 42 && n == 0);
	EXPECT(neap_fiber_start("quick", nothing, NULL, &f) == 0);
	EXPECT(neap_fiber_join(f, 0, &result) == 0 && result == 0);
	EXPECT(neap_fiber_start("sleeps", sleep_on, &refused, &f) == 0);
	result = 7;
	EXPECT(neap_fiber_join(f, 0.002, &result) == -1 && result == 7);
	neap_fiber_cancel(f);
	EXPECT(neap_fiber_join(f, -1, &result) == 0 && refused == 3);
	EXPECT(result == 0 && !neap_fiber_is_cancelled());
	EXPECT(neap_fiber_start("f", fail, (void *)"f", &f) == 0);
	EXPECT(neap_fiber_start("g", fail, (void *)"g", &g) == 0);
	EXPECT(neap_fiber_join(f, -1, NULL) == -1);
	EXPECT(neap_fiber_join(g, -1, &result) == -1 && result == -1);
	return yes(call);
}

/* Called where nothing can wait: the fiber runs on, and is never joined. */
FUNCTION(join_refused)
{
	static int refused;
	neap_fiber_t *f = NULL;
	int result = 7;

	(void)args, (void)args_end;
	refused = 0;
	EXPECT(neap_fiber_start("sleeps", sleep_on, &refused, &f) == 0);
	EXPECT(neap_fiber_join(f, -1, &result) == -1 && result == 7);
	neap_fiber_cancel(f);
	return yes(call);
}

/* The error of the one joined becomes the call's. */
FUNCTION(join_failed)
{
	neap_fiber_t *f = NULL;

	(void)call, (void)args, (void)args_end;
	EXPECT(neap_fiber_start("f", fail, (void *)"reason", &f) == 0);
	return neap_fiber_join(f, -1, NULL);
}

FUNCTION(loner)
{
	(void)args, (void)args_end;
	EXPECT(neap_fiber_start(NULL, fail, (void *)"nobody", NULL) == 0);
	return yes(call);
}

static int dig(int n)
{
	volatile char frame[500];

	frame[n % 500] = (char)n;
	return n == 0 ? 0 : dig(n - 1) + frame[n % 500];
}

static int overflow(void *arg)
{
	(void)arg;
	if (neap_fiber_yield() != 0)
		return -1;
	return dig(1000000);
}

FUNCTION(overflow_in_fiber)
{
	(void)args, (void)args_end;
	EXPECT(neap_fiber_start("digs", overflow, NULL, NULL) == 0);
	return yes(call);
}

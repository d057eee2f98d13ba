/*
 * Fibers in every state they can be in, for test/unit/lua/test_cmod_fiber.c,
 * which gives them up there, and fails the memory of everything they need.
 */
#include <neap/compat/module.h>
#include <netdb.h>
#include <unistd.h>

#define FUNCTION(name)                                       \
	__attribute__((__visibility__("default"))) int name( \
		box_function_ctx_t *ctx, const char *args,   \
		const char *args_end);                       \
	int name(box_function_ctx_t *ctx, const char *args,  \
		 const char *args_end)

static volatile bool forever = true;
static struct fiber *last;
static struct fiber_cond *cond;

static int quick(va_list ap)
{
	return va_arg(ap, int);
}

static int slow(va_list ap)
{
	(void)ap;
	fiber_sleep(0.0005);
	return box_error_set("slow.c", 1, ER_PROC_C, "slow");
}

static int sleeps(va_list ap)
{
	(void)ap;
	while (forever)
		fiber_sleep(1000);
	return 0;
}

static int spins(va_list ap)
{
	(void)ap;
	while (forever)
		fiber_reschedule();
	return 0;
}

static int reads(va_list ap)
{
	int *fds = va_arg(ap, int *);

	while (forever)
		coio_wait(fds[0], COIO_READ, 1000);
	return 0;
}

static int conds(va_list ap)
{
	(void)ap;
	while (forever)
		fiber_cond_wait(cond);
	return 0;
}

static int joins(va_list ap)
{
	(void)ap;
	return fiber_join(last);
}

static ssize_t nap(va_list ap)
{
	/* The list lies on the stack of the call. */
	usleep(20000);
	return va_arg(ap, int);
}

static int works(va_list ap)
{
	(void)ap;
	return (int)coio_call(nap, 7);
}

static int looks(va_list ap)
{
	struct addrinfo *list;

	(void)ap;
	if (coio_getaddrinfo("localhost", "80", NULL, &list, 1000) == 0)
		freeaddrinfo(list);
	fiber_sleep(1000);
	return 0;
}

/* Everything that takes memory; fails when some of it does. */
static int use_all(void)
{
	struct fiber *f = fiber_new("f", quick);
	struct fiber_cond *own;
	struct fiber_attr *attr;
	struct addrinfo *list;
	int fds[2], rc;

	if (f == NULL)
		return -1;
	fiber_set_joinable(f, true);
	fiber_start(f, 5);
	if (fiber_join(f) != 5)
		return box_error_raise(ER_UNKNOWN, "not 5");
	attr = fiber_attr_new();
	if (attr == NULL)
		return -1;
	fiber_attr_setstacksize(attr, 1 << 20);
	f = fiber_new_ex("g", attr, slow);
	fiber_attr_delete(attr);
	if (f == NULL)
		return -1;
	fiber_set_joinable(f, true);
	fiber_start(f);
	if (fiber_join(f) != -1)
		return box_error_raise(ER_UNKNOWN, "not -1");
	box_error_clear();
	own = fiber_cond_new();
	if (own == NULL)
		return -1;
	rc = fiber_cond_wait_timeout(own, 0);
	fiber_cond_delete(own);
	box_error_clear();
	if (rc != -1 || pipe(fds) != 0)
		return box_error_raise(ER_UNKNOWN, "no pipe");
	rc = coio_wait(fds[1], COIO_WRITE, 10);
	close(fds[0]);
	close(fds[1]);
	if (rc != COIO_WRITE)
		return -1;
	if (coio_call(nap, 7) != 7)
		return -1;
	if (coio_getaddrinfo("127.0.0.1", "80", NULL, &list, 10) != 0)
		return -1;
	freeaddrinfo(list);
	return 0;
}

FUNCTION(use)
{
	(void)ctx, (void)args, (void)args_end;
	return use_all();
}

/* Not joinable: it fails alone, and its error is logged. */
FUNCTION(fail_alone)
{
	struct fiber *f = fiber_new("alone", slow);

	(void)ctx, (void)args, (void)args_end;
	if (f == NULL)
		return -1;
	fiber_start(f);
	return 0;
}

static int begin(fiber_func body, void *arg, bool start)
{
	last = fiber_new("state", body);
	if (last == NULL)
		return -1;
	fiber_set_joinable(last, true);
	if (start)
		fiber_start(last, arg);
	return 0;
}

#define STATE(name, body, arg, start)                  \
	FUNCTION(name)                                 \
	{                                              \
		(void)ctx, (void)args, (void)args_end; \
		return begin(body, arg, start);        \
	}

static int pipe_fds[2];

STATE(is_new, sleeps, NULL, false)
STATE(is_over, slow, NULL, true)
STATE(is_sleeping, sleeps, NULL, true)
STATE(is_ready, spins, NULL, true)
STATE(is_working, works, NULL, true)
STATE(is_looking_up, looks, NULL, true)

FUNCTION(is_reading)
{
	(void)ctx, (void)args, (void)args_end;
	if (pipe(pipe_fds) != 0)
		return -1;
	return begin(reads, pipe_fds, true);
}

FUNCTION(is_in_cond)
{
	(void)ctx, (void)args, (void)args_end;
	cond = fiber_cond_new();
	return cond == NULL ? -1 : begin(conds, NULL, true);
}

FUNCTION(is_joining)
{
	struct fiber *joiner;

	(void)ctx, (void)args, (void)args_end;
	if (begin(sleeps, NULL, true) != 0)
		return -1;
	joiner = fiber_new("joiner", joins);
	if (joiner == NULL)
		return -1;
	fiber_start(joiner);
	return 0;
}

/* A call that waits itself, with what it waits for. */
FUNCTION(waits_for_join)
{
	(void)ctx, (void)args, (void)args_end;
	if (begin(sleeps, NULL, true) != 0)
		return -1;
	return fiber_join(last);
}

FUNCTION(waits_for_work)
{
	(void)ctx, (void)args, (void)args_end;
	return coio_call(nap, 7) == 7 ? 0 : -1;
}

/* What the states above have left open. */
FUNCTION(clean)
{
	(void)ctx, (void)args, (void)args_end;
	if (pipe_fds[1] != 0) {
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		pipe_fds[0] = pipe_fds[1] = 0;
	}
	fiber_cond_delete(cond);
	cond = NULL;
	return 0;
}

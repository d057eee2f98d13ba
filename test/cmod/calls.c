/* What the tests of calls call. */
#include <neap/module.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUNCTION(name)                                            \
	NEAP_EXPORT int name(neap_call_t *call, const char *args, \
			     const char *args_end);               \
	int name(neap_call_t *call, const char *args, const char *args_end)

#define RETURN(call, bytes) \
	neap_return_mp(call, bytes, (bytes) + sizeof(bytes) - 1)

NEAP_EXPORT int data_symbol = 5;
NEAP_EXPORT __thread int thread_symbol = 5;

/* Chosen when the library is loaded, and known by no name of its own. */
static int chosen(neap_call_t *call, const char *args, const char *args_end)
{
	(void)call, (void)args, (void)args_end;
	return 0;
}

__attribute__((used)) static neap_func_t choose(void)
{
	return chosen;
}

NEAP_EXPORT int by_resolver(neap_call_t *call, const char *args,
			    const char *args_end)
	__attribute__((ifunc("choose")));

static int outside(void)
{
	return neap_fiber_sleep(0.001) == -1 ? 0 : 1;
}

NEAP_MODULE("calls", "1.2", outside, NULL);

/* Header of the arguments' array: how many they are. */
static unsigned count_args(const char **args)
{
	const unsigned char *p = (const unsigned char *)*args;

	if ((*p & 0xf0) == 0x90) {
		*args += 1;
		return *p & 15;
	}
	if (*p == 0xdc) {
		*args += 3;
		return (unsigned)p[1] << 8 | p[2];
	}
	*args += 5;
	return (unsigned)p[1] << 24 | (unsigned)p[2] << 16 |
	       (unsigned)p[3] << 8 | p[4];
}

/* A small unsigned argument. */
static unsigned get_uint(const char **args)
{
	const unsigned char *p = (const unsigned char *)*args;

	if (*p < 0x80) {
		*args += 1;
		return *p;
	}
	if (*p == 0xcc) {
		*args += 2;
		return p[1];
	}
	*args += 3;
	return (unsigned)p[1] << 8 | p[2];
}

FUNCTION(nothing)
{
	(void)call, (void)args, (void)args_end;
	return 0;
}

/* All arguments as one array. */
FUNCTION(echo)
{
	return neap_return_mp(call, args, args_end);
}

/* The one argument. */
FUNCTION(first)
{
	count_args(&args);
	return neap_return_mp(call, args, args_end);
}

/* The bytes of the one string argument, as they are, for a result. */
FUNCTION(raw)
{
	const unsigned char *p;

	count_args(&args);
	p = (const unsigned char *)args;
	args += (*p & 0xe0) == 0xa0 ? 1 : *p == 0xd9 ? 2 : *p == 0xda ? 3 : 5;
	return neap_return_mp(call, args, args_end);
}

FUNCTION(fail)
{
	(void)call, (void)args, (void)args_end;
	return -1;
}

FUNCTION(fail_seven)
{
	(void)args, (void)args_end;
	RETURN(call, "\x05"); /* dropped */
	return 7;
}

FUNCTION(fail_with)
{
	(void)call, (void)args, (void)args_end;
	return NEAP_ERR("bad %s %d", "luck", 13);
}

FUNCTION(fail_twice)
{
	(void)call, (void)args, (void)args_end;
	neap_error_set("first.c", 1, 1, "first");
	return neap_error_set("/a/b/second.c", 22, 33, "second");
}

FUNCTION(fail_highest)
{
	(void)call, (void)args, (void)args_end;
	return neap_error_set("x.c", 1, 0xffffffff, "the highest code");
}

/* An error was set, and yet it went well. */
FUNCTION(recover)
{
	(void)args, (void)args_end;
	NEAP_ERR("not so bad");
	return RETURN(call, "\xc3");
}

FUNCTION(three)
{
	(void)args, (void)args_end;
	RETURN(call, "\x01");
	RETURN(call, "\xa3two");
	return RETURN(call, "\x93\x03\x03\x03");
}

/* Argument: how many results. */
FUNCTION(many)
{
	unsigned n;

	(void)args_end;
	count_args(&args);
	for (n = get_uint(&args); n > 0; n--)
		RETURN(call, "\x01");
	return 0;
}

/* Argument: how deep the result nests. */
FUNCTION(deep)
{
	char bytes[300] = "";
	unsigned n;

	(void)args_end;
	count_args(&args);
	n = get_uint(&args);
	memset(bytes, 0x91, n);
	bytes[n] = 1;
	return neap_return_mp(call, bytes, bytes + n + 1);
}

/* One result that is two, and two that only together are one. */
FUNCTION(two_in_one)
{
	(void)args, (void)args_end;
	return RETURN(call, "\x01\x02");
}

FUNCTION(halves)
{
	(void)args, (void)args_end;
	RETURN(call, "\x92\x01");
	return RETURN(call, "\x02");
}

FUNCTION(empty_result)
{
	(void)args;
	return neap_return_mp(call, args_end, args_end);
}

/* A mebibyte of text. */
FUNCTION(large)
{
	const size_t size = 1 << 20;
	char *bytes = calloc(1, size + 5);
	int rc;

	(void)args, (void)args_end;
	if (bytes == NULL)
		return NEAP_ERR("no memory");
	memcpy(bytes, "\xdb\x00\x10\x00\x00", 5);
	memset(bytes + 5, 'x', size);
	rc = neap_return_mp(call, bytes, bytes + size + 5);
	free(bytes);
	return rc;
}

/* Arguments: milliseconds, then anything, which comes back as one array. */
FUNCTION(nap)
{
	const char *all = args;
	unsigned ms;

	count_args(&args);
	ms = get_uint(&args);
	if (neap_fiber_sleep(ms / 2000.0) != 0 ||
	    neap_fiber_sleep(ms / 2000.0) != 0)
		return -1;
	return neap_return_mp(call, all, args_end);
}

FUNCTION(nap_and_fail)
{
	(void)call, (void)args, (void)args_end;
	if (neap_fiber_sleep(0.001) != 0)
		return -1;
	return NEAP_ERR("after the nap");
}

/* Sleeps on when cancelled, until it has been refused three times. */
FUNCTION(stubborn)
{
	int refused = 0;

	(void)args, (void)args_end;
	while (refused < 3)
		refused += neap_fiber_sleep(10) != 0;
	return RETURN(call, "\xa8"
			    "stubborn");
}

/* Never ends, and never minds that it is cancelled. */
FUNCTION(deaf)
{
	(void)call, (void)args, (void)args_end;
	for (;;)
		neap_fiber_sleep(10);
}

/* Ends when it is told to, and looks at nothing else. */
FUNCTION(until_told)
{
	(void)call, (void)args, (void)args_end;
	while (!neap_fiber_is_cancelled())
		neap_fiber_sleep(0.001);
	return 0;
}

/* Computes, and waits for nobody, until there is no file of that name. */
FUNCTION(spins)
{
	const char *path = "spin";

	(void)call, (void)args, (void)args_end;
	while (access(path, F_OK) == 0)
		continue;
	return 0;
}

/* Argument: how often. */
FUNCTION(yields)
{
	unsigned n;

	(void)call, (void)args_end;
	count_args(&args);
	for (n = get_uint(&args); n > 0; n--) {
		if (neap_fiber_yield() != 0)
			return -1;
	}
	return 0;
}

/* Waits for a pipe that is written to by itself: the events that came. */
FUNCTION(wait_pipe)
{
	char result;
	int fds[2], rc;

	(void)args, (void)args_end;
	if (pipe(fds) != 0)
		return NEAP_ERR("pipe: %s", strerror(errno));
	rc = neap_wait_fd(fds[0], NEAP_READ, 0.005);
	if (rc == 0) {
		if (write(fds[1], "x", 1) != 1)
			rc = -1;
		else
			rc = neap_wait_fd(fds[0], NEAP_READ, -1);
	} else if (rc > 0) {
		rc = NEAP_ERR("ready too early");
	}
	close(fds[0]);
	close(fds[1]);
	if (rc < 0)
		return -1;
	result = (char)rc;
	return neap_return_mp(call, &result, &result + 1);
}

/* For ever, on a pipe that nobody writes to. */
FUNCTION(wait_for_ever)
{
	int fds[2], rc;

	(void)call, (void)args, (void)args_end;
	if (pipe(fds) != 0)
		return NEAP_ERR("pipe: %s", strerror(errno));
	rc = neap_wait_fd(fds[0], NEAP_READ, -1);
	close(fds[0]);
	close(fds[1]);
	return rc < 0 ? -1 : 0;
}

FUNCTION(wait_bad_fd)
{
	(void)call, (void)args, (void)args_end;
	return neap_wait_fd(-1, NEAP_READ, 1);
}

/* The call of another, which is over, cannot be added to. */
static neap_call_t *kept;

FUNCTION(keep_call)
{
	(void)args, (void)args_end;
	kept = call;
	if (neap_fiber_sleep(0.02) != 0)
		return -1;
	return 0;
}

FUNCTION(use_kept_call)
{
	(void)call, (void)args, (void)args_end;
	return RETURN(kept, "\x01");
}

/* Uses some of its stack, which others use as well, one after the other. */
FUNCTION(use_stack)
{
	volatile char bytes[64 * 1024];
	unsigned seed, i;

	(void)args_end;
	count_args(&args);
	seed = get_uint(&args);
	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(seed + i);
	if (neap_fiber_yield() != 0)
		return -1;
	for (i = 0; i < sizeof bytes; i++) {
		if (bytes[i] != (char)(seed + i))
			return NEAP_ERR("the stack was changed at %u", i);
	}
	return RETURN(call, "\x01");
}

/* Deaths, for the report of a crash. */
static int dig(int n)
{
	volatile char frame[500];

	frame[n % 500] = (char)n;
	return n == 0 ? 0 : dig(n - 1) + frame[n % 500];
}

FUNCTION(overflow)
{
	(void)call, (void)args, (void)args_end;
	return dig(1000000);
}

/* In one step, and written to from its far end. */
FUNCTION(overflow_at_once)
{
	volatile char frame[1024 * 1024];

	(void)call, (void)args, (void)args_end;
	for (size_t i = 0; i < sizeof frame; i += 4096)
		frame[i] = 1;
	return 0;
}

static volatile int *volatile nowhere = (volatile int *)8;

FUNCTION(null_write)
{
	(void)call, (void)args, (void)args_end;
	if (neap_fiber_yield() != 0)
		return -1;
	*nowhere = 1;
	return 0;
}

FUNCTION(die)
{
	(void)call, (void)args, (void)args_end;
	abort();
}

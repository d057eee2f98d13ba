/* What the tests of offloaded calls call: functions that block their thread
 * without a word to the server, and what tells of them. */
#define _GNU_SOURCE
#include <neap/module.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define FUNCTION(name)                                            \
	NEAP_EXPORT int name(neap_call_t *call, const char *args, \
			     const char *args_end);               \
	int name(neap_call_t *call, const char *args, const char *args_end)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int inside, opened, begun, told;

static int return_number(neap_call_t *call, int n)
{
	char bytes[3] = { (char)0xcd, (char)(n >> 8), (char)n };

	return neap_return_mp(call, bytes, bytes + 3);
}

/* Whether it runs on the process's first thread. */
FUNCTION(on_main)
{
	char result = getpid() == gettid() ? (char)0xc3 : (char)0xc2;

	(void)args, (void)args_end;
	return neap_return_mp(call, &result, &result + 1);
}

/* Blocks until somebody opens the gate; then its arguments come back. */
FUNCTION(gate)
{
	pthread_mutex_lock(&lock);
	inside++;
	while (!opened)
		pthread_cond_wait(&changed, &lock);
	inside--;
	pthread_mutex_unlock(&lock);
	return neap_return_mp(call, args, args_end);
}

static void set_open(int value)
{
	pthread_mutex_lock(&lock);
	opened = value;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

FUNCTION(open_gate)
{
	(void)call, (void)args, (void)args_end;
	set_open(1);
	return 0;
}

FUNCTION(close_gate)
{
	(void)call, (void)args, (void)args_end;
	set_open(0);
	return 0;
}

static int locked(const int *n)
{
	int value;

	pthread_mutex_lock(&lock);
	value = *n;
	pthread_mutex_unlock(&lock);
	return value;
}

/* How many are blocked there. */
FUNCTION(count_inside)
{
	(void)args, (void)args_end;
	return return_number(call, locked(&inside));
}

/* How many were told by a wait that they are cancelled. */
FUNCTION(count_told)
{
	(void)args, (void)args_end;
	return return_number(call, locked(&told));
}

/* How many of those calls have begun: before, a cancel only takes them away. */
FUNCTION(count_begun)
{
	(void)args, (void)args_end;
	return return_number(call, locked(&begun));
}

static void add_to(int *count)
{
	pthread_mutex_lock(&lock);
	++*count;
	pthread_mutex_unlock(&lock);
}

/* Wait until cancelled, each in its own way. */
FUNCTION(sleep_on)
{
	(void)call, (void)args, (void)args_end;
	add_to(&begun);
	while (neap_fiber_sleep(1000) == 0)
		;
	add_to(&told);
	return -1;
}

FUNCTION(yield_on)
{
	(void)call, (void)args, (void)args_end;
	add_to(&begun);
	while (neap_fiber_yield() == 0)
		;
	add_to(&told);
	return -1;
}

FUNCTION(poll_on)
{
	int fds[2];

	(void)call, (void)args, (void)args_end;
	if (pipe(fds) != 0)
		return NEAP_ERR("no pipe");
	add_to(&begun);
	while (neap_wait_fd(fds[0], NEAP_READ, -1) >= 0)
		;
	add_to(&told);
	close(fds[0]);
	close(fds[1]);
	return -1;
}

/* Never ends, and cannot be told. */
FUNCTION(hang)
{
	(void)call, (void)args, (void)args_end;
	pthread_mutex_lock(&lock);
	inside++;
	pthread_mutex_unlock(&lock);
	for (;;)
		pause();
}

/* More stack than a call on the loop's thread has. */
FUNCTION(use_much_stack)
{
	volatile char bytes[600 * 1024];
	unsigned i;

	(void)args, (void)args_end;
	for (i = 0; i < sizeof bytes; i += 1024)
		bytes[i] = (char)i;
	return return_number(call, bytes[1024]);
}

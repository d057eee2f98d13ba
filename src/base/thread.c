/* Threads beside those that run scripts. See thread.h. */
#include "base/thread.h"

#include <signal.h>

enum { STACK_SIZE = 256 * 1024 };

int thread_start_helper(pthread_t *ret, const char *name, void *(*fn)(void *),
			void *arg)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	sigfillset(&all);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(ret, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(*ret, name);
	return rc;
}

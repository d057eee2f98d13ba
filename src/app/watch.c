/* The thread that hears of the end. See watch.h. */
#include "app/watch.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "app/app.h"
#include "base/diag.h"
#include "base/thread.h"

/* There is one application, as there is one set of signals. The semaphore stays:
 * a handler may be on its way there. */
static struct {
	pthread_t thread;
	sem_t sem;
	atomic_int signo;
	atomic_bool stopped;
	bool started;
} watch;

/* In the signal handler. */
static void on_request(int signo)
{
	watch.signo = signo;
	sem_post(&watch.sem);
}

static void *thread_main(void *arg)
{
	for (;;) {
		while (sem_wait(&watch.sem) != 0 && errno == EINTR)
			;
		if (watch.stopped)
			return NULL;
		app_ask(arg, watch.signo);
	}
}

int watch_start(struct app *app)
{
	int rc;

	sem_init(&watch.sem, 0, 0);
	watch.stopped = false;
	rc = thread_start_helper(&watch.thread, "neap-watch", thread_main, app);
	if (rc != 0) {
		diag_set_system(rc, "cannot start a thread for signals");
		return -1;
	}
	watch.started = true;
	signals_set_on_request(on_request);
	return 0;
}

void watch_stop(void)
{
	if (!watch.started)
		return;
	signals_set_on_request(NULL);
	watch.stopped = true;
	sem_post(&watch.sem);
	pthread_join(watch.thread, NULL);
	watch.started = false;
}

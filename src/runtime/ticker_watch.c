/* Who comes while a fiber computes alone. See ticker_watch.h. */
#include "runtime/ticker_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "base/inject.h"
#include "base/thread.h"

/* A thread that waits for the loop goes on with that when it is disarmed: the
 * event that comes then is nobody's business, or that of who armed it again. */
enum { IDLE, ARMED, STOPPED };

/* Until there is an event, or the signal. */
static void wait_for_event(const struct ticker_watch *w)
{
	struct pollfd fd = { .fd = w->loop_fd, .events = POLLIN };
	sigset_t others;

	sigfillset(&others);
	sigdelset(&others, w->signo);
	ppoll(&fd, 1, NULL, &others);
}

static void *thread_main(void *arg)
{
	struct ticker_watch *w = arg;

	for (;;) {
		int armed = ARMED;

		while (sem_wait(&w->calls) != 0)
			;
		if (w->state == ARMED)
			wait_for_event(w);
		if (w->state == STOPPED)
			return NULL;
		/* Not by setting a timer: the worker may just be setting it. */
		if (atomic_compare_exchange_strong(&w->state, &armed, IDLE))
			pthread_kill(w->worker, w->signo);
	}
}

int ticker_watch_start(struct ticker_watch *w, int loop_fd, int signo)
{
	int rc;

	w->worker = pthread_self();
	w->loop_fd = loop_fd;
	w->signo = signo;
	w->state = IDLE;
	sem_init(&w->calls, 0, 0);
	rc = inject("ticker_watch.thread")
		     ? EAGAIN
		     : thread_start_helper(&w->thread, "neap-ticker",
					   thread_main, w);
	if (rc != 0)
		return -rc;
	w->started = true;
	return 0;
}

void ticker_watch_arm(struct ticker_watch *w)
{
	if (atomic_exchange(&w->state, ARMED) == IDLE)
		sem_post(&w->calls);
}

void ticker_watch_disarm(struct ticker_watch *w)
{
	int armed = ARMED;

	atomic_compare_exchange_strong(&w->state, &armed, IDLE);
}

void ticker_watch_stop(struct ticker_watch *w)
{
	if (!w->started)
		return;
	w->started = false;
	w->state = STOPPED;
	sem_post(&w->calls);
	pthread_kill(w->thread, w->signo);
	pthread_join(w->thread, NULL);
	sem_destroy(&w->calls);
}

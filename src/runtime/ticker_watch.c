/* Who comes while a fiber computes alone. See ticker_watch.h. */
#include "runtime/ticker_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/inject.h"

enum { STACK_SIZE = 256 * 1024 };

/* A thread that waits for the loop goes on with that when it is disarmed: the
 * event that comes then is nobody's business. */
enum { IDLE, ARMED, STOPPED };

/* It looks at the state anew. */
static void call(const struct ticker_watch *w)
{
	const uint64_t one = 1;
	ssize_t n;

	do
		n = write(w->control, &one, sizeof one);
	while (n < 0 && errno == EINTR);
}

static void *thread_main(void *arg)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	struct ticker_watch *w = arg;
	uint64_t calls;

	for (;;) {
		int state = w->state, armed = ARMED;
		struct pollfd fds[] = {
			{ .fd = w->control, .events = POLLIN },
			{ .fd = state == ARMED ? w->loop_fd : -1,
			  .events = POLLIN },
		};

		if (state == STOPPED)
			return NULL;
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents != 0)
			(void)!read(w->control, &calls, sizeof calls);
		else if (atomic_compare_exchange_strong(&w->state, &armed,
							IDLE))
			timer_settime(w->timer, 0, &at_once, NULL);
	}
}

/* All signals are for the other threads. */
static int start_thread(struct ticker_watch *w)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	sigfillset(&all);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = inject("ticker_watch.thread")
		     ? EAGAIN
		     : pthread_create(&w->thread, &attr, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

int ticker_watch_start(struct ticker_watch *w, int loop_fd, timer_t timer)
{
	int rc;

	w->loop_fd = loop_fd;
	w->timer = timer;
	w->state = IDLE;
	w->control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->control < 0)
		return -errno;
	rc = start_thread(w);
	if (rc != 0) {
		close(w->control);
		return -rc;
	}
	pthread_setname_np(w->thread, "neap-ticker");
	w->started = true;
	return 0;
}

void ticker_watch_arm(struct ticker_watch *w)
{
	if (atomic_exchange(&w->state, ARMED) == IDLE)
		call(w);
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
	call(w);
	pthread_join(w->thread, NULL);
	close(w->control);
}

/*
 * The process's signals. See signals.h.
 *
 * Not uv_signal_t: its handler only writes to a pipe that the loop reads, so a
 * loop that does not turn would make the process deaf to Ctrl-C.
 */
#include "runtime/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/loop.h"

static const int taken[] = {
	SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT
};

enum { TAKEN = sizeof taken / sizeof *taken, QUIT_LATE_S = 2 };

/* The handler may run on any thread, and on several at once. */
static struct {
	_Atomic(struct signals *) self; /* NULL: not started */
	struct sigaction old[TAKEN];
	atomic_bool pending[TAKEN];
	atomic_bool fatal[TAKEN];
	atomic_int asked; /* requests to end so far */
	atomic_int first; /* the signal of the first; 0: none */
	atomic_uint deadline;
	bool ends; /* without a request */
	_Atomic(void (*)(int)) on_request;
	_Atomic(void (*)(void)) on_interrupt;
	_Atomic(void (*)(void)) last_words;
	atomic_bool unheard; /* SIGQUIT */
	timer_t quit_timer;
	bool has_quit_timer;
	_Atomic(void (*)(void)) quit_late;
	_Atomic(bool (*)(const void *)) quit_here;
} state;

static int slot_of(int signo)
{
	for (int i = 0; i < TAKEN; i++) {
		if (taken[i] == signo)
			return i;
	}
	return -1;
}

static void say_last_words(void)
{
	void (*last_words)(void) = state.last_words;

	if (last_words != NULL)
		last_words();
}

/* The log may be what keeps the thread that should have ended: not through it,
 * and not where nobody reads. */
static void on_alarm(int signo)
{
	static const char text[] = "neap: the end takes too long: the process "
				   "leaves now\n";
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	(void)signo;
	say_last_words();
	if (poll(&p, 1, 0) > 0 && (p.revents & POLLOUT) &&
	    write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(1);
	_exit(1);
}

static void start_deadline(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	if (state.deadline == 0)
		return;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	alarm(state.deadline);
}

static void on_first_request(int signo)
{
	void (*on_request)(int) = state.on_request;

	state.first = signo;
	start_deadline();
	if (on_request != NULL)
		on_request(signo);
}

static void on_signal(int signo)
{
	/* NULL on another thread, when signals_stop() comes between. */
	struct signals *self = state.self;
	int saved_errno = errno;
	int i = slot_of(signo);

	if (i >= 0 && state.fatal[i]) {
		if (state.asked++ > 0) {
			say_last_words();
			_exit(128 + signo);
		}
		on_first_request(signo);
	} else if (signo == SIGINT) {
		void (*on_interrupt)(void) = state.on_interrupt;

		if (on_interrupt != NULL)
			on_interrupt();
	}
	if (i >= 0) {
		state.pending[i] = true;
		if (self != NULL)
			uv_async_send(&self->async);
	}
	errno = saved_errno;
}

/* What it is at: who does not say in time is asked where he stands. */
static void on_quit(int signo, siginfo_t *info, void *context)
{
	const struct itimerspec late = { .it_value.tv_sec = QUIT_LATE_S };
	bool (*here)(const void *) = state.quit_here;
	void (*on_late)(void) = state.quit_late;
	int saved_errno = errno;

	if (info->si_code == SI_TIMER) {
		if (atomic_exchange(&state.unheard, false) && on_late != NULL)
			on_late();
	} else if (here == NULL || !here(context)) {
		/* Those that follow do not put off the answer to the first. */
		if (!atomic_exchange(&state.unheard, true) &&
		    state.has_quit_timer)
			timer_settime(state.quit_timer, 0, &late, NULL);
		on_signal(signo);
	}
	errno = saved_errno;
}

static void on_async(uv_async_t *async)
{
	struct signals *s = async->data;

	for (int i = 0; i < TAKEN; i++) {
		if (atomic_exchange(&state.pending[i], false))
			s->fn(taken[i], s->arg);
	}
}

/* A closed pipe, a file at its limit: the write fails, and says why. */
static void on_failed_write(int signo)
{
	(void)signo; /* a handler, unlike SIG_IGN, is not inherited by exec */
}

/* Ignored, as a parent may have left it, no child's end could be told: it is
 * gone without a word. */
static void heed_children(void)
{
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) != 0 || sa.sa_handler != SIG_IGN)
		return;
	sa.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &sa, NULL);
}

/* Without it only the loop answers. */
static void make_quit_timer(void)
{
	struct sigevent se = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGQUIT };

	state.unheard = false;
	state.has_quit_timer =
		timer_create(CLOCK_MONOTONIC, &se, &state.quit_timer) == 0;
}

/* A parent may have left them blocked, and the process would be deaf. */
static void unblock(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < TAKEN; i++)
		sigaddset(&set, taken[i]);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int signals_start(struct signals *s, struct loop *loop, signals_f fn, void *arg)
{
	struct sigaction sa = { .sa_handler = on_failed_write,
				.sa_flags = SA_RESTART };
	int rc = uv_async_init(&loop->uv, &s->async, on_async);

	if (rc != 0)
		return rc;
	uv_unref((uv_handle_t *)&s->async);
	s->async.data = s;
	s->fn = fn;
	s->arg = arg;
	state.self = s;
	state.asked = 0;
	state.first = 0;
	state.ends = false;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGPIPE, &sa, NULL);
	sigaction(SIGXFSZ, &sa, NULL);
	heed_children();
	make_quit_timer();
	/* One handler at a time on a thread: none ends the process in the
	 * middle of another. */
	for (int i = 0; i < TAKEN; i++)
		sigaddset(&sa.sa_mask, taken[i]);
	for (int i = 0; i < TAKEN; i++) {
		sa.sa_handler = on_signal;
		sa.sa_flags = SA_RESTART;
		if (taken[i] == SIGQUIT) {
			sa.sa_sigaction = on_quit;
			sa.sa_flags |= SA_SIGINFO;
		}
		state.pending[i] = false;
		state.fatal[i] = taken[i] == SIGINT || taken[i] == SIGTERM ||
				 taken[i] == SIGHUP;
		sigaction(taken[i], NULL, &state.old[i]);
		/* nohup's wish is kept. */
		if (taken[i] != SIGHUP || state.old[i].sa_handler != SIG_IGN)
			sigaction(taken[i], &sa, NULL);
	}
	unblock();
	return 0;
}

void signals_stop(struct signals *s)
{
	if (state.self != s)
		return;
	for (int i = 0; i < TAKEN; i++)
		sigaction(taken[i], &state.old[i], NULL);
	if (state.first != 0 || state.ends)
		alarm(0);
	if (state.has_quit_timer)
		timer_delete(state.quit_timer);
	state.has_quit_timer = false;
	/* SIGPIPE and SIGXFSZ stay caught: what is flushed last may fail. */
	state.self = NULL;
	uv_close((uv_handle_t *)&s->async, NULL);
}

void signals_set_fatal(int signo, bool fatal)
{
	int i = slot_of(signo);

	if (i >= 0)
		state.fatal[i] = fatal;
}

void signals_set_deadline(unsigned seconds)
{
	state.deadline = seconds;
}

void signals_end_without(void)
{
	state.ends = true;
	start_deadline();
}

void signals_withdraw(int signo)
{
	if (state.first != signo)
		return;
	alarm(0);
	state.first = 0;
	state.asked = 0;
}

void signals_set_on_request(void (*fn)(int signo))
{
	state.on_request = fn;
	if (fn != NULL && state.first != 0)
		fn(state.first);
}

void signals_set_on_interrupt(void (*fn)(void))
{
	state.on_interrupt = fn;
}

void signals_set_last_words(void (*fn)(void))
{
	state.last_words = fn;
}

void signals_set_on_quit(void (*late)(void), bool (*here)(const void *context))
{
	state.quit_late = late;
	state.quit_here = here;
}

void signals_heard_quit(void)
{
	state.unheard = false;
}

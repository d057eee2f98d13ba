/*
 * The process's signals, told inside the loop. One per process: signals belong
 * to it, not to a loop.
 *
 * SIGINT and SIGTERM ask for the end; so does SIGHUP, unless the owner says
 * otherwise. The second such request ends the process at once with 128+N, from
 * the signal handler itself, so that a loop that is stuck is no hindrance. The
 * first may have a deadline for the same reason. SIGQUIT asks what the process is at:
 * see signals_set_on_quit() for who does not answer.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct loop;

/** Told of @a signo inside the loop. */
typedef void (*signals_f)(int signo, void *arg);

struct signals {
	uv_async_t async;
	signals_f fn;
	void *arg;
};

/**
 * Take SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGQUIT; SIGPIPE is caught and does
 * nothing, so that writes fail with EPIPE, and programs started from here have
 * it as usual. Returns 0, or UV_E*.
 */
int signals_start(struct signals *s, struct loop *loop, signals_f fn,
		  void *arg);

/** Give the signals back; the handle is closed by the loop. */
void signals_stop(struct signals *s);

/**
 * Whether @a signo counts as a request to end. At the start SIGINT, SIGTERM
 * and SIGHUP do; a console takes SIGINT for itself.
 */
void signals_set_fatal(int signo, bool fatal);

/**
 * The process leaves with code 1 when it has not called signals_stop() so many
 * @a seconds after the first request to end (0: it never does), whatever it is
 * doing then. Takes SIGALRM from that request on.
 */
void signals_set_deadline(unsigned seconds);

/** The process ends without a request: as if there had been one, for the deadline. */
void signals_end_without(void);

/** The first request was none, if it was @a signo: whoever was told says so. */
void signals_withdraw(int signo);

/**
 * @a fn is called in the signal handler, on any thread, with the first request to
 * end; at once when there has been one. NULL: no more.
 */
void signals_set_on_request(void (*fn)(int signo));

/** Called in the signal handler, on any thread, at each SIGINT that is no request
 * to end. NULL: no more. */
void signals_set_on_interrupt(void (*fn)(void));

/** Called in the signal handler before it ends the process: only what is safe
 * there, such as giving a terminal back. */
void signals_set_last_words(void (*fn)(void));

/**
 * Both in the signal handler. @a late: two seconds after a SIGQUIT nobody has called
 * signals_heard_quit(); on any thread. @a here: a SIGQUIT has come to this thread, @a context
 * is what it interrupts; true: it was sent by @a late, and is no question.
 */
void signals_set_on_quit(void (*late)(void), bool (*here)(const void *context));

/** Somebody is about to answer. Any thread. */
void signals_heard_quit(void);

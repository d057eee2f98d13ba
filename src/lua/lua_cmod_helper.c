/* Helper processes: their start, limits and end. See lua_cmod_helper.h. */
#include "lua/lua_cmod_helper.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/isolate_child.h"
#include "lua/lua_cmod_helper_talk.h"
#include "lua/lua_cmod_spawn.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum {
	CLOSE_MS = 2000, /* for the library's last words */
	END_MS = 500,    /* as CLOSE_MS, when the thread's loop has ended */
	KILL_MS = 1000,  /* a killed process is gone sooner than that */
};

static __thread struct list all;

static struct list *all_helpers(void)
{
	if (all.next == NULL)
		list_init(&all);
	return &all;
}

/* The state says, too, whether the loop goes on for the sake of this one. */
void lua_cmod_helper__set_state(struct lua_cmod_helper *h,
				enum lua_cmod_helper_state state)
{
	h->state = state;
	if (state == HELPER_IDLE ||
	    (state == HELPER_CLOSING && h->owner == NULL))
		uv_unref((uv_handle_t *)&h->watch);
	else if (state != HELPER_REAPED)
		uv_ref((uv_handle_t *)&h->watch);
}

bool lua_cmod_helper__is_working(const struct lua_cmod_helper *h)
{
	return h->state == HELPER_STARTING || h->state == HELPER_BUSY;
}

void lua_cmod_helper__stop_timer(struct lua_cmod_helper *h)
{
	timer_stop(&h->sched->timers, &h->timer);
}

/* All of its session: what the library has started dies with it. */
static void kill_session(struct lua_cmod_helper *h)
{
	if (kill(-h->pid, SIGKILL) != 0)
		kill(h->pid, SIGKILL);
}

void lua_cmod_helper__read_cpu(struct lua_cmod_helper *h)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(h->pid, &clock) != 0 ||
	    clock_gettime(clock, &t) != 0)
		return;
	h->cpu_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	h->read_ns = uv_hrtime();
}

static void begin_dying(struct lua_cmod_helper *h)
{
	lua_cmod_helper__stop_timer(h);
	uv_read_stop((uv_stream_t *)&h->pipe);
	kill_session(h);
	lua_cmod_helper__set_state(h, HELPER_DYING);
}

void lua_cmod_helper__fail(struct lua_cmod_helper *h, struct error *e)
{
	bool tell = lua_cmod_helper__is_working(h) && !h->quiet &&
		    h->owner != NULL;

	begin_dying(h);
	h->quiet = true;
	if (tell)
		h->owner->on_failed(h, e);
	else
		error_unref(e);
}

static void on_time(struct timer *t)
{
	struct lua_cmod_helper *h =
		list_entry(t, struct lua_cmod_helper, timer);
	double s = (double)h->limit_ns / 1e9;

	if (h->state == HELPER_DYING)
		h->lost = true;
	else if (h->state == HELPER_CLOSING)
		h->late = true;
	if (h->state >= HELPER_DYING)
		kill_session(h);
	else if (h->state == HELPER_STARTING)
		lua_cmod_helper__fail(
			h,
			error_new(&TimedOut, ER_TIMEOUT, NULL, 0,
				  "%s: its helper process has not loaded the "
				  "library within %g seconds and was killed",
				  h->name, s));
	else
		lua_cmod_helper__fail(
			h,
			error_new(&TimedOut, ER_TIMEOUT, NULL, 0,
				  "%s: it has not returned within %g seconds, "
				  "and its helper process was killed",
				  h->name, s));
}

void lua_cmod_helper__start_timer(struct lua_cmod_helper *h, uint64_t ns)
{
	uint64_t due;

	h->limit_ns = ns;
	if (!__builtin_add_overflow(uv_hrtime(), ns, &due))
		timer_start(&h->sched->timers, &h->timer, due, on_time);
}

/* --- its end --- */

static struct error *end_error(const struct lua_cmod_helper *h)
{
	const char *name, *text;

	if (h->lost ||
	    (h->exit_kind == CLD_EXITED && h->exit_value == ISOLATE_EXIT_LOST))
		return lua_cmod_helper__error(
			"%s: the function has closed descriptor %d, "
			"its helper process's connection to the "
			"server, or written to it",
			h->name, ISOLATE_SOCKET_FD);
	if (h->late)
		return lua_cmod_helper__error(
			"%s: its helper process has not closed the "
			"library within %g seconds, and was killed",
			h->name, CLOSE_MS / 1e3);
	if (h->exit_kind == CLD_EXITED)
		return lua_cmod_helper__error(
			"%s: its helper process has ended with exit "
			"code %d",
			h->name, h->exit_value);
	if (h->exit_value == SIGKILL)
		return lua_cmod_helper__error(
			"%s: its helper process died of SIGKILL "
			"(Killed from outside, as the kernel does "
			"when memory runs out)",
			h->name);
	name = sigabbrev_np(h->exit_value);
	text = sigdescr_np(h->exit_value);
	if (name == NULL || text == NULL)
		return lua_cmod_helper__error(
			"%s: its helper process died of signal %d", h->name,
			h->exit_value);
	return lua_cmod_helper__error(
		"%s: its helper process died of SIG%s (%s)", h->name, name,
		text);
}

static void on_closed(uv_handle_t *handle)
{
	struct lua_cmod_helper *h = handle->data;

	if (--h->handles > 0)
		return;
	close(h->pidfd);
	isolate_reader_destroy(&h->in);
	mem_free(h);
}

static void close_handles(struct lua_cmod_helper *h)
{
	lua_cmod_helper__stop_timer(h);
	uv_close((uv_handle_t *)&h->watch, on_closed);
	uv_close((uv_handle_t *)&h->pipe, on_closed);
}

/* It is a zombie until here: nobody else has its number, nor its session's. */
static void reap(struct lua_cmod_helper *h)
{
	siginfo_t si = { .si_pid = 0 };
	bool tell;

	kill_session(h);
	lua_cmod_helper__read_cpu(h);
	/* Whoever is told of them may want it killed: it must be there still. */
	lua_cmod_helper__read_last_words(h);
	while (waitid((idtype_t)P_PIDFD, (id_t)h->pidfd, &si, WEXITED) != 0 &&
	       errno == EINTR)
		;
	h->exit_kind = si.si_code;
	h->exit_value = si.si_status;
	tell = (lua_cmod_helper__is_working(h) || h->state == HELPER_DYING) &&
	       !h->quiet;
	lua_cmod_helper__set_state(h, HELPER_REAPED);
	list_del(&h->all);
	if (tell && h->owner != NULL)
		h->owner->on_failed(h, end_error(h));
	if (h->owner != NULL)
		h->owner->on_gone(h);
	close_handles(h);
}

static void on_watch(uv_poll_t *watch, int status, int events)
{
	struct lua_cmod_helper *h = watch->data;

	(void)status, (void)events;
	uv_poll_stop(watch);
	reap(h);
}

void lua_cmod_helper_kill(struct lua_cmod_helper *h)
{
	h->quiet = true;
	if (h->state < HELPER_DYING)
		begin_dying(h);
}

void lua_cmod_helper_close(struct lua_cmod_helper *h)
{
	int fd;

	h->quiet = true;
	if (h->state != HELPER_IDLE) {
		lua_cmod_helper_kill(h);
		return;
	}
	/* What it has to read is at its end; the library is closed then. */
	if (uv_fileno((uv_handle_t *)&h->pipe, &fd) == 0)
		shutdown(fd, SHUT_RDWR);
	uv_read_stop((uv_stream_t *)&h->pipe);
	lua_cmod_helper__set_state(h, HELPER_CLOSING);
	lua_cmod_helper__start_timer(h, CLOSE_MS * 1000000ull);
}

void lua_cmod_helper_disown(struct lua_cmod_helper *h)
{
	h->owner = NULL;
	h->work = NULL;
}

bool lua_cmod_helper_ended_well(const struct lua_cmod_helper *h)
{
	return h->state == HELPER_REAPED && h->exit_kind == CLD_EXITED &&
	       h->exit_value == 0;
}

struct error *lua_cmod_helper_end_error(const struct lua_cmod_helper *h)
{
	return end_error(h);
}

static bool wait_for_end(struct lua_cmod_helper *h, uint64_t until_ns)
{
	struct pollfd p = { .fd = h->pidfd, .events = POLLIN };
	uint64_t now;
	int n;

	do {
		now = uv_hrtime();
		n = poll(&p, 1,
			 now < until_ns ? (int)((until_ns - now) / 1000000) + 1
					: 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

void lua_cmod_helpers_end(void)
{
	uint64_t until = uv_hrtime() + END_MS * 1000000ull;

	list_foreach(link, all_helpers()) {
		struct lua_cmod_helper *h =
			list_entry(link, struct lua_cmod_helper, all);

		lua_cmod_helper_disown(h);
		if (h->state != HELPER_CLOSING)
			lua_cmod_helper_close(h);
	}
	list_foreach_safe(link, tmp, all_helpers()) {
		struct lua_cmod_helper *h =
			list_entry(link, struct lua_cmod_helper, all);

		if (!wait_for_end(h, until)) {
			kill_session(h);
			/* One that even so does not end is the kernel's. */
			if (!wait_for_end(h,
					  uv_hrtime() + KILL_MS * 1000000ull)) {
				list_del(&h->all);
				close_handles(h);
				continue;
			}
		}
		reap(h);
	}
}

unsigned lua_cmod_helpers_count(void)
{
	unsigned n = 0;

	list_foreach(link, all_helpers())
		n++;
	return n;
}

/* --- its start --- */

static struct lua_cmod_helper *make(const struct lua_cmod_helper_job *job)
{
	static const char what[] = "function '' of module ''";
	size_t size =
		sizeof what + strlen(job->library.path) + strlen(job->symbol);
	struct lua_cmod_helper *h = mem_zalloc(sizeof *h + size);

	if (h == NULL) {
		diag_set_oom(sizeof *h + size, "a helper process");
		return NULL;
	}
	if (job->symbol[0] != '\0')
		snprintf(h->name, size, "function '%s' of module '%s'",
			 job->symbol, job->library.path);
	else
		snprintf(h->name, size, "module '%s'", job->library.path);
	list_init(&h->link);
	h->in.size_max = job->answer_max;
	h->pidfd = -1;
	return h;
}

/* Takes over the socket. Its handles are open from here on, all or none. */
static int open_handles(struct lua_cmod_helper *h, int fd)
{
	uv_loop_t *loop = &h->sched->loop->uv;
	int rc = uv_poll_init(loop, &h->watch, h->pidfd);

	if (rc != 0) {
		close(fd);
		return rc;
	}
	h->watch.data = h->pipe.data = h;
	h->handles = 2;
	uv_pipe_init(loop, &h->pipe, 0);
	uv_unref((uv_handle_t *)&h->pipe);
	rc = uv_pipe_open(&h->pipe, fd);
	if (rc != 0)
		close(fd);
	else
		rc = uv_poll_start(&h->watch, UV_READABLE, on_watch);
	return rc != 0 ? rc : lua_cmod_helper__listen(h);
}

static int send_load(struct lua_cmod_helper *h,
		     const struct lua_cmod_helper_job *job)
{
	const struct isolate_names names = { job->library.path,
					     job->library.file, job->symbol };
	struct buf body = { NULL };
	int rc = isolate_put_load(&body, job->memory, &names);

	if (rc == 0)
		rc = lua_cmod_helper__send(h, ISOLATE_LOAD, &body);
	buf_destroy(&body);
	return rc;
}

/* A process that came to nothing. */
static void give_up(struct lua_cmod_helper *h)
{
	kill_session(h);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (h->handles > 0) {
		close_handles(h);
		return;
	}
	close(h->pidfd);
	mem_free(h);
}

struct lua_cmod_helper *
lua_cmod_helper_start(struct sched *sched,
		      const struct lua_cmod_helper_job *job,
		      const struct lua_cmod_helper_owner *owner, void *arg)
{
	struct lua_cmod_helper *h;
	int rc, fd;

	if (job->library.fd < 0) {
		diag_set_code(ClientError, ER_PROC_C,
			      "no helper process for module '%s': this system "
			      "has no memory files to hand the library over",
			      job->library.path);
		return NULL;
	}
	h = make(job);
	if (h == NULL)
		return NULL;
	h->sched = sched;
	rc = lua_cmod_spawn(job->library.fd, job->symbol, job->library.file,
			    &fd, &h->pid, &h->pidfd);
	if (rc != 0) {
		diag_set_system(rc, "cannot start a helper process for %s",
				h->name);
		mem_free(h);
		return NULL;
	}
	rc = open_handles(h, fd);
	if (rc == 0)
		rc = send_load(h, job);
	if (rc != 0) {
		diag_set_system(rc, "cannot talk to the helper process of %s",
				h->name);
		give_up(h);
		return NULL;
	}
	h->owner = owner;
	h->arg = arg;
	list_add_tail(all_helpers(), &h->all);
	lua_cmod_helper__set_state(h, HELPER_STARTING);
	lua_cmod_helper__start_timer(h, job->timeout_ns);
	return h;
}

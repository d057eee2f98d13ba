/* Calls on threads of their own. See offload.h. */
#include "cmod/offload.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/cpu.h"
#include "cmod/crash.h"
#include "cmod/exceptions.h"
#include "neap/module.h"

struct offload *offload_new(struct cmod_func *func)
{
	struct offload *o = mem_zalloc(sizeof *o);

	if (o == NULL) {
		diag_set_oom(sizeof *o, "an offloaded call");
		return NULL;
	}
	call_init(&o->call);
	o->call.flags = CALL_OFFLOADED;
	o->call.func = cmod_func_ref(func);
	atomic_init(&o->cancelled, false);
	atomic_init(&o->wake_fd, -1);
	return o;
}

void offload_delete(struct offload *o)
{
	int fd = atomic_load(&o->wake_fd);

	if (fd >= 0)
		close(fd);
	buf_destroy(&o->call.in);
	buf_destroy(&o->call.out);
	error_unref(o->call.error);
	cmod_func_unref(o->call.func);
	/* What the end of a library left behind goes: this may be a thread's
	 * last act. */
	call_outside_begin();
	mem_free(o);
}

/* The lowest byte of this thread's stack; asked once, for it is slow. */
static char *stack_base(void)
{
	static __thread char *base;
	pthread_attr_t attr;
	void *address;
	size_t size;

	if (base != NULL || pthread_getattr_np(pthread_self(), &attr) != 0)
		return base;
	if (pthread_attr_getstack(&attr, &address, &size) == 0)
		base = address;
	pthread_attr_destroy(&attr);
	return base;
}

void offload_run(struct offload *o)
{
	/* Where the report of an overflow is made: far from the end that is
	 * overflown. */
	char signal_stack[CRASH_STACK_SIZE];
	struct neap_call *c = &o->call;
	uint64_t begin;

	crash_enter_thread(signal_stack, sizeof signal_stack);
	c->stack.base = stack_base();
	call_current = c;
	begin = cpu_begin();
	c->stack.result = exceptions_border(cmod_func_code(c->func), c,
					    c->in.data,
					    c->in.data + c->in.size);
	cmod_func_count_cpu(c->func, cpu_end(begin));
	call_current = NULL;
	crash_leave_thread();
	diag_clear();
}

void offload_cancel(struct offload *o)
{
	const uint64_t one = 1;
	ssize_t ignored;
	int fd;

	/* The other order than in wake_fd(): one of the two sees the other. */
	atomic_store(&o->cancelled, true);
	fd = atomic_load(&o->wake_fd);
	if (fd >= 0) {
		ignored = write(fd, &one, sizeof one);
		(void)ignored;
	}
}

struct offload *offload_current(void)
{
	struct neap_call *c = call_current;

	if (c == NULL || !(c->flags & CALL_OFFLOADED))
		return NULL;
	return (struct offload *)((char *)c - offsetof(struct offload, call));
}

/*
 * -1 with diag set when it is cancelled. A function that goes on asking instead
 * of ending must not take a processor for itself.
 */
int offload_check(struct offload *o, bool deaf)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	if (deaf || !atomic_load(&o->cancelled))
		return 0;
	if (o->refused)
		nanosleep(&pause, NULL);
	o->refused = true;
	diag_set(FiberIsCancelled, "fiber is cancelled");
	return -1;
}

/* What becomes readable when the call is cancelled from now on. */
static int wake_fd(struct offload *o)
{
	int fd = atomic_load(&o->wake_fd);

	if (fd >= 0)
		return fd;
	fd = inject("cmod.eventfd") ? -EMFILE : eventfd(0, EFD_CLOEXEC);
	if (fd < 0) {
		diag_set_system(fd == -1 ? errno : -fd,
				"wait in an offloaded call");
		return -1;
	}
	atomic_store(&o->wake_fd, fd);
	return fd;
}

/*
 * Poll @a p, and unless deaf the cancel, which p[0] is for. Returns what poll()
 * does with p[0] left out, or -1 with diag set.
 */
static int block(struct offload *o, struct pollfd *p, nfds_t count,
		 uint64_t timeout_ns, bool deaf)
{
	uint64_t now = uv_hrtime(), end, left;
	struct timespec ts;
	int rc;

	p[0].fd = deaf ? -1 : wake_fd(o);
	p[0].events = POLLIN;
	if (!deaf && p[0].fd < 0)
		return -1;
	if (__builtin_add_overflow(now, timeout_ns, &end))
		end = UINT64_MAX;
	do {
		if (offload_check(o, deaf) != 0)
			return -1;
		now = uv_hrtime();
		left = now < end ? end - now : 0;
		ts.tv_sec = (time_t)(left / 1000000000u);
		ts.tv_nsec = (long)(left % 1000000000u);
		rc = ppoll(p, count, end == UINT64_MAX ? NULL : &ts, NULL);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		diag_set_system(errno, "wait in an offloaded call");
		return -1;
	}
	return offload_check(o, deaf) != 0 ? -1 : rc;
}

int offload_sleep(struct offload *o, uint64_t ns, bool deaf)
{
	struct pollfd p[1];

	return block(o, p, 1, ns, deaf) < 0 ? -1 : 0;
}

int offload_yield(struct offload *o, bool deaf)
{
	if (offload_check(o, deaf) != 0)
		return -1;
	sched_yield();
	return 0;
}

int offload_wait_fd(struct offload *o, int fd, int events, uint64_t timeout_ns,
		    bool deaf)
{
	struct pollfd p[2] = { [1] = { .fd = fd } };
	int got = 0;

	/* poll() passes over those below zero. */
	if (fd < 0) {
		diag_set_system(EBADF, "cannot wait for descriptor %d", fd);
		return -1;
	}
	if (events & NEAP_READ)
		p[1].events |= POLLIN;
	if (events & NEAP_WRITE)
		p[1].events |= POLLOUT;
	if (block(o, p, 2, timeout_ns, deaf) < 0)
		return -1;
	if (p[1].revents & POLLNVAL) {
		diag_set_system(EBADF, "cannot wait for descriptor %d", fd);
		return -1;
	}
	if (p[1].revents & (POLLIN | POLLHUP | POLLERR))
		got |= NEAP_READ;
	if (p[1].revents & (POLLOUT | POLLHUP | POLLERR))
		got |= NEAP_WRITE;
	return got & events;
}

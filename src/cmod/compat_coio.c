/* The functions of neap/compat/module.h: descriptors, threads, addresses. */
#include "cmod/compat.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod/wait.h"

int neap_compat_coio_wait(int fd, int event, double timeout)
{
	struct stat st;
	int events;

	/* A plain file is always ready, and no event loop will say so. */
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return event;
	events = wait_fd(fd, event, timeout, compat_is_deaf());
	return events < 0 ? 0 : events;
}

int neap_compat_coio_close(int fd)
{
	/* Who waits for it must not wait for the next one of that number. */
	if (wait_host() != NULL)
		wait_host()->close_fd(fd);
	return close(fd);
}

struct coio_job {
	struct cmod_job job;
	ssize_t (*func)(va_list ap);
	va_list *list;
	ssize_t result;
	int saved_errno;
	struct error *error; /* that func has set there, or NULL */
};

static void run_coio(struct cmod_job *job)
{
	struct coio_job *j = (struct coio_job *)job; /* job comes first */

	call_outside_begin();
	errno = 0;
	j->result = j->func(*j->list);
	j->saved_errno = errno;
	j->error = call_take_outside_error();
}

static void drop_coio(struct cmod_job *job)
{
	error_unref(((struct coio_job *)job)->error);
}

ssize_t neap_compat_coio_call(ssize_t (*func)(va_list ap), ...)
{
	struct coio_job j = { .job = { run_coio, drop_coio, true },
			      .func = func };
	va_list ap;
	int rc;

	va_start(ap, func);
	j.list = &ap;
	rc = wait_job(&j.job);
	va_end(ap);
	if (rc != 0) {
		errno = ENOMEM;
		return -1;
	}
	if (j.error != NULL)
		call_set_error(j.error);
	errno = j.saved_errno;
	return j.result;
}

int neap_compat_coio_getaddrinfo(const char *host, const char *port,
				 const struct addrinfo *hints,
				 struct addrinfo **res, double timeout)
{
	return wait_lookup(host, port, hints, res, timeout < 0 ? 0 : timeout,
			   compat_is_deaf());
}

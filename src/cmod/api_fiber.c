/* The functions of neap/module.h: fibers made in C. See there. */
#include "neap/module.h"

#include <stdbool.h>
#include <stddef.h>

#include "cmod/call.h"
#include "cmod/cfiber.h"
#include "cmod/host.h"
#include "cmod/wait.h"

/* A neap_fiber_t is a struct fiber, of which modules know nothing. */
static struct fiber *fiber_of(neap_fiber_t *f)
{
	return (struct fiber *)(void *)f;
}

int neap_fiber_start(const char *name, int (*fn)(void *arg), void *arg,
		     neap_fiber_t **fiber)
{
	struct cfiber_body body = { .with_arg = fn, .arg = arg };
	struct fiber *f = cfiber_new(name, 0, &body);

	if (f == NULL)
		return -1;
	if (fiber != NULL) {
		cfiber_set_joinable(f, true);
		*fiber = (neap_fiber_t *)(void *)f;
	}
	cfiber_start(f, NULL);
	return 0;
}

int neap_fiber_join(neap_fiber_t *fiber, double timeout, int *result)
{
	bool ended;
	int rc = cfiber_join(fiber_of(fiber), timeout, &ended);

	if (ended && result != NULL)
		*result = rc;
	return rc == 0 ? 0 : -1;
}

void neap_fiber_cancel(neap_fiber_t *fiber)
{
	if (wait_host() != NULL)
		wait_host()->cancel(fiber_of(fiber));
}

int neap_fiber_is_cancelled(void)
{
	return wait_is_cancelled();
}

/* Code of a module that runs outside a call. See outside.h. */
#include "cmod/outside.h"

#include <fenv.h>

#include "cmod/crash.h"
#include "cmod/exceptions.h"

struct outside {
	fenv_t floating;
};

static void enter(struct outside *o, const char *place, const char *file)
{
	fegetenv(&o->floating);
	crash_enter_module(place, file);
}

static void leave(const struct outside *o)
{
	crash_leave_module();
	fesetenv(&o->floating);
}

void outside_loader(const char *place, const char *file,
		    void (*code)(void *arg), void *arg)
{
	struct outside o;

	enter(&o, place, file);
	exceptions_wall(code, arg);
	leave(&o);
}

/* As a function of a module looks: what it is called with leads to the other. */
static int run_init(struct neap_call *call, const char *arg, const char *none)
{
	int (*const *init)(void) = (const void *)arg;

	(void)call, (void)none;
	return (*init)();
}

static int run_fini(struct neap_call *call, const char *arg, const char *none)
{
	void (*const *fini)(void) = (const void *)arg;

	(void)call, (void)none;
	(*fini)();
	return 0;
}

int outside_init(const char *file, int (*init)(void))
{
	struct outside o;
	int rc;

	enter(&o, "the init function", file);
	rc = exceptions_border(run_init, NULL, (const char *)&init, NULL);
	leave(&o);
	return rc;
}

int outside_fini(const char *file, void (*fini)(void))
{
	struct outside o;
	int rc;

	enter(&o, "the fini function", file);
	rc = exceptions_border(run_fini, NULL, (const char *)&fini, NULL);
	leave(&o);
	return rc;
}

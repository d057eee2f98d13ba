/* What neap/compat/module.h links its names to. The types differ in name only:
 * a box_function_ctx_t is a call. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "neap/module.h"

struct addrinfo;
struct cond; /* a struct fiber_cond there */
struct error;
struct fiber;
struct fiber_attr;

#define COMPAT NEAP_EXPORT

COMPAT int neap_compat_box_return_mp(neap_call_t *call, const char *mp,
				     const char *mp_end);
COMPAT const char *neap_compat_box_error_type(const struct error *e);
COMPAT uint32_t neap_compat_box_error_code(const struct error *e);
COMPAT const char *neap_compat_box_error_message(const struct error *e);
COMPAT struct error *neap_compat_box_error_last(void);
COMPAT void neap_compat_box_error_clear(void);
COMPAT int neap_compat_box_error_set(const char *file, unsigned line,
				     uint32_t code, const char *format, ...)
	NEAP_PRINTF(4, 5);
COMPAT struct fiber *neap_compat_fiber_self(void);
COMPAT void neap_compat_fiber_sleep(double s);
COMPAT void neap_compat_fiber_yield(void);
COMPAT void neap_compat_fiber_reschedule(void);
COMPAT void neap_compat_fiber_wakeup(struct fiber *f);
COMPAT void neap_compat_fiber_cancel(struct fiber *f);
COMPAT bool neap_compat_fiber_is_cancelled(void);
COMPAT bool neap_compat_fiber_set_cancellable(bool yes);
COMPAT struct fiber *neap_compat_fiber_new(const char *name,
					   int (*f)(va_list ap));
COMPAT struct fiber *neap_compat_fiber_new_ex(const char *name,
					      const struct fiber_attr *attr,
					      int (*f)(va_list ap));
COMPAT void neap_compat_fiber_start(struct fiber *f, ...);
COMPAT void neap_compat_fiber_set_joinable(struct fiber *f, bool yes);
COMPAT int neap_compat_fiber_join(struct fiber *f);
COMPAT int neap_compat_fiber_join_timeout(struct fiber *f, double timeout);
COMPAT struct fiber_attr *neap_compat_fiber_attr_new(void);
COMPAT void neap_compat_fiber_attr_delete(struct fiber_attr *a);
COMPAT int neap_compat_fiber_attr_setstacksize(struct fiber_attr *a,
					       size_t size);
COMPAT size_t neap_compat_fiber_attr_getstacksize(struct fiber_attr *a);
COMPAT struct cond *neap_compat_fiber_cond_new(void);
COMPAT void neap_compat_fiber_cond_delete(struct cond *c);
COMPAT void neap_compat_fiber_cond_signal(struct cond *c);
COMPAT void neap_compat_fiber_cond_broadcast(struct cond *c);
COMPAT int neap_compat_fiber_cond_wait_timeout(struct cond *c, double timeout);
COMPAT int neap_compat_fiber_cond_wait(struct cond *c);
COMPAT uint64_t neap_compat_fiber_time64(void);
COMPAT uint64_t neap_compat_fiber_clock64(void);
COMPAT int neap_compat_coio_wait(int fd, int event, double timeout);
COMPAT int neap_compat_coio_close(int fd);
COMPAT ssize_t neap_compat_coio_call(ssize_t (*func)(va_list ap), ...);
COMPAT int neap_compat_coio_getaddrinfo(const char *host, const char *port,
					const struct addrinfo *hints,
					struct addrinfo **res, double timeout);
COMPAT double neap_compat_clock_realtime(void);
COMPAT double neap_compat_clock_monotonic(void);
COMPAT double neap_compat_clock_process(void);
COMPAT double neap_compat_clock_thread(void);
COMPAT uint64_t neap_compat_clock_realtime64(void);
COMPAT uint64_t neap_compat_clock_monotonic64(void);
COMPAT uint64_t neap_compat_clock_process64(void);
COMPAT uint64_t neap_compat_clock_thread64(void);
COMPAT bool neap_compat_say_log_level_is_enabled(int level);
COMPAT void neap_compat_say(int level, const char *file, int line,
			    const char *error, const char *format, ...)
	NEAP_PRINTF(5, 6);

/**
 * A wait of the peer's kind is not ended by a cancel: its fibers wait as before
 * once they have been cancelled (loops that do not look at fiber_is_cancelled()
 * are written with that in mind), and fiber_set_cancellable(false) says so.
 */
bool compat_is_deaf(void);

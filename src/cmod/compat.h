/* What neap/compat/module.h links its names to. The types differ in name only:
 * a box_function_ctx_t is a call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "neap/module.h"

struct error;
struct fiber;

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
COMPAT uint64_t neap_compat_fiber_time64(void);
COMPAT uint64_t neap_compat_fiber_clock64(void);
COMPAT int neap_compat_coio_wait(int fd, int event, double timeout);
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

/*
 * The functions of neap/compat/module.h: calls, errors, clocks, the log. That
 * header gives each a name of the peer's and links it to one of these. Fibers
 * are in compat_fiber.c, descriptors and threads in compat_coio.c.
 */
#include "cmod/compat.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/log.h"
#include "cmod/call.h"

int neap_compat_box_return_mp(neap_call_t *call, const char *mp,
			      const char *mp_end)
{
	return neap_return_mp(call, mp, mp_end);
}

const char *neap_compat_box_error_type(const struct error *e)
{
	return e->type->name;
}

uint32_t neap_compat_box_error_code(const struct error *e)
{
	return e->code;
}

const char *neap_compat_box_error_message(const struct error *e)
{
	return e->message;
}

struct error *neap_compat_box_error_last(void)
{
	return call_last_error();
}

void neap_compat_box_error_clear(void)
{
	call_set_error(NULL);
}

int neap_compat_box_error_set(const char *file, unsigned line, uint32_t code,
			      const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	call_set_errorv(file, line, code, format, ap);
	va_end(ap);
	return -1;
}

uint64_t neap_compat_clock_realtime64(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t neap_compat_clock_monotonic64(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t neap_compat_clock_process64(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t neap_compat_clock_thread64(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double neap_compat_clock_realtime(void)
{
	return clock_ns(CLOCK_REALTIME) / 1e9;
}

double neap_compat_clock_monotonic(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1e9;
}

double neap_compat_clock_process(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

double neap_compat_clock_thread(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
}

uint64_t neap_compat_fiber_time64(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000;
}

uint64_t neap_compat_fiber_clock64(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

bool neap_compat_say_log_level_is_enabled(int level)
{
	return level <= (int)log_level;
}

void neap_compat_say(int level, const char *file, int line, const char *error,
		     const char *format, ...)
{
	char text[4096];
	va_list ap;
	int n;

	if (level < 0 || level >= LOG_LEVEL_COUNT)
		level = LOG_ERROR;
	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (error == NULL)
		log_write((enum log_level)level, file, (unsigned)line, "%s",
			  text);
	else
		log_write((enum log_level)level, file, (unsigned)line, "%s: %s",
			  text, error);
}

/* The functions of neap/module.h but for fibers, api_fiber.c. See there. */
#include "neap/module.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/host.h"
#include "cmod/wait.h"

/* Most results are a few bytes, less than a call of memcpy() is worth. */
static inline void copy_short(char *to, const char *from, size_t size)
{
	uint64_t first, last;

	if (__builtin_expect(size == 1, 1)) {
		*to = *from;
	} else if (size - 8 <= 8) {
		memcpy(&first, from, 8);
		memcpy(&last, from + size - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + size - 8, &last, 8);
	} else if (size != 0) {
		memcpy(to, from, size);
	}
}

/* Why there is no room for a result of @a size bytes. Returns -1. */
static int refuse_result(const struct neap_call *call, size_t size)
{
	const struct buf *out = &call->out;
	size_t need;

	if (!__builtin_add_overflow(size, sizeof(call_size_t), &need) &&
	    need <= out->limit - out->size) {
		diag_set_oom(size, "a result");
		return call_set_error(diag_take());
	}
	return NEAP_ERR("result %u has %zu bytes: at most %zu are allowed for "
			"all results of a call, and %zu are taken; give it in "
			"parts, by several calls",
			call->results + 1, size, out->limit, out->size);
}

/* What a result takes besides the short way: more memory, or a no. */
static __attribute__((noinline, cold)) int
return_long(neap_call_t *call, const char *begin, const char *end)
{
	size_t size = (uintptr_t)end - (uintptr_t)begin;

	if (call != call_current || call == NULL)
		return NEAP_ERR("neap_return_mp: not the call that runs");
	if (begin > end)
		return NEAP_ERR("neap_return_mp: the end of result %u lies "
				"before its begin",
				call->results + 1);
	if (size != (call_size_t)size ||
	    buf_reserve(&call->out, sizeof(call_size_t) + size) == NULL)
		return refuse_result(call, size);
	return neap_return_mp(call, begin, end);
}

int neap_return_mp(neap_call_t *call, const char *begin, const char *end)
{
	/* (Of pointers the compiler would know that it is not that large.) */
	size_t size = (uintptr_t)end - (uintptr_t)begin;
	call_size_t head = (call_size_t)size;
	size_t need;
	char *p;

	/* There is no room for what a call_size_t cannot tell. */
	if (__builtin_expect(
		    call != call_current || call == NULL || begin > end ||
			    __builtin_add_overflow(size, sizeof head, &need) ||
			    need > call->out.capacity - call->out.size,
		    0))
		return return_long(call, begin, end);
	p = call->out.data + call->out.size;
	call->out.size += need;
	call->results++;
	memcpy(p, &head, sizeof head);
	copy_short(p + sizeof head, begin, size);
	return 0;
}

int neap_error_set(const char *file, unsigned line, uint32_t code,
		   const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	call_set_errorv(file, line, code, format, ap);
	va_end(ap);
	return -1;
}

int neap_fiber_sleep(double seconds)
{
	return wait_sleep(seconds, false);
}

int neap_fiber_yield(void)
{
	return wait_yield(false);
}

int neap_wait_fd(int fd, int events, double timeout)
{
	return wait_fd(fd, events, timeout, false);
}

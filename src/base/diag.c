/* Error objects and the diag of a thread. See diag.h. */
#include "base/diag.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/inject.h"

const struct error_type IllegalParams = { "IllegalParams", ER_ILLEGAL_PARAMS };
const struct error_type SystemError = { "SystemError", ER_SYSTEM };
const struct error_type ClientError = { "ClientError", ER_UNKNOWN };
const struct error_type OutOfMemory = { "OutOfMemory", ER_MEMORY_ISSUE };
const struct error_type LuaError = { "LuaError", ER_PROC_LUA };
const struct error_type FiberIsCancelled = { "FiberIsCancelled", ER_UNKNOWN };
const struct error_type TimedOut = { "TimedOut", ER_UNKNOWN };
const struct error_type LimitExceeded = { "LimitExceeded", ER_UNKNOWN };
const struct error_type MessagesMissed = { "MessagesMissed", ER_UNKNOWN };
const struct error_type FiberSliceIsExceeded = { "FiberSliceIsExceeded",
						 ER_UNKNOWN };

/* What is reported when there is no memory for a report. */
static struct {
	struct error error;
	char message[24];
} oom = { { .type = &OutOfMemory, .code = ER_MEMORY_ISSUE, .file = "" },
	  "not enough memory" };

static __thread struct error *diag;

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

struct error *error_newv(const struct error_type *type, uint32_t code,
			 const char *file, unsigned line, const char *fmt,
			 va_list ap)
{
	struct error *e;
	size_t file_size;
	va_list again;
	int len;

	file = file == NULL ? "" : base_name(file);
	file_size = strlen(file) + 1;
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0)
		len = 0;
	e = mem_alloc(sizeof *e + (size_t)len + 1 + file_size);
	if (e == NULL)
		return &oom.error;
	e->type = type;
	e->refs = 1;
	e->code = code;
	e->saved_errno = 0;
	e->missed_from = e->missed_to = 0;
	e->line = line;
	e->cause = NULL;
	vsnprintf(e->message, (size_t)len + 1, fmt, ap);
	e->message[len] = '\0';
	e->file = e->message + len + 1;
	memcpy(e->file, file, file_size);
	return e;
}

struct error *error_new(const struct error_type *type, uint32_t code,
			const char *file, unsigned line, const char *fmt, ...)
{
	struct error *e;
	va_list ap;

	va_start(ap, fmt);
	e = error_newv(type, code, file, line, fmt, ap);
	va_end(ap);
	return e;
}

struct error *error_missed(const char *name, uint64_t from, uint64_t to)
{
	struct error *e = error_new(
		&MessagesMissed, MessagesMissed.code, __FILE__, __LINE__,
		"broadcast '%s': messages %llu to %llu are not kept any more",
		name, (unsigned long long)from, (unsigned long long)to);

	if (e->type == &MessagesMissed) { /* there was memory for it */
		e->missed_from = from;
		e->missed_to = to;
	}
	return e;
}

/* Codes of libuv's own, which strerror() does not know. */
static const char *uv_code_text(int err)
{
	static const struct {
		int code;
		const char *text;
	} texts[] = {
		{ 4095, "end of file" },
		{ 4094, "unknown error" },
		{ 4080, "invalid Unicode character" },
		{ 3000, "address family not supported" },
		{ 3001, "temporary failure" },
		{ 3002, "bad address flags" },
		{ 3003, "request cancelled" },
		{ 3004, "permanent failure" },
		{ 3005, "address family not supported" },
		{ 3006, "out of memory" },
		{ 3007, "no address" },
		{ 3008, "unknown node or service" },
		{ 3009, "argument buffer overflow" },
		{ 3010, "service not available for the socket type" },
		{ 3011, "socket type not supported" },
		{ 3013, "invalid value for hints" },
		{ 3014, "protocol not supported" },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (texts[i].code == err)
			return texts[i].text;
	}
	return NULL;
}

struct error *error_system(int err, const char *file, unsigned line,
			   const char *fmt, ...)
{
	char what[1024], buf[128];
	const char *why;
	struct error *e;
	va_list ap;

	if (err < 0)
		err = -err;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	why = uv_code_text(err);
	if (why == NULL)
		why = strerror_r(err, buf, sizeof buf);
	e = error_new(&SystemError, SystemError.code, file, line, "%s: %s",
		      what, why);
	if (e != &oom.error)
		e->saved_errno = err;
	return e;
}

struct error *error_ref(struct error *e)
{
	if (e != &oom.error)
		__atomic_fetch_add(&e->refs, 1, __ATOMIC_RELAXED);
	return e;
}

void error_unref(struct error *e)
{
	struct error *cause;

	/* A chain of causes is freed in a loop: it may be long. */
	while (e != NULL && e != &oom.error &&
	       __atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		cause = e->cause;
		mem_free(e);
		e = cause;
	}
}

void error_set_cause(struct error *e, struct error *cause)
{
	if (e == &oom.error || e == cause) {
		error_unref(cause);
		return;
	}
	error_unref(e->cause);
	e->cause = cause;
}

void diag_set_error(struct error *e)
{
	error_unref(diag);
	diag = e;
}

struct error *diag_last(void)
{
	return diag;
}

struct error *diag_take(void)
{
	struct error *e = diag;

	assert(e != NULL && "a call failed without an error");
	if (e == NULL)
		return error_new(&ClientError, ER_UNKNOWN, NULL, 0,
				 "unknown error: none was recorded");
	diag = NULL;
	return e;
}

void diag_clear(void)
{
	diag_set_error(NULL);
}

/*
 * The functions of test/cmod/bench.c, as the peer wants them: nothing, the sum
 * of two small numbers, and one argument back. `make bench` compiles it.
 */
#include <msgpuck.h>
#include <stdint.h>
#include <tarantool/module.h>

int noop(box_function_ctx_t *ctx, const char *args, const char *args_end);
int sum(box_function_ctx_t *ctx, const char *args, const char *args_end);
int echo(box_function_ctx_t *ctx, const char *args, const char *args_end);

enum { SIZE_OF_UINT = 9 };

static int refuse(unsigned line, const char *text)
{
	return box_error_set(__FILE__, line, ER_PROC_C, "%s", text);
}

int noop(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	(void)ctx;
	(void)args;
	(void)args_end;
	return 0;
}

int sum(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	char out[SIZE_OF_UINT], *end;
	uint64_t a;

	(void)args_end;
	if (mp_typeof(*args) != MP_ARRAY || mp_decode_array(&args) != 2)
		return refuse(__LINE__, "sum takes two numbers");
	if (mp_typeof(*args) != MP_UINT)
		return refuse(__LINE__, "sum takes unsigned numbers");
	a = mp_decode_uint(&args);
	if (mp_typeof(*args) != MP_UINT)
		return refuse(__LINE__, "sum takes unsigned numbers");
	end = mp_encode_uint(out, a + mp_decode_uint(&args));
	return box_return_mp(ctx, out, end);
}

int echo(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	if (mp_typeof(*args) != MP_ARRAY || mp_decode_array(&args) != 1)
		return refuse(__LINE__, "echo takes one argument");
	return box_return_mp(ctx, args, args_end);
}

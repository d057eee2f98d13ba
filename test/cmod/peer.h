/*
 * For sources written as for Tarantool's module.h, which use every name of a
 * group: each function gives 0, or the line at which something was not as
 * expected.
 */
#include <neap/compat/module.h>
#include <msgpuck.h>

#define FUNCTION(name)                                       \
	__attribute__((__visibility__("default"))) int name( \
		box_function_ctx_t *ctx, const char *args,   \
		const char *args_end);                       \
	int name(box_function_ctx_t *ctx, const char *args,  \
		 const char *args_end)

/* The line of the first failure, as the result. */
#define EXPECT(x)                                   \
	do {                                        \
		if (!(x))                           \
			return give(ctx, __LINE__); \
	} while (0)

static int give(box_function_ctx_t *ctx, int64_t n)
{
	char res[16] = "";

	return box_return_mp(ctx, res,
			     n < 0 ? mp_encode_int(res, n)
				   : mp_encode_uint(res, (uint64_t)n));
}

/*
 * The functions that `make bench` calls: nothing, the sum of two small
 * numbers, and one argument back.
 */
#include <neap/module.h>

NEAP_EXPORT int noop(neap_call_t *call, const char *args, const char *args_end);
NEAP_EXPORT int sum(neap_call_t *call, const char *args, const char *args_end);
NEAP_EXPORT int echo(neap_call_t *call, const char *args, const char *args_end);

int noop(neap_call_t *call, const char *args, const char *args_end)
{
	(void)call;
	(void)args;
	(void)args_end;
	return 0;
}

/* An unsigned number of up to 32 bits; NULL: something else. */
static const char *read_uint(const char *p, const char *end, uint64_t *value)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t size;

	if (p == end)
		return NULL;
	if (*u < 0x80) {
		*value = *u;
		return p + 1;
	}
	if (*u < 0xcc || *u > 0xce)
		return NULL;
	size = (size_t)1 << (*u - 0xcc);
	if ((size_t)(end - p) < 1 + size)
		return NULL;
	*value = 0;
	for (size_t i = 1; i <= size; i++)
		*value = *value << 8 | u[i];
	return p + 1 + size;
}

int sum(neap_call_t *call, const char *args, const char *args_end)
{
	uint64_t a, b;
	char out[9] = { (char)0xcf };

	/* An array of two. */
	if (args == args_end || *args != (char)0x92)
		return NEAP_ERR("sum takes two numbers");
	args = read_uint(args + 1, args_end, &a);
	if (args == NULL || read_uint(args, args_end, &b) == NULL)
		return NEAP_ERR("sum takes unsigned numbers of 32 bits");
	a += b;
	if (a < 0x80) {
		out[0] = (char)a;
		return neap_return_mp(call, out, out + 1);
	}
	for (int i = 8; i > 0; i--, a >>= 8)
		out[i] = (char)(a & 0xff);
	return neap_return_mp(call, out, out + 9);
}

int echo(neap_call_t *call, const char *args, const char *args_end)
{
	/* What stands behind the head of an array of one. */
	if (args == args_end || *args != (char)0x91)
		return NEAP_ERR("echo takes one argument");
	return neap_return_mp(call, args + 1, args_end);
}

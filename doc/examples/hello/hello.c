/*
 * The C half of the example: sum(a, b) returns the sum of two integers and the
 * name of this build. Build it again while the server runs, with another name,
 * and the next request is answered by it:
 *
 *	cc -shared -fPIC -I../../../src/include -DHELLO_BUILD='"second"' \
 *		-o hello.so hello.c
 *
 * Arguments come and results go as MessagePack. A module of your own takes a
 * library for that, msgpack-c or msgpuck; two integers are read by hand here,
 * so that the compiler alone can build this file.
 */
#include <neap/module.h>
#include <string.h>

#ifndef HELLO_BUILD
#define HELLO_BUILD "first"
#endif

NEAP_MODULE("hello", "1.0", NULL, NULL);

/* First bytes of MessagePack values. */
enum {
	MP_ARRAY = 0x90, /* of up to 15, their number in the low bits */
	MP_STR8 = 0xd9,
	MP_UINT8 = 0xcc, /* then 16, 32 and 64 bits */
	MP_INT8 = 0xd0,
	MP_INT64 = 0xd3,
	MP_NEGATIVE = 0xe0, /* -32 .. -1 in one byte */
};

/*
 * Read an integer at p. Returns what stands behind it, or NULL: no integer,
 * or one that does not fit.
 */
static const char *read_int(const char *p, const char *end, int64_t *ret_value)
{
	unsigned char head;
	uint64_t bits = 0;
	int is_signed;
	size_t size;

	if (p == end)
		return NULL;
	head = (unsigned char)*p++;
	if (head < 0x80 || head >= MP_NEGATIVE) {
		*ret_value = (signed char)head;
		return p;
	}
	if (head < MP_UINT8 || head > MP_INT64)
		return NULL;
	is_signed = head >= MP_INT8;
	size = (size_t)1 << (head - (is_signed ? MP_INT8 : MP_UINT8));
	if ((size_t)(end - p) < size)
		return NULL;
	if (is_signed && (*p & 0x80) != 0)
		bits = ~bits;
	for (size_t i = 0; i < size; i++)
		bits = bits << 8 | (unsigned char)p[i];
	if (!is_signed && bits > INT64_MAX)
		return NULL;
	*ret_value = (int64_t)bits;
	return p + size;
}

static int return_int(neap_call_t *call, int64_t value)
{
	uint64_t bits = (uint64_t)value;
	char out[9] = { (char)MP_INT64 };

	for (int i = 8; i > 0; i--, bits >>= 8)
		out[i] = (char)(bits & 0xff);
	return neap_return_mp(call, out, out + sizeof(out));
}

static int return_string(neap_call_t *call, const char *s)
{
	char out[2 + 255] = { (char)MP_STR8 };
	size_t size = strlen(s);

	if (size > 255)
		size = 255;
	out[1] = (char)size;
	memcpy(out + 2, s, size);
	return neap_return_mp(call, out, out + 2 + size);
}

NEAP_EXPORT int sum(neap_call_t *call, const char *args, const char *args_end);

int sum(neap_call_t *call, const char *args, const char *args_end)
{
	int64_t a, b, total;

	if (args == args_end || (unsigned char)*args != (MP_ARRAY | 2))
		return NEAP_ERR("sum takes two arguments");
	args = read_int(args + 1, args_end, &a);
	if (args == NULL || read_int(args, args_end, &b) == NULL)
		return NEAP_ERR("sum takes integers");
	if (__builtin_add_overflow(a, b, &total))
		return NEAP_ERR("the sum does not fit 64 bits");
	if (return_int(call, total) != 0)
		return -1;
	return return_string(call, HELLO_BUILD);
}

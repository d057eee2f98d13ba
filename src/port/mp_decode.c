/*
 * msgpack in. See mp_decode.h.
 *
 * msgpack-c's unpacker is a template around callbacks; these are ours, and
 * tell each part to the sink at once. The template calls back at the begin of
 * a container and after each element, never at an end: the elements left are
 * counted here to know it.
 */
#include "port/mp_decode.h"

#include <math.h>

/* Its stack; must stand before any header of msgpack-c. The callbacks of an
 * empty innermost container are asked once more than the stack is deep. */
#define MSGPACK_EMBED_STACK_SIZE 129
#include <msgpack/unpack_define.h>

#include "base/diag.h"

_Static_assert(MSGPACK_EMBED_STACK_SIZE > PORT_DEPTH_MAX, "too small a stack");

struct mp_reader {
	struct port_sink *sink;
	size_t budget; /* elements that the bytes can still hold */
	unsigned depth;
};

/* What the template fails with; unpack.h has them among much else. */
enum { MSGPACK_UNPACK_PARSE_ERROR = -1, MSGPACK_UNPACK_NOMEM_ERROR = -2 };

/* What our callbacks fail with: diag is set. */
enum { MP_STOPPED = -100 };

#define msgpack_unpack_struct(name)    struct mp_unpack##name
#define msgpack_unpack_func(ret, name) static inline ret mp_unpack##name
#define msgpack_unpack_callback(name)  mp_on##name
/* What the template keeps for a value: in containers, elements to come. */
#define msgpack_unpack_object uint32_t
#define msgpack_unpack_user   struct mp_reader

static inline uint32_t mp_on_root(struct mp_reader *r)
{
	(void)r;
	return 0;
}

#define MP_ON_UINT(type, name)                                      \
	static inline int mp_on##name(struct mp_reader *r, type v,  \
				      uint32_t *left)               \
	{                                                           \
		*left = 0;                                          \
		return port_uint(r->sink, v) == 0 ? 0 : MP_STOPPED; \
	}
#define MP_ON_SINT(type, name)                                      \
	static inline int mp_on##name(struct mp_reader *r, type v,  \
				      uint32_t *left)               \
	{                                                           \
		*left = 0;                                          \
		return port_sint(r->sink, v) == 0 ? 0 : MP_STOPPED; \
	}
MP_ON_UINT(uint8_t, _uint8)
MP_ON_UINT(uint16_t, _uint16)
MP_ON_UINT(uint32_t, _uint32)
MP_ON_UINT(uint64_t, _uint64)
MP_ON_SINT(int8_t, _int8)
MP_ON_SINT(int16_t, _int16)
MP_ON_SINT(int32_t, _int32)
MP_ON_SINT(int64_t, _int64)

/* There is one NaN: a payload must not reach a VM that boxes values in NaNs. */
static inline int mp_on_float(struct mp_reader *r, float v, uint32_t *left)
{
	*left = 0;
	if (v != v)
		v = NAN;
	return port_real32(r->sink, v) == 0 ? 0 : MP_STOPPED;
}

static inline int mp_on_double(struct mp_reader *r, double v, uint32_t *left)
{
	*left = 0;
	if (v != v)
		v = NAN;
	return port_real(r->sink, v) == 0 ? 0 : MP_STOPPED;
}

static inline int mp_on_nil(struct mp_reader *r, uint32_t *left)
{
	*left = 0;
	return port_nil(r->sink) == 0 ? 0 : MP_STOPPED;
}

static inline int mp_on_true(struct mp_reader *r, uint32_t *left)
{
	*left = 0;
	return port_boolean(r->sink, true) == 0 ? 0 : MP_STOPPED;
}

static inline int mp_on_false(struct mp_reader *r, uint32_t *left)
{
	*left = 0;
	return port_boolean(r->sink, false) == 0 ? 0 : MP_STOPPED;
}

/*
 * Each element takes a byte at least, and each byte belongs to one element:
 * the counts of all containers together cannot be more than the bytes. (Held
 * against the bytes one by one, nested heads could each claim all of them.)
 */
static inline int mp_begin(struct mp_reader *r, uint64_t elements)
{
	if (r->depth >= PORT_DEPTH_MAX) {
		diag_set(ClientError, "msgpack: nested deeper than %d levels",
			 PORT_DEPTH_MAX);
		return MP_STOPPED;
	}
	if (elements > r->budget) {
		diag_set(ClientError, "msgpack: a container tells of more "
				      "elements than there are bytes");
		return MP_STOPPED;
	}
	r->budget -= elements;
	r->depth++;
	return 0;
}

static inline int mp_end(struct mp_reader *r)
{
	r->depth--;
	return port_end(r->sink) == 0 ? 0 : MP_STOPPED;
}

static inline int mp_on_array(struct mp_reader *r, uint32_t n, uint32_t *left)
{
	if (mp_begin(r, n) != 0 ||
	    port_array(r->sink, n, PORT_STYLE_BLOCK) != 0)
		return MP_STOPPED;
	*left = n;
	return n == 0 ? mp_end(r) : 0;
}

static inline int mp_on_array_item(struct mp_reader *r, uint32_t *left,
				   uint32_t element)
{
	(void)element;
	return --*left == 0 ? mp_end(r) : 0;
}

static inline int mp_on_map(struct mp_reader *r, uint32_t n, uint32_t *left)
{
	if (mp_begin(r, 2 * (uint64_t)n) != 0 ||
	    port_map(r->sink, n, PORT_STYLE_BLOCK) != 0)
		return MP_STOPPED;
	*left = n;
	return n == 0 ? mp_end(r) : 0;
}

static inline int mp_on_map_item(struct mp_reader *r, uint32_t *left,
				 uint32_t key, uint32_t value)
{
	(void)key;
	(void)value;
	return --*left == 0 ? mp_end(r) : 0;
}

/* For zero lengths the place that the template gives is stale. */
static inline int mp_on_str(struct mp_reader *r, const char *base,
			    const char *p, unsigned size, uint32_t *left)
{
	(void)base;
	*left = 0;
	return port_str(r->sink, size > 0 ? p : "", size) == 0 ? 0 : MP_STOPPED;
}

static inline int mp_on_bin(struct mp_reader *r, const char *base,
			    const char *p, unsigned size, uint32_t *left)
{
	(void)base;
	*left = 0;
	return port_bin(r->sink, size > 0 ? p : "", size) == 0 ? 0 : MP_STOPPED;
}

/* The size counts the type's byte. An ext 32 of 2^32 - 1 bytes wraps it. */
static inline int mp_on_ext(struct mp_reader *r, const char *base,
			    const char *p, unsigned size, uint32_t *left)
{
	(void)base;
	*left = 0;
	if (size == 0) {
		diag_set(ClientError, "msgpack: an extension value is longer "
				      "than the bytes there are");
		return MP_STOPPED;
	}
	return port_ext(r->sink, *(const int8_t *)p, p + 1, size - 1) == 0
		       ? 0
		       : MP_STOPPED;
}

#include <msgpack/unpack_template.h>

int mp_decode(const char *data, const char *end, struct port_sink *sink,
	      const char **ret_next)
{
	struct mp_unpack_context ctx;
	size_t size = (size_t)(end - data), at = 0;
	int rc;

	ctx.user = (struct mp_reader){ .sink = sink, .budget = size };
	mp_unpack_init(&ctx);
	rc = mp_unpack_execute(&ctx, data, size, &at);
	if (rc > 0) {
		*ret_next = data + at;
		return 0;
	}
	if (rc == 0)
		diag_set(ClientError, "msgpack: cut short after %zu bytes",
			 size);
	else if (rc != MP_STOPPED)
		diag_set(ClientError,
			 "msgpack: no value begins with the "
			 "byte at offset %zu",
			 at);
	return -1;
}

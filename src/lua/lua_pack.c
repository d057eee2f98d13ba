/* lua_pack() and lua_unpack(). See lua_serialize.h. */
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "lua/lua_deserialize.h"
#include "lua/lua_direct.h"
#include "lua/lua_serialize.h"
#include "lua/lua_value.h"
#include "port/mp_decode.h"
#include "port/mp_encode.h"
#include "port/mp_pack.h"

/* Slots that a run takes besides its values. */
enum { JOB_SLOTS = 10 };

struct pack_job {
	struct lua_job job;
	struct buf *out;
};

static int run_pack(lua_State *L, struct lua_job *job)
{
	struct pack_job *p = (struct pack_job *)job;
	struct mp_encoder e;

	mp_encoder_create(&e, p->out);
	for (int i = 1, n = lua_gettop(L); i <= n; i++) {
		struct error *cause;

		if (lua_serialize(L, i, &e.sink, &lua_serialize_default) == 0)
			continue;
		if (diag_last()->type == &IllegalParams) {
			cause = diag_take();
			diag_set(IllegalParams, "argument %d: %s", i,
				 cause->message);
			error_unref(cause);
		}
		return -1;
	}
	return 0;
}

static int too_many(int n)
{
	diag_set(ClientError, "%d values are more than the Lua stack takes", n);
	return -1;
}

int lua_pack(lua_State *L, int first, int last, struct buf *out)
{
	struct pack_job p = { .job.run = run_pack, .out = out };
	size_t old = out->size, head;
	int n = last < first ? 0 : last - first + 1;

	if (!lua_checkstack(L, n + JOB_SLOTS))
		return too_many(n);
	if (mp_pack_array(out, (size_t)n) != 0) {
		diag_set_oom(5, "the arguments of a call");
		goto fail;
	}
	head = out->size;
	if (lua_direct_pack(L, first, last, &lua_serialize_default, out))
		return 0;
	out->size = head;
	lua_job_begin(L, &p.job);
	for (int i = 0; i < n; i++)
		lua_pushvalue(L, first + i);
	if (lua_job_end(L, &p.job, n) < 0)
		goto fail;
	return 0;
fail:
	out->size = old;
	return -1;
}

struct unpack_job {
	struct lua_job job;
	const char *data, *end;
};

static int run_unpack(lua_State *L, struct lua_job *job)
{
	struct unpack_job *u = (struct unpack_job *)job;
	struct lua_builder b;
	int n = 0;

	lua_builder_create(&b, L, &lua_serialize_default, 0);
	for (; u->data < u->end; n++) {
		if (mp_decode(u->data, u->end, &b.sink, &u->data) != 0)
			return -1;
	}
	return n;
}

int lua_unpack(lua_State *L, const char *data, const char *end)
{
	struct unpack_job u = { .job.run = run_unpack,
				.data = data,
				.end = end };

	if (!lua_checkstack(L, JOB_SLOTS))
		return too_many(1);
	lua_job_begin(L, &u.job);
	return lua_job_end(L, &u.job, 0);
}

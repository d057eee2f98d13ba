/* The walk over plain values without the Lua API. See lua_direct.h. */
#include "lua/lua_direct.h"

#if NEAP_LUAJIT_SYSTEM

bool lua_direct_pack(lua_State *L, int first, int last,
		     const struct lua_serialize_cfg *cfg, struct buf *out)
{
	(void)L, (void)first, (void)last, (void)cfg, (void)out;
	return false;
}

bool lua_direct_tell(lua_State *L, int idx, const struct lua_serialize_cfg *cfg,
		     struct port_sink *sink)
{
	(void)L, (void)idx, (void)cfg, (void)sink;
	return false;
}

#else

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "lua/lua_internal.h"
#include "lua/lua_resolve.h"
#include "lua/lua_serialize.h"
#include "lua/lua_state.h"
#include "port/mp_pack.h"
#include "port/sink.h"

/* One run. Events go to the buffer at once or, if there is none, the sink. */
struct direct {
	lua_State *L;
	const struct lua_serialize_cfg *cfg;
	const GCstr *serialize; /* the string "__serialize" */
	struct buf *out;
	struct port_sink *sink;
	int depth;
};

/* What the keys of a table make of it. */
struct keys {
	double max;    /* the largest index */
	uint32_t size; /* elements */
	bool indices;  /* all keys are indices */
};

static bool tell(struct direct *d, cTValue *o);

static bool put_sint(struct direct *d, int64_t v)
{
	if (d->out != NULL)
		return mp_pack_int64(d->out, v) == 0;
	return port_sint(d->sink, v) == 0;
}

static bool put_uint(struct direct *d, uint64_t v)
{
	if (d->out != NULL)
		return mp_pack_uint64(d->out, v) == 0;
	return port_uint(d->sink, v) == 0;
}

static bool put_nil(struct direct *d)
{
	if (d->out != NULL)
		return mp_pack_nil(d->out) == 0;
	return port_nil(d->sink) == 0;
}

static bool put_number(struct direct *d, double v)
{
	if (v >= INT32_MIN && v <= INT32_MAX && (double)(int32_t)v == v)
		return put_sint(d, (int32_t)v);
	if (v >= -0x1p63 && v < 0x1p63) {
		if ((double)(int64_t)v == v)
			return put_sint(d, (int64_t)v);
	} else if (v >= 0x1p63 && v < 0x1p64) {
		return put_uint(d, (uint64_t)v);
	} else if (!isfinite(v) && !d->cfg->encode_invalid_numbers) {
		return false;
	}
	if (d->out != NULL)
		return mp_pack_double(d->out, v) == 0;
	return port_real(d->sink, v) == 0;
}

static bool put_string(struct direct *d, const GCstr *s)
{
	if (d->out != NULL)
		return mp_pack_str(d->out, s->len) == 0 &&
		       mp_pack_append(d->out, strdata(s), s->len) == 0;
	return port_str(d->sink, strdata(s), s->len) == 0;
}

static bool put_begin(struct direct *d, const struct lua_shape *shape)
{
	if (d->out != NULL)
		return (shape->array ? mp_pack_array(d->out, shape->count)
				     : mp_pack_map(d->out, shape->count)) == 0;
	return (shape->array
			? port_array(d->sink, shape->count, shape->style)
			: port_map(d->sink, shape->count, shape->style)) == 0;
}

static bool put_end(struct direct *d)
{
	return d->out != NULL || port_end(d->sink) == 0;
}

/* The commonest cdata; the rest is the API's. */
static bool tell_cdata(struct direct *d, const GCcdata *cd)
{
	const void *p = cdataptr(cd);
	uint64_t v;

	switch (cd->ctypeid) {
	case CTID_INT64:
		memcpy(&v, p, sizeof v);
		return put_sint(d, (int64_t)v);
	case CTID_UINT64:
		memcpy(&v, p, sizeof v);
		return put_uint(d, v);
	case CTID_P_VOID:
		return cdata_getptr((void *)p, sizeof(void *)) == NULL &&
		       put_nil(d);
	default:
		return false;
	}
}

/* The value of a string key, or NULL. */
static cTValue *find_string(const GCtab *t, const GCstr *key)
{
	const Node *n = hashstr(t, key);

	do {
		if (tvisstr(&n->key) && strV(&n->key) == key)
			return tvisnil(&n->val) ? NULL : &n->val;
		n = nextnode(n);
	} while (n != NULL);
	return NULL;
}

static cTValue *find_index(const GCtab *t, uint32_t index)
{
	const Node *n;
	TValue key;

	if (index < t->asize)
		return arrayslot(t, index);
	key.n = (lua_Number)index;
	n = hashnum(t, &key);
	do {
		if (tvisnum(&n->key) && n->key.n == key.n)
			return &n->val;
		n = nextnode(n);
	} while (n != NULL);
	return NULL;
}

static bool is_hint(const GCstr *s, const char *hint)
{
	return s->len == strlen(hint) && memcmp(strdata(s), hint, s->len) == 0;
}

/* What __serialize says of a table. False: more than a known word. */
static bool read_hint(struct direct *d, const GCtab *t, struct lua_shape *shape)
{
	const GCtab *mt = tabref(t->metatable);
	cTValue *o;

	shape->hint = LUA_HINT_NONE;
	shape->style = PORT_STYLE_BLOCK;
	if (mt == NULL || !d->cfg->encode_load_metatables)
		return true;
	o = find_string(mt, d->serialize);
	if (o == NULL)
		return true;
	if (!tvisstr(o))
		return false;
	if (is_hint(strV(o), "seq") || is_hint(strV(o), "sequence") ||
	    is_hint(strV(o), "array"))
		shape->hint = LUA_HINT_ARRAY;
	else if (is_hint(strV(o), "map") || is_hint(strV(o), "mapping"))
		shape->hint = LUA_HINT_MAP;
	else
		return false;
	if (strV(o)->len == 3)
		shape->style = PORT_STYLE_FLOW;
	return true;
}

static void count_array_part(const GCtab *t, struct keys *k)
{
	cTValue *slots = tvref(t->array);
	uint32_t i = 1, max;

	while (i < t->asize && !tvisnil(&slots[i]))
		i++;
	k->size = max = i - 1;
	for (; i < t->asize; i++) {
		if (!tvisnil(&slots[i])) {
			k->size++;
			max = i;
		}
	}
	k->max = max;
	k->indices = t->asize == 0 || tvisnil(&slots[0]);
	k->size += !k->indices;
}

static void count_hash_part(const GCtab *t, struct keys *k)
{
	const Node *nodes = noderef(t->node);

	for (uint32_t i = 0; i <= t->hmask; i++) {
		cTValue *key = &nodes[i].key;
		double v;

		if (tvisnil(&nodes[i].val))
			continue;
		k->size++;
		v = tvisnumber(key) ? numberVnum(key) : 0;
		if (v >= 1 && floor(v) == v)
			k->max = v > k->max ? v : k->max;
		else
			k->indices = false;
	}
}

/* As lua_resolve_shape() decides. False: it is for that to complain. */
static bool resolve_shape(struct direct *d, const GCtab *t,
			  struct lua_shape *shape)
{
	struct keys k;

	count_array_part(t, &k);
	count_hash_part(t, &k);
	shape->array = shape->hint == LUA_HINT_NONE
			       ? k.indices
			       : shape->hint == LUA_HINT_ARRAY;
	if (shape->array && k.max != k.size) {
		/* Holes are rare: the rules for them stand in one place. */
		if (shape->hint != LUA_HINT_NONE || k.max > UINT32_MAX)
			return false;
		if (lua_resolve_sparse(d->cfg, k.max, k.size)) {
			if (!d->cfg->encode_sparse_convert)
				return false;
			shape->array = false;
		} else if (k.max > 1024) {
			return false;
		}
	}
	shape->count = shape->array ? (uint32_t)k.max : k.size;
	return true;
}

static bool tell_elements(struct direct *d, const GCtab *t, uint32_t count)
{
	for (uint32_t i = 1; i <= count; i++) {
		cTValue *o = find_index(t, i);

		if (o == NULL ? !put_nil(d) : !tell(d, o))
			return false;
	}
	return true;
}

static bool tell_pairs(struct direct *d, const GCtab *t)
{
	const Node *nodes = noderef(t->node);

	for (uint32_t i = 0; i < t->asize; i++) {
		cTValue *o = arrayslot(t, i);

		if (!tvisnil(o) && !(put_sint(d, i) && tell(d, o)))
			return false;
	}
	for (uint32_t i = 0; i <= t->hmask; i++) {
		if (!tvisnil(&nodes[i].val) &&
		    !(tell(d, &nodes[i].key) && tell(d, &nodes[i].val)))
			return false;
	}
	return true;
}

static bool tell_table(struct direct *d, const GCtab *t)
{
	struct lua_shape shape;
	bool ok;

	if (d->depth >= d->cfg->encode_max_depth || !read_hint(d, t, &shape) ||
	    !resolve_shape(d, t, &shape) || !put_begin(d, &shape))
		return false;
	d->depth++;
	ok = shape.array ? tell_elements(d, t, shape.count) : tell_pairs(d, t);
	d->depth--;
	return ok && put_end(d);
}

static bool tell(struct direct *d, cTValue *o)
{
	if (tvisnum(o))
		return put_number(d, numV(o));
	if (tvisstr(o))
		return put_string(d, strV(o));
	if (tvistab(o))
		return tell_table(d, tabV(o));
	if (tvisint(o))
		return put_sint(d, intV(o));
	if (tvisnil(o))
		return put_nil(d);
	if (tvisbool(o)) {
		if (d->out == NULL)
			return port_boolean(d->sink, tvistrue(o)) == 0;
		return (tvistrue(o) ? mp_pack_true(d->out)
				    : mp_pack_false(d->out)) == 0;
	}
	if (tviscdata(o))
		return tell_cdata(d, cdataV(o));
	if (tvislightud(o) && lightudV(G(d->L), o) == NULL)
		return put_nil(d);
	return false;
}

static struct direct direct_begin(lua_State *L,
				  const struct lua_serialize_cfg *cfg)
{
	struct direct d = { .L = L, .cfg = cfg };

	d.serialize = lua_vm_of(L)->values.serialize;
	return d;
}

bool lua_direct_pack(lua_State *L, int first, int last,
		     const struct lua_serialize_cfg *cfg, struct buf *out)
{
	struct direct d = direct_begin(L, cfg);

	d.out = out;
	for (int i = first; i <= last; i++) {
		if (!tell(&d, L->base + i - 1))
			return false;
	}
	return true;
}

bool lua_direct_tell(lua_State *L, int idx, const struct lua_serialize_cfg *cfg,
		     struct port_sink *sink)
{
	struct direct d = direct_begin(L, cfg);
	bool ok;

	assert(!(sink->flags & PORT_SINK_ALIASES));
	d.sink = sink;
	ok = tell(&d, L->base + idx - 1);
	if (!ok)
		diag_clear();
	return ok;
}

#endif

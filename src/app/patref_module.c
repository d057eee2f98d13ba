/* Maps and ACLs of scripts: the C half of map.lua. */
#include <lauxlib.h>
#include <string.h>

#include "app/app.h"
#include "app/patref.h"
#include "app/patref_drop.h"
#include "app/tools_modules.h"
#include "app/worker.h"
#include "base/buf.h"
#include "base/diag.h"
#include "config/config.h"
#include "lua/lua_error.h"

static const char table_class[] = "neap.patref";
static const char cursor_class[] = "neap.patref_cursor";

enum {
	KEEP = 4096, /* bytes of a buffer between calls */
	PIECE = 100, /* pairs of a walk at once */
};

struct table {
	struct patref *ref;
	struct patref_gen *prepared; /* NULL: none */
	struct patref_gen *read; /* of the file, not installed; NULL: none */
	struct buf text;
};

struct cursor {
	struct patref_cursor walk;
	struct buf pairs;
};

static void drop(lua_State *L, struct patref_gen *gen)
{
	patref_drop(&worker_of(L)->loop, gen);
}

/* --- tables --- */

static struct table *check_table(lua_State *L)
{
	return luaL_checkudata(L, 1, table_class);
}

static struct table *push_table(lua_State *L)
{
	struct table *t = lua_newuserdata(L, sizeof *t);

	memset(t, 0, sizeof *t);
	luaL_getmetatable(L, table_class);
	lua_setmetatable(L, -2);
	return t;
}

/* Where files are looked for: beside the configuration of this state. */
static const char *folder_of(lua_State *L)
{
	const struct config *config = worker_of(L)->app->script->config;

	return config == NULL ? NULL : config_folder(config);
}

/* open(name, is_map) -> table; throws what is wrong with it */
static int l_open(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	struct table *t = push_table(L);

	if (patref_open(name, lua_toboolean(L, 2), folder_of(L), &t->ref) != 0)
		return lua_error_throw(L);
	return 1;
}

/* find(name) -> table | nil */
static int l_find(lua_State *L)
{
	struct patref *r = patref_find(luaL_checkstring(L, 1));

	if (r == NULL)
		return 0;
	push_table(L)->ref = r;
	return 1;
}

/* names() -> {name, ..} */
static int l_names(lua_State *L)
{
	struct table *t =
		push_table(L); /* its buffer is freed, whatever throws */
	const char *p, *end;
	int n = 0;

	if (patref_names(&t->text) != 0)
		return lua_error_throw(L);
	lua_newtable(L);
	end = t->text.data + t->text.size;
	for (p = t->text.data; p < end; p += strlen(p) + 1) {
		lua_pushstring(L, p);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* about(table) -> name, is_map, size, is_prepared */
static int l_about(lua_State *L)
{
	struct table *t = check_table(L);

	lua_pushstring(L, patref_name(t->ref));
	lua_pushboolean(L, patref_is_map(t->ref));
	lua_pushinteger(L, patref_size(t->ref, t->prepared));
	lua_pushboolean(L, t->prepared != NULL);
	return 4;
}

static enum pattern_method check_method(lua_State *L, int arg)
{
	return (enum pattern_method)(luaL_checkint(L, arg) % PATTERN_METHODS);
}

/* parse_method(name) -> number | nil */
static int l_parse_method(lua_State *L)
{
	int m = pattern_method_parse(luaL_checkstring(L, 1));

	if (m < 0)
		return 0;
	lua_pushinteger(L, m);
	return 1;
}

/* use(table, method, fold); throws a key that is no such pattern */
static int l_use(lua_State *L)
{
	if (patref_use(check_table(L)->ref, check_method(L, 2),
		       lua_toboolean(L, 3)) != 0)
		return lua_error_throw(L);
	return 0;
}

static int push_found(lua_State *L, struct table *t, enum patref_found found)
{
	switch (found) {
	case PATREF_FAILED:
		return lua_error_throw(L);
	case PATREF_NOT_FOUND:
		return 0;
	default:
		break;
	}
	if (patref_is_map(t->ref))
		lua_pushlstring(L, t->text.size == 0 ? "" : t->text.data,
				t->text.size);
	else
		lua_pushboolean(L, 1);
	return 1;
}

/* match(table, text, method, fold, wanted) -> value | true | nothing. Wanted: VALUE and
 * the like of map.lua. */
static int l_match(lua_State *L)
{
	struct table *t = check_table(L);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);

	buf_reset(&t->text, KEEP);
	return push_found(L, t,
			  patref_match(t->ref, check_method(L, 3),
				       lua_toboolean(L, 4), text, size,
				       (enum patref_wanted)lua_tointeger(L, 5),
				       &t->text));
}

/* get(table, key) -> value | true | nothing */
static int l_get(lua_State *L)
{
	struct table *t = check_table(L);
	size_t size;
	const char *key = luaL_checklstring(L, 2, &size);

	buf_reset(&t->text, KEEP);
	return push_found(L, t,
			  patref_get(t->ref, t->prepared, key, size, &t->text));
}

/* true | nil, text; memory throws */
static int settle(lua_State *L, int rc)
{
	if (rc == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	if (diag_last() != NULL && diag_last()->type == &OutOfMemory)
		return lua_error_throw(L);
	lua_pushnil(L);
	lua_pushstring(L, diag_last()->message);
	diag_clear();
	return 2;
}

/* add(table, key, value) -> true | nil, text */
static int l_add(lua_State *L)
{
	struct table *t = check_table(L);
	size_t size, value_size = 0;
	const char *key = luaL_checklstring(L, 2, &size);
	const char *value = luaL_optlstring(L, 3, NULL, &value_size);

	return settle(L, patref_add(t->ref, t->prepared, key, size, value,
				    value_size));
}

/* set(table, key, value, or_add) -> true | nil, text */
static int l_set(lua_State *L)
{
	struct table *t = check_table(L);
	size_t size, value_size = 0;
	const char *key = luaL_checklstring(L, 2, &size);
	const char *value = luaL_optlstring(L, 3, NULL, &value_size);

	return settle(L, patref_set(t->ref, t->prepared, key, size, value,
				    value_size, lua_toboolean(L, 4)));
}

/* del(table, key) -> true | nil, text */
static int l_del(lua_State *L)
{
	struct table *t = check_table(L);
	size_t size;
	const char *key = luaL_checklstring(L, 2, &size);

	return settle(L, patref_del(t->ref, t->prepared, key, size));
}

/* purge(table) -> true | nil, text */
static int l_purge(lua_State *L)
{
	struct table *t = check_table(L);
	struct patref_gen *old = NULL;
	int rc = patref_purge(t->ref, t->prepared, &old);

	drop(L, old);
	return settle(L, rc);
}

static void give_up(lua_State *L, struct table *t)
{
	struct patref_gen *gen = t->prepared;

	t->prepared = NULL;
	if (gen == NULL)
		return;
	patref_give_up(t->ref, gen);
	drop(L, gen);
}

/* prepare(table) -> true | nil, text: anew, when it was */
static int l_prepare(lua_State *L)
{
	struct table *t = check_table(L);

	give_up(L, t);
	t->prepared = patref_prepare(t->ref);
	return settle(L, t->prepared == NULL ? -1 : 0);
}

static int l_give_up(lua_State *L)
{
	give_up(L, check_table(L));
	return 0;
}

/* commit(table) -> true | nil, text */
static int l_commit(lua_State *L)
{
	struct table *t = check_table(L);
	struct patref_gen *old = NULL, *gen = t->prepared;
	int rc;

	if (gen == NULL) {
		diag_set(ClientError, "'%s': nothing is prepared",
			 patref_name(t->ref));
		return settle(L, -1);
	}
	rc = patref_commit(t->ref, gen, &old);
	if (rc == 0 || patref_is_gone(t->ref, gen)) {
		t->prepared = NULL;
		drop(L, gen);
	}
	if (rc == 0)
		drop(L, old);
	return settle(L, rc);
}

/* read(table) -> true | nil, text: the file, for install() */
static int l_read(lua_State *L)
{
	struct table *t = check_table(L);
	struct patref_gen *old = t->read;

	t->read = NULL;
	drop(L, old);
	t->read = patref_read(t->ref, folder_of(L));
	return settle(L, t->read == NULL ? -1 : 0);
}

/* install(table) -> true | nil, text: what was read */
static int l_install(lua_State *L)
{
	struct table *t = check_table(L);
	struct patref_gen *old = NULL, *gen = t->read;
	int rc = 0;

	t->read = NULL;
	if (gen != NULL)
		rc = patref_install(t->ref, gen, &old);
	drop(L, old);
	return settle(L, rc);
}

static int l_table_gc(lua_State *L)
{
	struct table *t = check_table(L);

	give_up(L, t);
	drop(L, t->read);
	t->read = NULL;
	buf_destroy(&t->text);
	return 0;
}

/* --- walks --- */

/* walk(table) -> cursor */
static int l_walk(lua_State *L)
{
	struct table *t = check_table(L);
	struct cursor *c = lua_newuserdata(L, sizeof *c);

	memset(c, 0, sizeof *c);
	luaL_getmetatable(L, cursor_class);
	lua_setmetatable(L, -2);
	patref_cursor_open(&c->walk, t->ref, t->prepared);
	return 1;
}

/* next(cursor, is_map) -> {key, value, key, value, ..} | nil at the end */
static int l_next(lua_State *L)
{
	struct cursor *c = luaL_checkudata(L, 1, cursor_class);
	bool is_map = lua_toboolean(L, 2);
	const char *p;
	int n;

	c->pairs.size = 0;
	n = patref_cursor_next(&c->walk, PIECE, &c->pairs);
	if (n < 0)
		return lua_error_throw(L);
	if (n == 0) {
		drop(L, patref_cursor_close(&c->walk));
		buf_destroy(&c->pairs);
		return 0;
	}
	lua_createtable(L, 2 * n, 0);
	p = c->pairs.data;
	for (int i = 0; i < n; i++) {
		uint32_t sizes[2];

		memcpy(sizes, p, sizeof sizes);
		p += sizeof sizes;
		lua_pushlstring(L, p, sizes[0]);
		lua_rawseti(L, -2, 2 * i + 1);
		p += sizes[0];
		if (is_map)
			lua_pushlstring(L, p, sizes[1]);
		else
			lua_pushboolean(L, 1);
		lua_rawseti(L, -2, 2 * i + 2);
		p += sizes[1];
	}
	return 1;
}

static int l_cursor_gc(lua_State *L)
{
	struct cursor *c = luaL_checkudata(L, 1, cursor_class);

	drop(L, patref_cursor_close(&c->walk));
	buf_destroy(&c->pairs);
	return 0;
}

static void new_class(lua_State *L, const char *class, lua_CFunction gc)
{
	luaL_newmetatable(L, class);
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

int tools_open_map(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "open", l_open },
		{ "find", l_find },
		{ "names", l_names },
		{ "about", l_about },
		{ "parse_method", l_parse_method },
		{ "use", l_use },
		{ "match", l_match },
		{ "get", l_get },
		{ "add", l_add },
		{ "set", l_set },
		{ "del", l_del },
		{ "purge", l_purge },
		{ "prepare", l_prepare },
		{ "give_up", l_give_up },
		{ "commit", l_commit },
		{ "read", l_read },
		{ "install", l_install },
		{ "walk", l_walk },
		{ "next", l_next },
		{ NULL, NULL },
	};

	new_class(L, table_class, l_table_gc);
	new_class(L, cursor_class, l_cursor_gc);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

/* A part of the module `core`: lines into the log, the C half of core_log.lua. */
#include <lauxlib.h>
#include <string.h>

#include "app/tools_modules.h"
#include "base/log.h"
#include "base/utf8.h"
#include "lua/lua_state.h"

enum { TEXT_MAX = 16384 }; /* bytes of a message */

/* How a level of syslog is written, and from which level of the log on: whatever
 * is worse than an error is there when errors are. */
static const struct {
	enum log_level as, from;
} levels[] = {
	{ LOG_FATAL, LOG_FATAL }, /* emerg */
	{ LOG_CRIT, LOG_ERROR },  /* alert */
	{ LOG_CRIT, LOG_ERROR },  /* crit */
	{ LOG_ERROR, LOG_ERROR }, /* err */
	{ LOG_WARN, LOG_WARN },   /* warning */
	{ LOG_INFO, LOG_INFO },   /* notice */
	{ LOG_INFO, LOG_INFO },   /* info */
	{ LOG_DEBUG, LOG_DEBUG }, /* debug */
};

/* The place of the user's code. */
static const char *find_place(lua_State *L, lua_Debug *ar, unsigned *ret_line)
{
	for (int depth = 1; lua_getstack(L, depth, ar); depth++) {
		lua_getinfo(L, "Sl", ar);
		if (ar->currentline <= 0 ||
		    strncmp(ar->short_src, "neap/", 5) == 0)
			continue;
		*ret_line = (unsigned)ar->currentline;
		return ar->short_src;
	}
	*ret_line = 0;
	return NULL;
}

/* Whole characters that can be printed; others are dots. Returns the size. */
static size_t clean(char *to, size_t room, const char *text, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + size;
	size_t n = 0;

	while (p < end) {
		unsigned length = utf8_length(p, end);
		/* U+0080 to U+009f are control characters, too. */
		bool dot = length == 0 ||
			   (length == 1 && (*p < 0x20 || *p == 0x7f)) ||
			   (length == 2 && *p == 0xc2 && p[1] < 0xa0);
		unsigned room_for = dot ? 1 : length;

		if (n + room_for > room)
			break;
		if (dot)
			to[n] = '.';
		else
			memcpy(to + n, p, length);
		n += room_for;
		p += length == 0 ? 1 : length;
	}
	return n;
}

/* write(level, text) */
static int l_write(lua_State *L)
{
	size_t size, n, room = TEXT_MAX;
	int level = luaL_checkint(L, 1);
	const char *text = luaL_checklstring(L, 2, &size), *file;
	char line_text[TEXT_MAX];
	unsigned line;
	lua_Debug ar;

	if (lua_vm_of(L)->quiet ||
	    levels[level].from > __atomic_load_n(&log_level, __ATOMIC_RELAXED))
		return 0;
	if (size > room)
		room -= 3;
	n = clean(line_text, room, text, size);
	file = find_place(L, &ar, &line);
	log_write(levels[level].as, file, line, "%.*s%s", (int)n, line_text,
		  size > TEXT_MAX ? "..." : "");
	return 0;
}

int tools_open_log(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "write", l_write },
		{ NULL, NULL },
	};

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}

/* What LuaJIT's inline functions call in a build with its assertions, and keep
 * to themselves. See lua_internal.h. */
#include "lua/lua_internal.h"

#if !NEAP_LUAJIT_SYSTEM && \
	(defined(LUA_USE_ASSERT) || defined(LUA_USE_APICHECK))

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void lj_assert_fail(global_State *g, const char *file, int line,
		    const char *func, const char *fmt, ...)
{
	va_list ap;

	(void)g;
	fprintf(stderr, "LuaJIT ASSERT %s:%d: %s: ", file, line, func);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

#endif

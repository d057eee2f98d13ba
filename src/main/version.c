/* Versions of neap and of its outside parts. See version.h. */
#include "main/version.h"

#include "versions.h"

#if NEAP_LUAJIT_SYSTEM
#define WARNING "\nBuilt with the system's LuaJIT: without neap's mends of it."
#else
#define WARNING ""
#endif

const char *version_greeting(void)
{
	return "neap " NEAP_VERSION
	       "; \\help for help, Ctrl-D to leave" WARNING;
}

void version_print(FILE *out)
{
	fprintf(out, "neap %s (%s, %s)%s\n", NEAP_VERSION, NEAP_BUILD,
		NEAP_COMPILER, WARNING);
#define X(name, version, licence, origin) \
	fprintf(out, "%-12s %-34s %-16s %s\n", name, version, licence, origin);
	NEAP_PARTS(X)
#undef X
}

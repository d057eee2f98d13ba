/* Versions of neap and of its outside parts. See version.h. */
#include "main/version.h"

#include "versions.h"

const char *version_short(void)
{
	return "neap " NEAP_VERSION;
}

void version_print(FILE *out)
{
	fprintf(out, "%s (%s, %s)\n", version_short(), NEAP_BUILD,
		NEAP_COMPILER);
#define X(name, version, licence, origin) \
	fprintf(out, "%-12s %-34s %-16s %s\n", name, version, licence, origin);
	NEAP_PARTS(X)
#undef X
#if NEAP_LUAJIT_SYSTEM
	fputs("Built with the system's LuaJIT: loops that the JIT compiler "
	      "has compiled cannot be interrupted.\n", out);
#endif
}

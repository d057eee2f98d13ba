/* What has been done to this process. See taint.h. */
#include "app/taint.h"

#include <stdatomic.h>
#include <stdio.h>

static const char *const names[] = { [TAINT_NONE] = "",
#define X(id, name) [TAINT_##id] = name,
				     TAINTS(X)
#undef X
};

static atomic_uint bits;

void taint_set(enum taint t)
{
	if (t != TAINT_NONE)
		atomic_fetch_or(&bits, 1u << t);
}

bool taint_is_any(void)
{
	return atomic_load(&bits) != 0;
}

void taint_text(char *to)
{
	unsigned set = atomic_load(&bits);
	size_t n = 0;

	*to = '\0';
	for (unsigned i = 1; i < sizeof names / sizeof *names; i++)
		if (set & 1u << i)
			n += (size_t)snprintf(to + n, TAINT_TEXT - n, "%s%s",
					      n > 0 ? "," : "", names[i]);
}

/* Variables of the environment. See variables.h. */
#include "config/variables.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static const char first_set[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
static const char rest_set[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

/* The length of a name at @a s; 0: there is none that could be one. */
static size_t name_length(const char *s)
{
	size_t size = strspn(s, rest_set);

	return strspn(s, first_set) == 0 || size > VARIABLES_NAME_MAX ? 0
								      : size;
}

struct putting {
	struct buf *b;
	char *name; /* the first one's */
	bool named;
};

/* What stands behind "${". Returns VARIABLES_PUT and where it ends. */
static enum variables_rc put_value(struct putting *p, const char *s,
				   const char **ret_end)
{
	size_t size = name_length(s);
	const char *rest = s + size, *end = strchr(rest, '}'), *value;
	char name[VARIABLES_NAME_MAX + 1];

	memcpy(name, s, size);
	name[size] = '\0';
	if (!p->named)
		memcpy(p->name, name, size + 1);
	p->named = true;
	if (end == NULL || (end != rest && strncmp(rest, ":-", 2) != 0))
		return VARIABLES_BROKEN;
	*ret_end = end + 1;
	value = getenv(name);
	if (value != NULL && (*value != '\0' || end == rest))
		return buf_puts(p->b, value) == 0 ? VARIABLES_PUT
						  : VARIABLES_NO_MEMORY;
	if (end == rest) {
		memcpy(p->name, name, size + 1);
		return VARIABLES_UNSET;
	}
	return buf_append(p->b, rest + 2, (size_t)(end - rest) - 2) == 0
		       ? VARIABLES_PUT
		       : VARIABLES_NO_MEMORY;
}

enum variables_rc variables_put(const char *text, struct buf *b, char *name)
{
	struct putting p = { b, name, false };
	const char *dollar = strstr(text, "${");
	enum variables_rc rc;

	*name = '\0';
	if (dollar == NULL)
		return VARIABLES_NONE;
	for (; dollar != NULL; dollar = strstr(text, "${")) {
		bool escaped = dollar > text && dollar[-1] == '$';
		bool meant = !escaped && name_length(dollar + 2) > 0;
		size_t before = (size_t)(dollar - text) - escaped;

		if (buf_append(b, text, before) != 0 ||
		    (!meant && buf_append(b, "${", 2) != 0))
			return VARIABLES_NO_MEMORY;
		text = dollar + 2;
		if (!meant)
			continue;
		rc = put_value(&p, text, &text);
		if (rc != VARIABLES_PUT)
			return rc;
	}
	return buf_append(b, text, strlen(text) + 1) == 0 ? VARIABLES_PUT
							  : VARIABLES_NO_MEMORY;
}

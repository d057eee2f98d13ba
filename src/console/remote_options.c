/* What a remote console may be told. See remote.h. */
#include <string.h>

#include "base/diag.h"
#include "console/remote.h"
#include "net/tls_context.h"

enum { PATH_SIZE_MAX = 107 }; /* bytes of a unix socket's */

/* Whoever gets in may run anything: not from elsewhere without a word. */
int remote_options_check(const struct remote_options *o)
{
	size_t password = o->password == NULL ? 0 : strlen(o->password);
	bool certified = o->tls != NULL &&
			 tls_context_verify(o->tls) == TLS_VERIFY_REQUIRED;

	if (o->path != NULL && strlen(o->path) > PATH_SIZE_MAX)
		diag_set(IllegalParams,
			 "console.listen: the path of a unix "
			 "socket has at most %d bytes, not %zu",
			 PATH_SIZE_MAX, strlen(o->path));
	else if (o->password != NULL && (password < REMOTE_PASSWORD_MIN ||
					 password > REMOTE_PASSWORD_MAX))
		diag_set(IllegalParams,
			 "console.listen: a password has %d to %d bytes",
			 REMOTE_PASSWORD_MIN, REMOTE_PASSWORD_MAX);
	else if (o->path == NULL && password == 0 && !certified)
		diag_set(IllegalParams,
			 "console.listen('%s:%u'): over TCP a password is "
			 "wanted, or tls with verify = 'required': who gets "
			 "in may run anything",
			 o->host, o->port);
	else
		return 0;
	return -1;
}

/* What OpenSSL's error queue says. See tls_error.h. */
#include "net/tls_error.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

void tls_error_text(char *text, size_t size)
{
	const char *file = NULL, *func = NULL, *data = NULL, *reason, *slash;
	int line = 0, flags = 0;
	unsigned long err =
		ERR_get_error_all(&file, &line, &func, &data, &flags);
	char number[32];

	if (err == 0) {
		snprintf(text, size, "OpenSSL gave no reason");
		return;
	}
	reason = ERR_SYSTEM_ERROR(err) ? strerror(ERR_GET_REASON(err))
				       : ERR_reason_error_string(err);
	if (reason == NULL) {
		snprintf(number, sizeof number, "error %lx", err);
		reason = number;
	}
	slash = file != NULL ? strrchr(file, '/') : NULL;
	snprintf(text, size, "%s%s%s%s (%s:%d)", reason,
		 (flags & ERR_TXT_STRING) && data[0] != '\0' ? " (" : "",
		 flags & ERR_TXT_STRING ? data : "",
		 (flags & ERR_TXT_STRING) && data[0] != '\0' ? ")" : "",
		 slash != NULL  ? slash + 1
		 : file != NULL ? file
				: "OpenSSL",
		 line);
	ERR_clear_error();
}

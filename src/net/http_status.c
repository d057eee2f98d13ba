/* Reason phrases. */
#include <stddef.h>

#include "net/http_request.h"

enum { FIRST = 100, LAST = 599 };

static const char *const reasons[LAST - FIRST + 1] = {
	[100 - FIRST] = "Continue",
	[101 - FIRST] = "Switching Protocols",
	[102 - FIRST] = "Processing",
	[103 - FIRST] = "Early Hints",
	[200 - FIRST] = "OK",
	[201 - FIRST] = "Created",
	[202 - FIRST] = "Accepted",
	[203 - FIRST] = "Non-Authoritative Information",
	[204 - FIRST] = "No Content",
	[205 - FIRST] = "Reset Content",
	[206 - FIRST] = "Partial Content",
	[207 - FIRST] = "Multi-Status",
	[208 - FIRST] = "Already Reported",
	[226 - FIRST] = "IM Used",
	[300 - FIRST] = "Multiple Choices",
	[301 - FIRST] = "Moved Permanently",
	[302 - FIRST] = "Found",
	[303 - FIRST] = "See Other",
	[304 - FIRST] = "Not Modified",
	[305 - FIRST] = "Use Proxy",
	[307 - FIRST] = "Temporary Redirect",
	[308 - FIRST] = "Permanent Redirect",
	[400 - FIRST] = "Bad Request",
	[401 - FIRST] = "Unauthorized",
	[402 - FIRST] = "Payment Required",
	[403 - FIRST] = "Forbidden",
	[404 - FIRST] = "Not Found",
	[405 - FIRST] = "Method Not Allowed",
	[406 - FIRST] = "Not Acceptable",
	[407 - FIRST] = "Proxy Authentication Required",
	[408 - FIRST] = "Request Timeout",
	[409 - FIRST] = "Conflict",
	[410 - FIRST] = "Gone",
	[411 - FIRST] = "Length Required",
	[412 - FIRST] = "Precondition Failed",
	[413 - FIRST] = "Content Too Large",
	[414 - FIRST] = "URI Too Long",
	[415 - FIRST] = "Unsupported Media Type",
	[416 - FIRST] = "Range Not Satisfiable",
	[417 - FIRST] = "Expectation Failed",
	[418 - FIRST] = "I'm a teapot",
	[421 - FIRST] = "Misdirected Request",
	[422 - FIRST] = "Unprocessable Content",
	[423 - FIRST] = "Locked",
	[424 - FIRST] = "Failed Dependency",
	[425 - FIRST] = "Too Early",
	[426 - FIRST] = "Upgrade Required",
	[428 - FIRST] = "Precondition Required",
	[429 - FIRST] = "Too Many Requests",
	[431 - FIRST] = "Request Header Fields Too Large",
	[451 - FIRST] = "Unavailable For Legal Reasons",
	[500 - FIRST] = "Internal Server Error",
	[501 - FIRST] = "Not Implemented",
	[502 - FIRST] = "Bad Gateway",
	[503 - FIRST] = "Service Unavailable",
	[504 - FIRST] = "Gateway Timeout",
	[505 - FIRST] = "HTTP Version Not Supported",
	[506 - FIRST] = "Variant Also Negotiates",
	[507 - FIRST] = "Insufficient Storage",
	[508 - FIRST] = "Loop Detected",
	[511 - FIRST] = "Network Authentication Required",
};

const char *http_status_reason(int status)
{
	const char *reason = NULL;

	if (status >= FIRST && status <= LAST)
		reason = reasons[status - FIRST];
	return reason != NULL ? reason : "";
}

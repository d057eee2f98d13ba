/*
 * What libcurl says while it works, and what it does not: that a response was cut.
 *
 * When a session of HTTP/2 fails, for a header larger than nghttp2 takes or a frame that
 * is none, libcurl 7.88 ends all of its responses as if they were whole; those that
 * had a length it compares, the others not. That its connection is closed then, without
 * a GOAWAY of the server before it and without need for its place, is only said to who
 * listens. Of several responses the last one's handle says it, perhaps a pass later, so
 * http_client.c keeps those that have ended until libcurl has no more to do at once.
 *
 * Without TLS every connection of HTTP/2 is closed behind its one response: nothing can
 * be told there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/curl_library.h"
#include "net/http_client.h"

enum { LINE_MAX_KNOWN = 512 };

/* The number in @a line behind @a mark, the last one of its kind. False: none. */
static bool number_behind(const char *line, const char *mark, long *ret)
{
	const char *at = NULL;

	for (const char *p = line; (p = strstr(p, mark)) != NULL;
	     p += strlen(mark))
		at = p + strlen(mark);
	if (at == NULL || *at < '0' || *at > '9')
		return false;
	*ret = strtol(at, NULL, 10);
	return true;
}

/* libcurl gives no number twice. */
static bool is_closed(const struct http_call *call)
{
	const struct http_client_talk *talk = call->talk;

	for (size_t i = 0; call->connection >= 0 && i < HTTP_TALK_CLOSED; i++) {
		if (talk->closed[i] == call->connection + 1)
			return true;
	}
	return false;
}

static void note(struct http_call *call, const char *line)
{
	struct http_client_talk *talk = call->talk;
	long connection;

	if (number_behind(line, "Re-using existing connection #",
			  &connection) ||
	    (strncmp(line, "Connected to ", 13) == 0 &&
	     number_behind(line, " (#", &connection))) {
		call->connection = connection;
	} else if (number_behind(line, "Closing connection ", &connection)) {
		talk->closed[talk->closings++ % HTTP_TALK_CLOSED] =
			connection + 1;
	} else if (strstr(line, " GOAWAY, ") != NULL ||
		   strncmp(line, "Connection cache is full", 24) == 0) {
		talk->farewells++;
	}
}

/* As libcurl has it, if it was asked for. */
static void show(curl_infotype type, const char *text, size_t size)
{
	static const char *const marks[] = { [CURLINFO_TEXT] = "* ",
					     [CURLINFO_HEADER_IN] = "< ",
					     [CURLINFO_HEADER_OUT] = "> " };

	if (type <= CURLINFO_HEADER_OUT)
		fprintf(stderr, "%s%.*s", marks[type], (int)size, text);
}

static int on_talk(CURL *easy, curl_infotype type, char *text, size_t size,
		   void *arg)
{
	struct http_call *call = arg;
	char line[LINE_MAX_KNOWN];

	(void)easy;
	if (call->is_verbose)
		show(type, text, size);
	if (type != CURLINFO_TEXT || size >= sizeof line)
		return 0;
	memcpy(line, text, size);
	line[size] = '\0';
	note(call, line);
	return 0;
}

void http__call_listen(struct http_call *call)
{
	call->connection = -1;
	call->farewells = call->talk->farewells;
	curl_library.easy_setopt(call->easy, CURLOPT_DEBUGFUNCTION, on_talk);
	curl_library.easy_setopt(call->easy, CURLOPT_DEBUGDATA, call);
	curl_library.easy_setopt(call->easy, CURLOPT_VERBOSE, 1L);
}

bool http__call_in_doubt(const struct http_call *call, CURLcode result)
{
	curl_off_t length = 0;
	const char *scheme = NULL;
	long version = 0;

	if (!call->http2 || result != CURLE_OK)
		return false;
	curl_library.easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
	curl_library.easy_getinfo(call->easy, CURLINFO_SCHEME, &scheme);
	curl_library.easy_getinfo(call->easy,
				  CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return version == CURL_HTTP_VERSION_2_0 && length < 0 &&
	       scheme != NULL && strcasecmp(scheme, "https") == 0;
}

bool http__call_is_cut(const struct http_call *call, CURLcode result)
{
	return http__call_in_doubt(call, result) && is_closed(call) &&
	       call->farewells == call->talk->farewells;
}

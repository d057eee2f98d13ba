/*
 * What libcurl says while it works, and what it does not: that a response was cut.
 *
 * When a session of HTTP/2 fails, for a header larger than nghttp2 takes or a frame that
 * is none, libcurl 7.88 ends all of its responses as if they were whole; those that
 * had a length it compares, the others not. That its connection is closed then, without
 * a GOAWAY of the server on it before, is only said to who listens. Of several
 * responses the last one's handle says it, perhaps a pass later, so
 * http_client.c keeps those that have ended until libcurl has no more to do at once.
 *
 * Lines are known by their beginning, which is libcurl's: what others choose, a user in
 * a redirect's URL or a certificate's names, is further on in a line.
 *
 * Of TLS libcurl shows each record that it reads. So a server whose frames bring nothing, for
 * as long as it likes, is left before it has held up the loop for long.
 *
 * A body without a length, by HTTP/1.1, ends with its connection. Over TLS that has to be said, or
 * anybody on the way could cut it; libcurl 7.88 takes any end, but shows the alert.
 *
 * Without TLS a connection of HTTP/2 cannot be used twice, and is not kept: but of one
 * that is closed behind each response nothing could be told. So libcurl is left to keep it
 * if it would, and then it is we who end it.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "net/curl_library.h"
#include "net/http_client.h"

enum {
	LINE_MAX_KNOWN = 512,
	TLS_HEADER = 5, /* bytes of a record's */
	/* Read of TLS in one turn of the loop without a byte for any response: more than
	 * what libcurl keeps of a hundred streams beside the one that it reads for. */
	JUNK_MAX = 16 * 1024 * 1024,
};

/* What is behind @a mark, if the line begins with that. */
static const char *behind(const char *line, const char *mark)
{
	size_t size = strlen(mark);

	return strncmp(line, mark, size) == 0 ? line + size : NULL;
}

/* The number that @a text begins with, and @a then is behind. False: there is none. */
static bool number_of(const char *text, const char *then, long *ret)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	*ret = strtol(text, &end, 10);
	return strncmp(end, then, strlen(then)) == 0;
}

/* libcurl gives no number twice; one more is kept, for 0 is none. */
static long *find(struct http_talk_ring *ring, long connection)
{
	for (size_t i = 0; connection >= 0 && i < HTTP_TALK_KEPT; i++) {
		if (ring->numbers[i] == connection + 1)
			return &ring->numbers[i];
	}
	return NULL;
}

static void remember(struct http_talk_ring *ring, long connection)
{
	if (connection >= 0 && find(ring, connection) == NULL)
		ring->numbers[ring->next++ % HTTP_TALK_KEPT] = connection + 1;
}

static bool forget(struct http_talk_ring *ring, long connection)
{
	long *place = find(ring, connection);

	if (place != NULL)
		*place = 0;
	return place != NULL;
}

/* The call is on a connection from now on, or no more. */
static bool note_place(struct http_call *call, const char *line)
{
	const char *last = strrchr(line, '(');
	long connection;

	if (number_of(behind(line, "Re-using existing connection #"), " with ",
		      &connection) ||
	    (behind(line, "Connected to ") != NULL &&
	     number_of(behind(last == NULL ? "" : last, "(#"), ")",
		       &connection))) {
		call->connection = connection;
		return true;
	}
	if (number_of(behind(line, "Connection #"), " to host ", &connection)) {
		/* It is kept: so it has not failed, and what is read of another one,
		 * while a place for a redirect is looked for, is not of this. */
		call->connection = -1;
		return true;
	}
	return false;
}

static void note(struct http_call *call, const char *line)
{
	struct http_client_talk *talk = call->talk;
	long connection;

	if (note_place(call, line)) {
		call->heard_end = false;
		return;
	}
	if (strncmp(line, "TLSv1.", 6) == 0 && line[6] != '\0') {
		talk->hears_tls = true;
		if (behind(line + 7, " (IN), TLS alert, close notify (") !=
		    NULL)
			call->heard_end = true;
		return;
	}
	if (behind(line, "recveived GOAWAY, ") != NULL ||
	    behind(line, "received GOAWAY, ") != NULL) {
		remember(&talk->leaving, call->connection);
	} else if (behind(line, "h2_process_pending_input: nghttp2_session_mem_"
				"recv() returned ") != NULL) {
		forget(&talk->leaving, call->connection);
	} else if (behind(line, "Connection cache is full") != NULL ||
		   number_of(behind(line, "Connection "), " seems to be dead",
			     &connection)) {
		talk->ends_idle = true;
	} else if (number_of(behind(line, "Closing connection "), "",
			     &connection)) {
		if (!forget(&talk->leaving, connection) && !talk->ends_idle)
			remember(&talk->broken, connection);
		talk->ends_idle = false;
	}
}

/* A record of TLS is being read: its header is shown. Frames of HTTP/2 that bring nothing to any
 * response libcurl reads in one go, for as long as there are some. */
static void note_record(struct http_call *call, const char *header)
{
	struct curl_tlssessioninfo *tls = NULL;

	http__call_turn(call);
	call->junk += (unsigned char)header[3] << 8 | (unsigned char)header[4];
	if (call->junk <= JUNK_MAX)
		return;
	curl_library.easy_getinfo(call->easy, CURLINFO_TLS_SSL_PTR, &tls);
	/* It finds that its peer has ended the connection. */
	if (tls != NULL && tls->backend == CURLSSLBACKEND_OPENSSL &&
	    tls->internals != NULL)
		SSL_set_shutdown(tls->internals, SSL_RECEIVED_SHUTDOWN);
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
	if (type == CURLINFO_SSL_DATA_IN && size == TLS_HEADER)
		note_record(call, text);
	if (type != CURLINFO_TEXT || size >= sizeof line)
		return 0;
	memcpy(line, text, size);
	line[size] = '\0';
	note(call, line);
	return 0;
}

void http__call_listen(struct http_call *call)
{
	if (call->listens)
		return;
	call->listens = true;
	call->connection = -1;
	curl_library.easy_setopt(call->easy, CURLOPT_DEBUGFUNCTION, on_talk);
	curl_library.easy_setopt(call->easy, CURLOPT_DEBUGDATA, call);
	curl_library.easy_setopt(call->easy, CURLOPT_VERBOSE, 1L);
}

static bool is_https(const struct http_call *call)
{
	const char *scheme = NULL;

	curl_library.easy_getinfo(call->easy, CURLINFO_SCHEME, &scheme);
	return scheme != NULL && strcasecmp(scheme, "https") == 0;
}

/* A body that is as long as the connection lasts? */
static bool ends_with_connection(const struct http_call *call)
{
	const char *method = NULL;
	long version = 0, status = 0;

	curl_library.easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
	curl_library.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_library.easy_getinfo(call->easy, CURLINFO_EFFECTIVE_METHOD,
				  &method);
	return version <= CURL_HTTP_VERSION_1_1 && !call->has_length &&
	       !call->is_chunked && status >= 200 && status != 204 &&
	       status != 304 && method != NULL && strcmp(method, "HEAD") != 0;
}

bool http__call_is_truncated(const struct http_call *call, CURLcode result)
{
	return result == CURLE_OK && !call->heard_end &&
	       call->talk->hears_tls && is_https(call) &&
	       ends_with_connection(call);
}

/* By HTTP/2, with no length that libcurl compares? */
static bool is_open_ended(const struct http_call *call)
{
	curl_off_t length = 0;
	long version = 0;

	if (!call->http2)
		return false;
	curl_library.easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
	curl_library.easy_getinfo(call->easy,
				  CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return version == CURL_HTTP_VERSION_2_0 && length < 0;
}

void http__call_begins_body(struct http_call *call)
{
	if (!is_open_ended(call) || is_https(call))
		return;
	call->parts = true;
	curl_library.easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 0L);
}

void http__call_part(struct http_call *call)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (!call->parts)
		return;
	if (call->connection >= 0) { /* libcurl has yet to let go of it */
		curl_library.easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
		return;
	}
	curl_library.easy_getinfo(call->easy, CURLINFO_ACTIVESOCKET, &fd);
	if (fd != CURL_SOCKET_BAD)
		shutdown(fd, SHUT_RDWR);
}

bool http__call_in_doubt(const struct http_call *call, CURLcode result)
{
	return result == CURLE_OK && is_open_ended(call);
}

bool http__call_is_cut(const struct http_call *call, CURLcode result)
{
	return http__call_in_doubt(call, result) &&
	       find(&call->talk->broken, call->connection) != NULL;
}

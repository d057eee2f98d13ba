/* Requests to other servers. See http_client.h. */
#include "net/http_client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/curl_library.h"
#include "runtime/loop.h"

struct http_client {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	/* What libcurl wants to do at once, it does once in a turn of the loop. A timer
	 * of no time that is set by itself libuv 1.44 runs again in the same turn: while a
	 * server sends as fast as we read nobody else would have theirs. */
	uv_idle_t pressed;
	struct http_client_stat stat;
	struct list unwatched; /* calls whose descriptor could not be watched */
	struct http_client_talk talk;
	uint64_t turns;       /* of the loop in which libcurl has acted */
	unsigned calls;       /* with a handle of libcurl */
	uint8_t handles_open; /* of timer and pressed */
	bool closed;          /* by its owner */
};

/* One of libcurl's descriptors, while it waits for it. */
struct watch {
	uv_poll_t poll;
	struct http_client *client;
	curl_socket_t fd;
	int events; /* of libuv */
};

enum {
	PASSES = 8, /* that a call in doubt is kept for */
	/* Of libcurl's progress, in one turn of the loop. It is told of once for each read,
	 * and those have a bound, but for what a proxy answers to CONNECT: that is read
	 * byte by byte, until it ends. */
	UPDATES = 65536,
};

/* --- the loop's side --- */

/* libcurl has limits for headers, but names other reasons when they are reached. */
static const char *limit_of(const struct http_call *call, CURLcode result)
{
	curl_off_t first = 0; /* when a byte came, in microseconds */

	curl_library.easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME_T,
				  &first);
	if (result == CURLE_OUT_OF_MEMORY && first > 0 && !call->is_trailer)
		return "headers have a line of more than 100 KB, which libcurl "
		       "does not take";
	if (result == CURLE_RECV_ERROR &&
	    strstr(call->problem, "Out of memory in chunked") != NULL)
		return "trailers have a line of more than 4 KB, which libcurl "
		       "does not take";
	if (result == CURLE_RECV_ERROR &&
	    strstr(call->problem, "nghttp2_session_mem_recv() returned -902"))
		return "headers are larger than libcurl takes by HTTP/2 (128 "
		       "KB, in 7.88): see http_version";
	return NULL;
}

static void tell_limit(struct http_call *call, CURLcode result)
{
	static const char empty[] =
		"Empty reply from server, or a header of more than 64 KB, "
		"which is not taken by HTTP/2: see http_version";
	const char *limit = call->error == 0 ? limit_of(call, result) : NULL;

	if (limit != NULL) {
		call->error = UV_EMSGSIZE;
		snprintf(call->problem, sizeof call->problem,
			 "the response's %s", limit);
	} else if (call->error == UV_EMSGSIZE) {
		snprintf(call->problem, sizeof call->problem,
			 "the response's headers are larger than %d bytes",
			 HTTP_CALL_HEAD_MAX);
	} else if (result == CURLE_GOT_NOTHING && call->http2) {
		memcpy(call->problem, empty, sizeof empty);
	}
}

static void end(struct http_call *call, CURLcode result)
{
	struct http_client_stat *stat = &call->client->stat;
	long status = 0;

	if (call->trusts_nobody && result == CURLE_SSL_CACERT_BADFILE)
		snprintf(call->problem, sizeof call->problem,
			 "the authorities cannot be read: %s", call->ca_file);
	if (result == CURLE_OK && !call->is_trailer) {
		/* libcurl takes that for a whole one. */
		result = CURLE_PARTIAL_FILE;
		snprintf(call->problem, sizeof call->problem,
			 "the response ended within its headers");
	}
	if (http__call_is_cut(call, result)) {
		result = CURLE_PARTIAL_FILE;
		snprintf(call->problem, sizeof call->problem,
			 "the connection of HTTP/2 broke before the end of "
			 "the response, or one on it had a header or trailer "
			 "of more than 64 KB: see http_version");
	}
	if (http__call_is_truncated(call, result)) {
		result = CURLE_PARTIAL_FILE;
		snprintf(call->problem, sizeof call->problem,
			 "the response's connection ended without saying so: "
			 "it may have been cut");
	}
	if (call->error == UV_EPROTO)
		snprintf(call->problem, sizeof call->problem,
			 "the proxy's answer does not end");
	if (call->error == UV_EINVAL)
		snprintf(call->problem, sizeof call->problem,
			 "the response's Content-Length is none, or there are "
			 "two");
	tell_limit(call, result);
	http__call_part(call);
	curl_library.multi_remove_handle(call->client->multi, call->easy);
	curl_library.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	call->state = HTTP_CALL_ENDED;
	call->result = result;
	list_del(&call->unwatched);
	list_del(&call->ended);
	stat->active--;
	if (result != CURLE_OK)
		stat->failed++;
	else if (status == 200)
		stat->ok++;
	else
		stat->other++;
	cond_broadcast(&call->changed);
}

/* Those that libcurl is done with go to the talk's list. True: of one it has yet to
 * be seen whether that was its end. */
static bool take_ended(struct http_client *c)
{
	CURLMsg *msg;
	bool doubt = false;
	int left;

	while ((msg = curl_library.multi_info_read(c->multi, &left)) != NULL) {
		CURLcode result = msg->data.result;
		struct http_call *call;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_library.easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
					  (char **)&call);
		call->result = result;
		list_del(&call->ended);
		list_add_tail(&c->talk.ended, &call->ended);
		doubt |= http__call_in_doubt(call, result);
	}
	return doubt;
}

/* What libcurl wants to do at once it does. */
static bool is_pressed(const struct http_client *c)
{
	return uv_is_active((const uv_handle_t *)&c->pressed);
}

static void act(struct http_client *c, curl_socket_t fd, int events)
{
	bool doubt;
	int running;

	c->turns++;
	curl_library.multi_socket_action(c->multi, fd, events, &running);
	doubt = take_ended(c);
	for (int i = 0; doubt && is_pressed(c) && i < PASSES; i++) {
		uv_idle_stop(&c->pressed);
		curl_library.multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT,
						 0, &running);
		take_ended(c);
	}
	while (!list_empty(&c->talk.ended)) {
		struct http_call *call =
			list_entry(c->talk.ended.next, struct http_call, ended);

		end(call, call->result);
	}
	while (!list_empty(&c->unwatched)) {
		struct http_call *call = list_entry(
			c->unwatched.next, struct http_call, unwatched);

		call->error = UV_ENOMEM;
		end(call, CURLE_OUT_OF_MEMORY);
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	const struct watch *w = poll->data;
	int what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
		   (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

	if (status < 0) {
		/* It was stopped. libcurl finds out what there is by itself. */
		uv_poll_start(poll, w->events, on_ready);
		what = CURL_CSELECT_IN | CURL_CSELECT_OUT;
	}
	act(w->client, w->fd, what);
}

static void on_timer(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_pressed(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	act(idle->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_watch_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static struct watch *watch_new(struct http_client *c, curl_socket_t fd)
{
	struct watch *w = mem_zalloc(sizeof *w);

	if (w == NULL)
		return NULL;
	if (uv_poll_init(c->loop, &w->poll, fd) != 0) {
		mem_free(w);
		return NULL;
	}
	w->poll.data = w;
	w->client = c;
	w->fd = fd;
	curl_library.multi_assign(c->multi, fd, w);
	return w;
}

/* Telling libcurl would end all calls of the client. */
static void give_up(struct http_client *c, CURL *easy)
{
	struct http_call *call = NULL;

	curl_library.easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
	if (call == NULL)
		return; /* it closes a connection */
	list_del(&call->unwatched);
	list_add_tail(&c->unwatched, &call->unwatched);
	uv_idle_start(&c->pressed, on_pressed);
}

/* What libcurl waits for has changed. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
		     void *assigned)
{
	struct http_client *c = arg;
	struct watch *w = assigned;

	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) |
		     (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			curl_library.multi_assign(c->multi, fd, NULL);
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		}
		return 0;
	}
	if (w == NULL)
		w = watch_new(c, fd);
	if (w == NULL || uv_poll_start(&w->poll, events, on_ready) != 0) {
		give_up(c, easy);
		return 0;
	}
	w->events = events;
	return 0;
}

static int on_timeout_change(CURLM *multi, long ms, void *arg)
{
	struct http_client *c = arg;

	(void)multi;
	if (!list_empty(&c->unwatched))
		ms = 0;
	uv_timer_stop(&c->timer);
	uv_idle_stop(&c->pressed);
	if (ms == 0)
		uv_idle_start(&c->pressed, on_pressed);
	else if (ms > 0)
		uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

/* --- clients --- */

int http_client_new(struct loop *loop, const struct http_client_limits *limits,
		    struct http_client **ret)
{
	struct http_client *c;

	if (curl_library_load() != NULL)
		return UV_ENOSYS;
	c = mem_zalloc(sizeof *c);
	if (c == NULL)
		return UV_ENOMEM;
	c->multi = inject("http_client.multi") ? NULL
					       : curl_library.multi_init();
	if (c->multi == NULL) {
		mem_free(c);
		return UV_ENOMEM;
	}
	c->loop = &loop->uv;
	list_init(&c->unwatched);
	list_init(&c->talk.ended);
	uv_timer_init(c->loop, &c->timer);
	c->timer.data = c;
	uv_idle_init(c->loop, &c->pressed);
	c->pressed.data = c;
	c->handles_open = 2;
#define SET(option, value) \
	curl_library.multi_setopt(c->multi, CURLMOPT_##option, value)
	SET(SOCKETFUNCTION, on_socket);
	SET(SOCKETDATA, c);
	SET(TIMERFUNCTION, on_timeout_change);
	SET(TIMERDATA, c);
	SET(MAXCONNECTS, limits->connections);
	SET(MAX_HOST_CONNECTIONS, limits->host_connections);
	SET(MAX_TOTAL_CONNECTIONS, limits->total_connections);
	SET(PIPELINING, CURLPIPE_MULTIPLEX);
#undef SET
	*ret = c;
	return 0;
}

static void on_client_closed(uv_handle_t *handle)
{
	struct http_client *c = handle->data;

	if (--c->handles_open == 0)
		mem_free(c);
}

static void free_if_unused(struct http_client *c)
{
	if (!c->closed || c->calls > 0)
		return;
	curl_library.multi_cleanup(c->multi); /* closes descriptors */
	uv_close((uv_handle_t *)&c->timer, on_client_closed);
	uv_close((uv_handle_t *)&c->pressed, on_client_closed);
}

void http_client_close(struct http_client *c)
{
	c->closed = true;
	free_if_unused(c);
}

const struct http_client_stat *http_client_stat(const struct http_client *c)
{
	return &c->stat;
}

/* --- what libcurl calls while it acts --- */

/* A new response begins: the last one, unless it says that there is another. */
static void begin_head(struct http_call *call)
{
	call->head.size = 0;
	call->trailers.size = 0;
	call->is_trailer = call->has_location = call->has_length = false;
	call->is_chunked = false;
}

static bool is_final(const struct http_call *call)
{
	long status = 0;

	curl_library.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return false;
	return !(call->follows && call->has_location && status >= 300 &&
		 status < 400);
}

static size_t on_header(char *data, size_t one, size_t size, void *arg)
{
	struct http_call *call = arg;
	struct buf *b;

	(void)one;
	call->junk = 0;
	if (size >= 5 && memcmp(data, "HTTP/", 5) == 0)
		begin_head(call);
	b = call->is_trailer ? &call->trailers : &call->head;
	if (call->head.size + call->trailers.size + size > HTTP_CALL_HEAD_MAX) {
		call->error = UV_EMSGSIZE;
		return 0;
	}
	if (!call->is_trailer && !http__call_check_line(call, data, size)) {
		call->error = UV_EINVAL;
		return 0;
	}
	if (call->has_location && call->follows)
		http__call_listen(call); /* it may lead to https */
	if (buf_append(b, data, size) != 0) {
		call->error = UV_ENOMEM;
		return 0;
	}
	if (size <= 2 && !call->is_trailer && is_final(call)) {
		call->is_trailer = true;
		call->state = HTTP_CALL_HEADERS;
		http__call_begins_body(call);
		if (call->http2 && call->streams_in && call->decodes)
			curl_library.easy_setopt(call->easy, CURLOPT_BUFFERSIZE,
						 (long)HTTP_CALL_DECODED);
		cond_broadcast(&call->changed);
	}
	return size;
}

/* What is decoded would be kept by libcurl all the same, but not counted: up to a
 * limit it is better here. */
static bool is_full(const struct http_call *call)
{
	if (!call->streams_in || call->body.size < call->window)
		return false;
	return !call->decodes || call->limit == 0 ||
	       call->limit > HTTP_CALL_KEPT_MAX;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
	struct http_call *call = arg;

	(void)one;
	call->junk = 0;
	if (is_full(call)) {
		call->held_in = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (call->state < HTTP_CALL_HEADERS)
		return size; /* of a redirect */
	if (call->limit != 0 && size > call->limit - call->got) {
		call->error = UV_E2BIG;
		return 0;
	}
	if (buf_append(&call->body, data, size) != 0) {
		call->error = UV_ENOMEM;
		return 0;
	}
	call->got += size;
	if (call->streams_in)
		cond_broadcast(&call->changed);
	return size;
}

static size_t on_send(char *to, size_t one, size_t room, void *arg)
{
	struct http_call *call = arg;
	size_t left = call->sent_size - call->out_sent, n;

	room *= one;
	if (!call->streams_out) {
		n = left < room ? left : room;
		memcpy(to, call->sent + call->out_sent, n);
		call->out_sent += n;
		return n;
	}
	if (call->out.size == 0 && !call->out_ended) {
		call->held_out = true;
		return CURL_READFUNC_PAUSE;
	}
	n = call->out.size < room ? call->out.size : room;
	memcpy(to, call->out.data, n);
	buf_consume(&call->out, n);
	cond_broadcast(&call->changed);
	return n;
}

/* A redirect or a new connection wants the body once more. */
static int on_rewind(void *arg, curl_off_t offset, int origin)
{
	struct http_call *call = arg;

	if (call->streams_out || origin != SEEK_SET || offset < 0 ||
	    (size_t)offset > call->sent_size)
		return CURL_SEEKFUNC_FAIL;
	call->out_sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

void http__call_turn(struct http_call *call)
{
	if (call->turn == call->client->turns)
		return;
	call->turn = call->client->turns;
	call->updates = 0;
	call->junk = 0;
}

static int on_progress(void *arg, curl_off_t all, curl_off_t got,
		       curl_off_t to_send, curl_off_t sent)
{
	struct http_call *call = arg;

	(void)all;
	(void)got;
	(void)to_send;
	(void)sent;
	http__call_turn(call);
	if (++call->updates <= UPDATES)
		return 0;
	call->error = UV_EPROTO;
	return 1;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose,
			     struct curl_sockaddr *address)
{
	struct http_client *c = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
			address->protocol);

	(void)purpose;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	c->stat.opened++;
	return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
	struct http_client *c = arg;

	c->stat.closed++;
	return close(fd);
}

/* --- calls --- */

int http_call_create(struct http_call *call, struct http_client *c)
{
	memset(call, 0, sizeof *call);
	call->easy = inject("http_client.call") ? NULL
						: curl_library.easy_init();
	if (call->easy == NULL)
		return UV_ENOMEM;
	call->client = c;
	c->calls++;
	cond_create(&call->changed);
	list_init(&call->unwatched);
	list_init(&call->ended);
	call->talk = &c->talk;
	call->window = HTTP_CALL_WINDOW;
#define SET(option, value) \
	curl_library.easy_setopt(call->easy, CURLOPT_##option, value)
	SET(PRIVATE, call);
	SET(ERRORBUFFER, call->problem);
	SET(NOSIGNAL, 1L);
	SET(NOPROGRESS, 0L);
	SET(XFERINFOFUNCTION, on_progress);
	SET(XFERINFODATA, call);
	/* Its end does not wait, with the loop, for a name server. */
	SET(QUICK_EXIT, 1L);
	SET(PROTOCOLS_STR, "http,https");
	SET(REDIR_PROTOCOLS_STR, "http,https");
	SET(SUPPRESS_CONNECT_HEADERS, 1L);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, call);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, call);
	SET(READFUNCTION, on_send);
	SET(READDATA, call);
	SET(SEEKFUNCTION, on_rewind);
	SET(SEEKDATA, call);
	/* A connection outlives the call that opened it. */
	SET(OPENSOCKETFUNCTION, on_open);
	SET(OPENSOCKETDATA, c);
	SET(CLOSESOCKETFUNCTION, on_close);
	SET(CLOSESOCKETDATA, c);
#undef SET
	return http__call_trust_system(call);
}

int http_call_add_header(struct http_call *call, const char *line)
{
	struct curl_slist *list =
		inject("http_client.header")
			? NULL
			: curl_library.slist_append(call->headers, line);

	if (list == NULL)
		return UV_ENOMEM;
	call->headers = list;
	return 0;
}

int http_call_connect_to(struct http_call *call, const char *text)
{
	struct curl_slist *list =
		inject("http_client.header")
			? NULL
			: curl_library.slist_append(call->connect_to, text);

	if (list == NULL)
		return UV_ENOMEM;
	call->connect_to = list;
	curl_library.easy_setopt(call->easy, CURLOPT_CONNECT_TO, list);
	return 0;
}

int http_call_start(struct http_call *call)
{
	struct http_client *c = call->client;

	assert(call->state == HTTP_CALL_NEW);
	if (call->http2) {
		curl_library.easy_setopt(call->easy, CURLOPT_BUFFERSIZE,
					 (long)HTTP_CALL_HTTP2_HEAD);
	} else if (call->streams_in && call->decodes) {
		curl_library.easy_setopt(call->easy, CURLOPT_BUFFERSIZE,
					 (long)HTTP_CALL_DECODED);
	}
	if (call->http2 || call->secure)
		http__call_listen(call);
	curl_library.easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	if (inject("http_client.start") ||
	    curl_library.multi_add_handle(c->multi, call->easy) != CURLM_OK)
		return UV_ENOMEM;
	call->state = HTTP_CALL_STARTED;
	c->stat.active++;
	c->stat.total++;
	return 0;
}

void http_call_abort(struct http_call *call)
{
	if (call->state != HTTP_CALL_STARTED &&
	    call->state != HTTP_CALL_HEADERS)
		return;
	if (call->error == 0)
		call->error = UV_ECANCELED;
	end(call, CURLE_ABORTED_BY_CALLBACK);
}

void http_call_destroy(struct http_call *call)
{
	struct http_client *c = call->client;

	if (call->easy == NULL)
		return;
	http_call_abort(call);
	curl_library.easy_cleanup(call->easy);
	call->easy = NULL;
	curl_library.slist_free_all(call->headers);
	curl_library.slist_free_all(call->connect_to);
	mem_free(call->ca_file);
	mem_free(call->ca_path);
	cond_destroy(&call->changed);
	buf_destroy(&call->head);
	buf_destroy(&call->trailers);
	buf_destroy(&call->body);
	buf_destroy(&call->out);
	c->calls--;
	free_if_unused(c);
}

/* Go on with whatever it was held back for. */
static void go_on(struct http_call *call)
{
	CURLcode rc;

	call->held_in = call->held_out = false;
	rc = curl_library.easy_pause(call->easy, CURLPAUSE_CONT);
	/* What it had kept may be lost. */
	if (rc != CURLE_OK && call->state != HTTP_CALL_ENDED)
		end(call, rc);
}

void http_call_take(struct http_call *call, size_t size)
{
	buf_consume(&call->body, size);
	/* Not for each byte: what libcurl has kept is copied each time. */
	if (call->held_in && call->body.size <= call->window / 2 &&
	    call->state != HTTP_CALL_ENDED)
		go_on(call);
}

void http_call_want(struct http_call *call)
{
	if (call->held_in && call->body.size < call->window &&
	    call->state != HTTP_CALL_ENDED)
		go_on(call);
}

int http_call_send(struct http_call *call, const void *data, size_t size)
{
	int rc = buf_append(&call->out, data, size);

	if (rc == 0 && call->held_out && call->state != HTTP_CALL_ENDED)
		go_on(call);
	return rc;
}

void http_call_send_end(struct http_call *call)
{
	call->out_ended = true;
	if (call->held_out && call->state != HTTP_CALL_ENDED)
		go_on(call);
}

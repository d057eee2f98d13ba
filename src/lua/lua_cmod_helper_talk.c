/* What is said to a helper process and heard from it. See
 * lua_cmod_helper_talk.h. */
#include "lua/lua_cmod_helper_talk.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/isolate_child.h"
#include "lua/lua_cmod_helper.h"

enum {
	SCRATCH = 64 * 1024,
	LOST_MS = 100,    /* for a process without a socket to be dead */
	CPU_NS = 1000000, /* between readings of its CPU clock, at least */
};

/* What did not go out at once. */
struct rest {
	uv_write_t req;
	struct isolate_head head;
	struct buf body;
};

static __thread char scratch[SCRATCH];

/* --- what comes out of the socket --- */

static bool is_answer(const struct isolate_reader *in)
{
	if (in->head.kind == ISOLATE_RESULTS)
		return isolate_check_results(in->body.data, in->body.size,
					     in->head.count);
	return in->head.kind == ISOLATE_ERROR;
}

static void fail_garbage(struct lua_cmod_helper *h)
{
	lua_cmod_helper__fail(
		h, lua_cmod_helper__error(
			   "%s: its helper process has sent what is no answer, "
			   "and was killed: something has written to its "
			   "descriptor %d",
			   h->name, ISOLATE_SOCKET_FD));
}

static void take_started(struct lua_cmod_helper *h)
{
	const struct isolate_reader *in = &h->in;
	struct error *e = NULL;

	if (in->head.kind == ISOLATE_READY && in->head.size == 0) {
		isolate_reader_next(&h->in);
		lua_cmod_helper__stop_timer(h);
		lua_cmod_helper__read_cpu(h);
		lua_cmod_helper__set_state(h, HELPER_IDLE);
		if (h->owner != NULL)
			h->owner->on_ready(h);
		return;
	}
	if (in->head.kind == ISOLATE_ERROR)
		e = isolate_get_error(in->body.data, in->body.size);
	if (e != NULL)
		lua_cmod_helper__fail(h, e);
	else
		fail_garbage(h);
}

static void take_frame(struct lua_cmod_helper *h)
{
	if (h->in.head.serial != h->serial || !lua_cmod_helper__is_working(h)) {
		fail_garbage(h);
	} else if (h->state == HELPER_STARTING) {
		take_started(h);
	} else if (!is_answer(&h->in)) {
		fail_garbage(h);
	} else {
		lua_cmod_helper__stop_timer(h);
		if (uv_hrtime() - h->read_ns >= CPU_NS)
			lua_cmod_helper__read_cpu(h);
		lua_cmod_helper__set_state(h, HELPER_IDLE);
		/* Its last word; or it has not even read the question. */
		if (h->in.head.kind == ISOLATE_ERROR && h->in.head.count != 0)
			lua_cmod_helper_kill(h);
		else if (uv_stream_get_write_queue_size(
				 (uv_stream_t *)&h->pipe) > 0)
			lua_cmod_helper_kill(h);
		if (h->owner != NULL)
			h->owner->on_answer(h);
	}
}

static void fail_feed(struct lua_cmod_helper *h, int rc)
{
	if (rc == UV_EMSGSIZE)
		lua_cmod_helper__fail(
			h, lua_cmod_helper__error(
				   "%s: its results have %llu bytes, at most "
				   "%llu are allowed (option 'memory')",
				   h->name, (unsigned long long)h->in.head.size,
				   (unsigned long long)h->in.size_max));
	else if (rc == UV_ENOMEM)
		lua_cmod_helper__fail(
			h, error_new(&OutOfMemory, ER_MEMORY_ISSUE, NULL, 0,
				     "not enough memory: %llu bytes for the "
				     "results of %s",
				     (unsigned long long)h->in.head.size,
				     h->name));
	else
		fail_garbage(h);
}

static void take(struct lua_cmod_helper *h, const char *data, size_t size)
{
	bool complete;
	ssize_t n;

	if (!lua_cmod_helper__is_working(h)) {
		fail_garbage(h);
		return;
	}
	n = isolate_reader_feed(&h->in, data, size, &complete);
	if (n < 0) {
		fail_feed(h, (int)n);
		return;
	}
	/* One answer to one question: more is none of ours. */
	if ((size_t)n < size)
		fail_garbage(h);
	else if (complete)
		take_frame(h);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	(void)handle, (void)size;
	*buf = uv_buf_init(scratch, sizeof scratch);
}

/* The end of the socket says that it is about to die, which the pidfd will
 * tell, and of what; or that the library closes what it does not know. */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct lua_cmod_helper *h = stream->data;

	if (n > 0) {
		take(h, buf->base, (size_t)n);
	} else if (n < 0 && h->state < HELPER_DYING) {
		h->quiet = h->quiet || !lua_cmod_helper__is_working(h);
		lua_cmod_helper__stop_timer(h);
		uv_read_stop(stream);
		lua_cmod_helper__set_state(h, HELPER_DYING);
		lua_cmod_helper__start_timer(h, LOST_MS * 1000000ull);
	} else if (n < 0) {
		uv_read_stop(stream);
	}
}

int lua_cmod_helper__listen(struct lua_cmod_helper *h)
{
	return uv_read_start((uv_stream_t *)&h->pipe, on_alloc, on_read);
}

void lua_cmod_helper__read_last_words(struct lua_cmod_helper *h)
{
	ssize_t n;
	int fd;

	if (uv_fileno((uv_handle_t *)&h->pipe, &fd) != 0)
		return;
	while (lua_cmod_helper__is_working(h)) {
		n = read(fd, scratch, sizeof scratch);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		take(h, scratch, (size_t)n);
	}
}

/* --- what goes in --- */

static void on_written(uv_write_t *req, int status)
{
	struct rest *r = req->data;

	/* Why it failed tells the end of the socket, or the pidfd. */
	(void)status;
	buf_destroy(&r->body);
	mem_free(r);
}

/* What is left of a frame of which @a done bytes are gone. */
static int send_rest(struct lua_cmod_helper *h, const struct isolate_head *head,
		     struct buf *body, size_t done)
{
	struct rest *r = mem_zalloc(sizeof *r);
	uv_buf_t bufs[2];
	unsigned n = 0;
	int rc;

	if (r == NULL)
		return UV_ENOMEM;
	r->req.data = r;
	r->head = *head;
	r->body = *body;
	if (done < sizeof *head) {
		bufs[n++] = uv_buf_init((char *)&r->head + done,
					(unsigned)(sizeof *head - done));
		done = sizeof *head;
	}
	done -= sizeof *head;
	bufs[n++] = uv_buf_init(r->body.data + done,
				(unsigned)(r->body.size - done));
	rc = uv_write(&r->req, (uv_stream_t *)&h->pipe, bufs, n, on_written);
	if (rc != 0) {
		mem_free(r);
		return rc;
	}
	*body = (struct buf){ .limit = body->limit };
	return 0;
}

int lua_cmod_helper__send(struct lua_cmod_helper *h, enum isolate_kind kind,
			  struct buf *body)
{
	struct isolate_head head = isolate_head(kind, h->serial, body->size, 0);
	uv_buf_t bufs[2] = {
		uv_buf_init((char *)&head, sizeof head),
		uv_buf_init(body->data, (unsigned)body->size),
	};
	int n = uv_try_write((uv_stream_t *)&h->pipe, bufs, 2);

	if (n == UV_EAGAIN)
		n = 0;
	if (n < 0)
		return n;
	if ((size_t)n == sizeof head + body->size)
		return 0;
	return send_rest(h, &head, body, (size_t)n);
}

int lua_cmod_helper_ask(struct lua_cmod_helper *h, struct buf *args,
			uint64_t timeout_ns)
{
	int rc;

	assert(h->state == HELPER_IDLE);
	h->serial++;
	isolate_reader_next(&h->in);
	rc = lua_cmod_helper__send(h, ISOLATE_CALL, args);
	if (rc != 0) {
		lua_cmod_helper_kill(h);
		return rc;
	}
	lua_cmod_helper__set_state(h, HELPER_BUSY);
	lua_cmod_helper__start_timer(h, timeout_ns);
	return 0;
}

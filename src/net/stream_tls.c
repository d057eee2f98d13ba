/*
 * TLS under a stream: a carrier of the engine (tls.h) between libuv's reads and
 * the protocol.
 *
 * The engine takes what one read has brought, all of it, so nothing is left over
 * when the read is done; what that was, decrypted, is given to the protocol in one
 * piece, however many records it came in. What is encrypted is gathered in the
 * group's buffer and leaves in one write, so many records cost one system call.
 * That buffer is empty whenever nothing here is at work.
 */
#include "net/stream_tls.h"

#include <assert.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "net/tls.h"
#include "net/tls_context.h"

enum {
	/* A record that was not whole before, and OpenSSL's read ahead. */
	PLAIN_EXCESS = 32 << 10,
	SEALED_MAX = 256 << 10, /* encrypted before a write */
	SEALED_KEEP = 96 << 10,
	/* A hello and a chain of certificates are less, by OpenSSL's limits. */
	GREETING_MAX = 256 << 10,
	/* Answers of TLS's own to one who asks for them and reads none. */
	FLOOD = 256 << 10,
};

struct stream_tls {
	struct tls *tls;
	struct stream *stream;
	const char *in; /* of the read at work: not taken yet */
	size_t in_size;
	size_t received; /* during the handshake */
	size_t flood;    /* of TLS's own since all has left, at the most */
	bool ended;      /* the socket's input has */
	bool greeting;
};

int stream_group_set_tls(struct stream_group *group,
			 struct tls_context *context)
{
	if (group->plain == NULL)
		group->plain = mem_alloc(group->buffer_size + PLAIN_EXCESS);
	if (group->plain == NULL)
		return UV_ENOMEM;
	tls_context_unref(group->tls);
	group->tls = tls_context_ref(context);
	return 0;
}

void stream_group_drop_tls(struct stream_group *group)
{
	tls_context_unref(group->tls);
	group->tls = NULL;
	mem_free(group->plain);
	group->plain = NULL;
	buf_destroy(&group->sealed);
}

/* --- the carrier --- */

static ssize_t carrier_recv(void *arg, void *to, size_t size)
{
	struct stream_tls *t = arg;
	size_t n = t->in_size < size ? t->in_size : size;

	if (n == 0)
		return t->ended ? 0 : UV_EAGAIN;
	memcpy(to, t->in, n);
	t->in += n;
	t->in_size -= n;
	return (ssize_t)n;
}

/* Never refuses: what TLS says by itself is bounded by FLOOD, the rest by who
 * writes. */
static ssize_t carrier_send(void *arg, const void *data, size_t size)
{
	const struct stream_tls *t = arg;
	int rc = buf_append(&t->stream->group->sealed, data, size);

	return rc != 0 ? rc : (ssize_t)size;
}

/* What was gathered leaves. */
static int send_sealed(struct stream *s)
{
	struct buf *sealed = &s->group->sealed;
	uv_buf_t buf = uv_buf_init(sealed->data, (unsigned)sealed->size);
	int rc = stream__write_raw(s, &buf, 1);

	buf_reset(sealed, SEALED_KEEP);
	return rc;
}

int stream__tls_begin(struct stream *s)
{
	struct stream_tls *t = mem_zalloc(sizeof(*t));
	const struct tls_io io = { carrier_recv, carrier_send, t };

	if (t == NULL)
		return UV_ENOMEM;
	t->stream = s;
	t->greeting = true;
	t->tls = tls_new(s->group->tls, NULL, &io);
	if (t->tls == NULL) { /* a server's has no name that could be bad */
		diag_clear();
		mem_free(t);
		return UV_ENOMEM;
	}
	s->tls = t;
	return 0;
}

void stream__tls_free(struct stream *s)
{
	if (s->tls == NULL)
		return;
	tls_delete(s->tls->tls);
	mem_free(s->tls);
	s->tls = NULL;
}

bool stream__tls_is_greeting(const struct stream *s)
{
	return s->tls->greeting;
}

bool stream__tls_has_input(const struct stream *s)
{
	return tls_has_input(s->tls->tls);
}

bool stream_tls_info(const struct stream *s, struct tls_info *ret_info)
{
	return s->tls != NULL && tls_info(s->tls->tls, ret_info);
}

bool stream_tls_speaks(const struct stream *s, const char *protocol)
{
	return s->tls != NULL && tls_speaks(s->tls->tls, protocol);
}

/* --- reading --- */

/* From here on the stream is plain, for a last word or none. */
static void greeting_failed(struct stream *s, int rc)
{
	stream__tls_free(s);
	s->group->on_greeted(s, rc);
}

/* No record of TLS begins like the name of a method. */
static bool is_plain_http(const struct stream_tls *t)
{
	return t->received == 0 && t->in_size > 0 && t->in[0] >= 'A' &&
	       t->in[0] <= 'Z';
}

/* Go on with the handshake. True: it is done, there may be more. */
static bool greet(struct stream *s)
{
	struct stream_tls *t = s->tls;
	int rc, sent;

	if (is_plain_http(t)) {
		greeting_failed(s, UV_EPROTONOSUPPORT);
		return false;
	}
	t->received += t->in_size;
	rc = tls_handshake(t->tls);
	sent = send_sealed(s); /* an alert, too */
	if (sent != 0)
		rc = sent;
	if (rc == UV_EAGAIN && t->received <= GREETING_MAX)
		return false;
	if (rc != 0) {
		greeting_failed(s, rc == UV_EAGAIN ? UV_EMSGSIZE : rc);
		return false;
	}
	t->greeting = false;
	s->group->on_greeted(s, 0);
	return !uv_is_closing(&s->uv.handle);
}

/* All that can be decrypted into the group's buffer; *ret_end: what comes behind
 * it, UV_EAGAIN if nothing yet. */
static size_t decrypt(struct stream *s, ssize_t *ret_end)
{
	struct stream_group *group = s->group;
	size_t room = group->buffer_size + PLAIN_EXCESS, size = 0;
	ssize_t n;

	do {
		n = tls_read(s->tls->tls, group->plain + size, room - size,
			     false);
		size += n > 0 ? (size_t)n : 0;
	} while (n > 0 && size < room);
	*ret_end = n;
	return size;
}

void stream__tls_read(struct stream *s, const char *data, ssize_t size)
{
	struct stream_tls *t = s->tls;
	struct stream_group *group = s->group;
	ssize_t end;
	size_t have;
	int sent = 0;

	t->ended = size == UV_EOF;
	t->in = data;
	t->in_size = size > 0 ? (size_t)size : 0;
	if (size < 0 && size != UV_EOF) {
		if (t->greeting)
			greeting_failed(s, (int)size);
		else
			group->on_read(s, NULL, size);
		return;
	}
	if (t->greeting && !greet(s))
		return;
	do {
		have = decrypt(s, &end);
		t->flood = stream_unsent(s) > 0 ? t->flood + group->sealed.size
						: 0;
		sent = send_sealed(s);
		if (t->flood > FLOOD)
			sent = UV_ENOBUFS;
		if (have > 0)
			group->on_read(s, group->plain, (ssize_t)have);
		if (uv_is_closing(&s->uv.handle))
			return;
	} while (end > 0); /* does not happen: the buffer has room for all */
	if (end == UV_EAGAIN && sent == 0)
		return;
	stream_read_stop(s);
	group->on_read(s, NULL,
		       end == UV_EAGAIN ? sent
		       : end == 0       ? UV_EOF
					: end);
}

/* --- writing --- */

static int seal(struct stream *s, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = tls_write(s->tls->tls, data, size);

		if (n < 0)
			return (int)n;
		data += n;
		size -= (size_t)n;
		if (s->group->sealed.size >= SEALED_MAX) {
			int rc = send_sealed(s);

			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

int stream__tls_write(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
	int rc = 0, sent;

	assert(s->group->sealed.size == 0);
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = seal(s, bufs[i].base, bufs[i].len);
	sent = send_sealed(s);
	return rc != 0 ? rc : sent;
}

int stream__tls_end(struct stream *s)
{
	int rc = tls_shutdown(s->tls->tls);
	int sent = send_sealed(s);

	return rc != 0 ? rc : sent;
}

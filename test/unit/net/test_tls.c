/*
 * The TLS engine over a carrier in memory: handshakes in the smallest pieces either
 * way, cut and reset after every byte, no room at all, memory that fails; contexts,
 * names and sessions. The certificates are made here, without files of others.
 */
#include "tls_cert.h"
#include "unit.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "net/tls.h"
#include "net/tls_context.h"

/* --- the carrier: two pipes of memory, which can be narrow and be cut --- */

struct pipe {
	char data[1 << 17];
	size_t from, to;
	size_t room;  /* of bytes on their way */
	size_t piece; /* at most so many at once */
	long left;    /* until it is cut; -1: never */
	int cut;      /* what is said then */
};

struct end {
	struct pipe *in, *out;
	struct tls *tls;
};

static struct pipe up, down;
static struct end client, server;

static ssize_t end_recv(void *arg, void *to, size_t size)
{
	struct pipe *p = ((struct end *)arg)->in;
	size_t n = p->to - p->from;

	if (n == 0)
		return p->left == 0 ? p->cut : UV_EAGAIN;
	n = n < size ? n : size;
	n = n < p->piece ? n : p->piece;
	memcpy(to, p->data + p->from, n);
	p->from += n;
	if (p->from == p->to)
		p->from = p->to = 0;
	return (ssize_t)n;
}

static ssize_t end_send(void *arg, const void *data, size_t size)
{
	struct pipe *p = ((struct end *)arg)->out;
	size_t room = p->room - (p->to - p->from);
	size_t n = size < room ? size : room;

	n = n < p->piece ? n : p->piece;
	if (p->left >= 0 && n > (size_t)p->left)
		n = (size_t)p->left;
	if (n == 0)
		return p->left == 0 ? UV_EPIPE : UV_EAGAIN;
	memmove(p->data, p->data + p->from, p->to - p->from);
	p->to -= p->from;
	p->from = 0;
	memcpy(p->data + p->to, data, n);
	p->to += n;
	if (p->left > 0)
		p->left -= (long)n;
	return (ssize_t)n;
}

static void reset_pipe(struct pipe *p, size_t room, size_t piece)
{
	p->from = p->to = 0;
	p->room = room;
	p->piece = piece;
	p->left = -1;
	p->cut = 0;
}

static struct tls_context *server_context, *client_context;

static void open_ends(size_t room, size_t piece)
{
	struct tls_io io = { end_recv, end_send, &client };

	reset_pipe(&up, room, piece);
	reset_pipe(&down, room, piece);
	client = (struct end){ &down, &up, NULL };
	server = (struct end){ &up, &down, NULL };
	client.tls = tls_new(client_context, "good.test", &io);
	io.arg = &server;
	server.tls = tls_new(server_context, NULL, &io);
	assert_non_null(client.tls);
	assert_non_null(server.tls);
}

static void close_ends(void)
{
	tls_delete(client.tls);
	tls_delete(server.tls);
	assert_int_equal(ERR_peek_error(), 0);
}

/* Until neither can go on. */
static void shake(int *ret_client, int *ret_server)
{
	for (int i = 0; i < 1000000; i++) {
		char one;

		*ret_client = tls_handshake(client.tls);
		if (*ret_client == 0) /* somebody must take the tickets */
			tls_read(client.tls, &one, 1, true);
		*ret_server = tls_handshake(server.tls);
		if (*ret_client != UV_EAGAIN && *ret_server != UV_EAGAIN)
			return;
		if (up.to == up.from && down.to == down.from &&
		    !tls_has_out(client.tls) && !tls_has_out(server.tls) &&
		    up.left != 0 && down.left != 0)
			return;
	}
	fail();
}

static void open_done(size_t room, size_t piece)
{
	int a, b;

	open_ends(room, piece);
	shake(&a, &b);
	assert_int_equal(a, 0);
	assert_int_equal(b, 0);
}

static struct tls_context *context(struct tls_options o)
{
	return tls_context_new(&o);
}

static int setup(void **state)
{
	(void)state;
	cert_make();
	server_context = context((struct tls_options){ .role = TLS_SERVER,
						       .cert_file = cert_file,
						       .key_file = key_file });
	client_context =
		context((struct tls_options){ .role = TLS_CLIENT,
					      .ca_file = cert_file,
					      .no_session_cache = true });
	assert_non_null(server_context);
	assert_non_null(client_context);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inject_reset();
	tls_context_unref(server_context);
	tls_context_unref(client_context);
	cert_remove();
	diag_clear();
	return 0;
}

/* --- tests --- */

static void pieces(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 100, 1 << 16 };
	struct tls_info info;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		open_done(sizes[i] * 2, sizes[i]);
		assert_true(tls_info(client.tls, &info));
		assert_string_equal(info.version, "TLSv1.3");
		assert_string_equal(info.subject, "CN=good.test");
		assert_true(info.verified);
		assert_true(tls_info(server.tls, &info));
		assert_string_equal(info.name, "good.test");
		assert_false(info.has_peer);
		close_ends();
	}
}

/* Read all that comes. */
static size_t drain(struct end *e, char *to, size_t size)
{
	size_t at = 0;
	ssize_t n;

	while (at < size &&
	       (n = tls_read(e->tls, to + at, size - at, false)) > 0)
		at += (size_t)n;
	return at;
}

/* Whatever another writer says, none of what was taken is lost or changed. */
static void two_writers(void **state)
{
	static char got[1 << 16], sent[1 << 16];
	size_t taken = 0, come = 0;
	char part[3000];

	(void)state;
	open_done(1 << 16, 1 << 16);
	drain(&client, got, sizeof got);
	down.room = 100; /* narrow from now on */
	for (int i = 0; i < 5000 && taken + sizeof part < sizeof sent; i++) {
		/* Each time another's bytes, and fewer. */
		size_t size = 1 + (size_t)(i * 7919) % sizeof part;
		ssize_t n;

		memset(part, 'a' + i % 26, size);
		n = tls_write(server.tls, part, size);
		if (n == UV_EAGAIN) {
			assert_true(tls_has_out(server.tls));
		} else {
			assert_true(n > 0);
			memcpy(sent + taken, part, (size_t)n);
			taken += (size_t)n;
		}
		come += drain(&client, got + come, sizeof got - come);
	}
	for (int i = 0; i < 1000 && tls_flush(server.tls) == UV_EAGAIN; i++)
		come += drain(&client, got + come, sizeof got - come);
	come += drain(&client, got + come, sizeof got - come);
	assert_true(taken > 10000);
	assert_int_equal(come, taken);
	assert_memory_equal(got, sent, taken);
	close_ends();
}

/* Cut after every byte, in both directions, ended or reset: an error each time,
 * with words, and never a wait or an end that was not announced. */
static void cuts(void **state)
{
	(void)state;
	for (int direction = 0; direction < 4; direction++) {
		struct pipe *p = direction & 1 ? &up : &down;
		struct end *hit = direction & 1 ? &server : &client;

		for (long at = 0; at < 4000; at++) {
			int a, b, rc;
			char one;

			open_ends(1 << 16, 1 << 16);
			p->left = at;
			p->cut = direction & 2 ? UV_ECONNRESET : 0;
			shake(&a, &b);
			rc = hit == &server ? b : a;
			if (p->left > 0 && rc == 0) { /* it was longer */
				close_ends();
				break;
			}
			if (rc == 0) {
				ssize_t n = tls_read(hit->tls, &one, 1, false);

				assert_int_equal(n, direction & 2
							    ? UV_ECONNRESET
							    : UV_ECONNABORTED);
			} else {
				assert_int_equal(rc, direction & 2
							     ? UV_ECONNRESET
							     : UV_ECONNABORTED);
			}
			if (!(direction & 2))
				assert_non_null(tls_why(hit->tls));
			assert_int_equal(tls_handshake(hit->tls) == UV_EAGAIN,
					 0);
			close_ends();
		}
	}
}

static void ends(void **state)
{
	char byte = 'x';

	(void)state;
	open_done(1 << 16, 1 << 16);
	assert_int_equal(tls_write(client.tls, "last", 4), 4);
	assert_int_equal(tls_shutdown(client.tls), 0);
	assert_int_equal(tls_shutdown(client.tls), 0);
	assert_int_equal(tls_write(client.tls, "x", 1), UV_EPIPE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(tls_read(server.tls, &byte, 1, false), 1);
	assert_int_equal(tls_read(server.tls, &byte, 1, false), 0);
	assert_int_equal(tls_read(server.tls, &byte, 1, true), 0);
	/* Half an end: the other direction is still there. */
	assert_int_equal(tls_write(server.tls, "yes", 3), 3);
	assert_int_equal(tls_read(client.tls, &byte, 1, false), 1);
	close_ends();
	open_ends(1 << 16, 1 << 16);
	assert_int_equal(tls_read(client.tls, &byte, 1, false), UV_ENOTCONN);
	assert_int_equal(tls_write(client.tls, &byte, 1), UV_ENOTCONN);
	assert_int_equal(tls_shutdown(client.tls), UV_ENOTCONN);
	assert_false(tls_info(client.tls, &(struct tls_info){ 0 }));
	close_ends();
}

/* What came before belongs to the handshake. */
static void fed(void **state)
{
	struct tls_io io = { end_recv, end_send, &server };
	char hello[4096];
	ssize_t n;
	int a, b;

	(void)state;
	open_ends(1 << 16, 1 << 16);
	assert_int_equal(tls_handshake(client.tls), UV_EAGAIN);
	n = end_recv(&server, hello, sizeof hello);
	assert_true(n > 100);
	tls_delete(server.tls);
	server.tls = tls_new(server_context, NULL, &io);
	assert_int_equal(tls_feed(server.tls, hello, (size_t)n), 0);
	shake(&a, &b);
	assert_int_equal(a, 0);
	assert_int_equal(b, 0);
	close_ends();
}

static void names(void **state)
{
	static const char *const bad[] = { "",  ".x",  "a b", "a/b",
					   "*", "*.x", "a\nb" };
	struct tls_io io = { end_recv, end_send, &client };
	struct tls_context *other;
	struct tls_sni sni[2];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_null(tls_new(client_context, bad[i], &io));
		assert_non_null(diag_last());
		diag_clear();
	}
	assert_null(tls_new(client_context, NULL, &io));
	diag_clear();
	sni[0] = (struct tls_sni){ "Exact.test", server_context };
	sni[1] = (struct tls_sni){ "*.wild.test", server_context };
	other = context((struct tls_options){ .role = TLS_SERVER,
					      .cert_file = cert_file,
					      .key_file = key_file,
					      .sni = sni,
					      .sni_count = 2 });
	assert_non_null(other);
#define FOR(name) tls_context_for(other, name, sizeof name - 1)
	assert_ptr_equal(FOR("exact.test"), server_context);
	assert_ptr_equal(FOR("EXACT.TEST."), server_context);
	assert_ptr_equal(FOR("a.wild.test"), server_context);
	assert_ptr_equal(FOR("a.b.wild.test"), other);
	assert_ptr_equal(FOR("wild.test"), other);
	assert_ptr_equal(FOR("*.wild.test"), other);
	assert_ptr_equal(FOR(".wild.test"), other);
	assert_ptr_equal(FOR("exact.test\0x"), other);
	assert_ptr_equal(FOR("test"), other);
	assert_ptr_equal(FOR(""), other);
	tls_context_unref(other);
}

/* Each allocation of ours fails once: an error, and nothing is lost. */
static void no_memory(void **state)
{
	struct tls_sni sni = { "x.test", server_context };
	struct tls_options o = { .role = TLS_SERVER,
				 .cert_file = cert_file,
				 .key_file = key_file,
				 .alpn = "\2h2",
				 .alpn_size = 3,
				 .sni = &sni,
				 .sni_count = 1 };
	struct tls_io io = { end_recv, end_send, &client };

	(void)state;
	if (inject_arm("malloc", 0, 0) != 0)
		skip();
	for (long i = 0;; i++) {
		struct tls_context *c;
		struct tls *t;

		inject_arm("malloc", i, 1);
		c = tls_context_new(&o);
		t = c != NULL ? tls_new(client_context, "good.test", &io)
			      : NULL;
		inject_reset();
		if (t == NULL) {
			assert_non_null(diag_last());
			diag_clear();
		}
		tls_delete(t);
		tls_context_unref(c);
		if (t != NULL)
			break;
		assert_true(i < 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces),    cmocka_unit_test(two_writers),
		cmocka_unit_test(cuts),      cmocka_unit_test(ends),
		cmocka_unit_test(fed),       cmocka_unit_test(names),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * HTTP over TLS, by a client of OpenSSL's own whose bytes go through the hands of the
 * test: in pieces, gathered, cut, flooding; who does not speak TLS; sessions over the
 * change of ticket keys; every failed allocation.
 */
#include "http_rig.h"
#include "tls_cert.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/diag.h"
#include "base/inject.h"
#include "net/tls_context.h"

#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST "\r\n"

static struct rig rig;
static struct tls_context *context;
static SSL_CTX *client;
static char text[1 << 18];

/* --- the peer --- */

struct peer {
	int fd;
	SSL *ssl;
	BIO *in, *out;   /* encrypted: to be read by it, to be sent */
	size_t piece;    /* bytes sent at once */
	size_t received; /* encrypted bytes */
	bool ended;      /* the socket has */
};

static void peer_open(struct peer *p, size_t piece)
{
	*p = (struct peer){ .piece = piece };
	p->fd = rig_connect(&rig);
	p->ssl = SSL_new(client);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(p->in, -1);
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_connect_state(p->ssl);
}

static void peer_close(struct peer *p)
{
	SSL_free(p->ssl);
	close(p->fd);
	ERR_clear_error();
}

/* What it has to say is sent. */
static void peer_send(struct peer *p)
{
	char part[4096];
	int n;

	for (;;) {
		n = BIO_read(p->out, part,
			     p->piece < sizeof(part) ? (int)p->piece
						     : (int)sizeof(part));
		if (n <= 0)
			return;
		rig_send(&rig, p->fd, part, n);
	}
}

/* What has come is taken. */
static void peer_take(struct peer *p)
{
	char part[65536];
	ssize_t n;

	rig_turn(&rig, 2);
	while ((n = recv(p->fd, part, sizeof(part), MSG_DONTWAIT)) > 0) {
		p->received += n;
		BIO_write(p->in, part, (int)n);
	}
	if (n == 0 || errno == ECONNRESET) {
		p->ended = true;
		BIO_set_mem_eof_return(p->in, 0);
	}
}

static bool peer_greet(struct peer *p)
{
	for (int i = 0; i < 20000 && !p->ended; i++) {
		int rc = SSL_do_handshake(p->ssl);

		peer_send(p);
		if (rc == 1)
			return true;
		if (SSL_get_error(p->ssl, rc) != SSL_ERROR_WANT_READ)
			return false;
		peer_take(p);
		if (i > 10)
			usleep(100);
	}
	return false;
}

static void peer_puts(struct peer *p, const char *what)
{
	assert_int_equal(SSL_write(p->ssl, what, (int)strlen(what)),
			 strlen(what));
	peer_send(p);
}

/* All that comes, until it is quiet. Returns how it has ended: SSL_ERROR_ZERO_RETURN
 * (announced), SSL_ERROR_SSL (cut) or SSL_ERROR_WANT_READ: it has not. */
static int peer_read(struct peer *p)
{
	size_t have = 0;
	int n, why = SSL_ERROR_WANT_READ;

	for (int quiet = 0; quiet < 8;) {
		size_t before = p->received;

		peer_take(p);
		n = SSL_read(p->ssl, text + have,
			     (int)(sizeof(text) - 1 - have));
		if (n > 0) {
			have += n;
			quiet = 0;
			assert_true(have < sizeof(text) - 1);
			continue;
		}
		why = SSL_get_error(p->ssl, n);
		if (why != SSL_ERROR_WANT_READ)
			break;
		if (p->received == before) {
			quiet++;
			usleep(500);
		}
	}
	text[have] = '\0';
	ERR_clear_error();
	return why;
}

static void start(const struct http_limits *limits)
{
	rig_start(&rig, limits);
	assert_int_equal(http_server_set_tls(rig.server, context), 0);
}

static int setup(void **state)
{
	(void)state;
	cert_make();
	context =
		tls_context_new(&(struct tls_options){ .role = TLS_SERVER,
						       .cert_file = cert_file,
						       .key_file = key_file });
	client = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(client, SSL_MODE_AUTO_RETRY);
	return context != NULL && client != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tls_context_unref(context);
	SSL_CTX_free(client);
	cert_remove();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

/* --- what goes well --- */

static void pieces(void **state)
{
	static const size_t sizes[] = { 1, 7, 100, 1 << 20 };

	(void)state;
	start(NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION;
		     version++) {
			struct peer p;

			peer_open(&p, sizes[i]);
			SSL_set_max_proto_version(p.ssl, version);
			assert_true(peer_greet(&p));
			for (int k = 0; k < 3; k++) {
				peer_puts(&p, "POST /x?y HTTP/1.1\r\n" HOST
					      "Content-Length: 3\r\n\r\nabc");
				assert_int_equal(peer_read(&p),
						 SSL_ERROR_WANT_READ);
				assert_int_equal(
					rig_count(text, "HTTP/1.1 200"), 1);
				assert_non_null(strstr(text, "\r\n\r\nabc"));
			}
			assert_string_equal(rig.last, "POST /x?y abc");
			SSL_shutdown(p.ssl);
			peer_send(&p);
			assert_int_equal(peer_read(&p), SSL_ERROR_ZERO_RETURN);
			peer_close(&p);
		}
	}
	assert_int_equal(rig_stat(&rig).handshakes, 8);
	assert_int_equal(rig_stat(&rig).truncated, 0);
}

/* Each request in a record of its own; their answers are not. */
static void gathered(void **state)
{
	uint64_t writes, bytes;
	struct peer p;

	(void)state;
	start(NULL);
	peer_open(&p, 1 << 20);
	assert_true(peer_greet(&p));
	peer_read(&p);
	writes = rig_stat(&rig).writes;
	bytes = p.received;
	for (int i = 0; i < 1000; i++)
		SSL_write(p.ssl, GET, strlen(GET));
	peer_send(&p);
	assert_int_equal(peer_read(&p), SSL_ERROR_WANT_READ);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1000);
	assert_non_null(strstr(text, "ok 1000"));
	/* A record costs 22 bytes; each batch has a few. */
	bytes = p.received - bytes - strlen(text);
	assert_in_range(bytes, 22, (uint64_t)22 * 100);
	assert_in_range(rig_stat(&rig).writes - writes, 1, 50);
	peer_close(&p);
}

static void large_to_a_slow_one(void **state)
{
	enum { SIZE = 16 << 20 };
	char *body = malloc(SIZE);
	static char part[50000];
	size_t got = 0;
	struct peer p;
	int n;

	(void)state;
	start(NULL);
	for (size_t i = 0; i < SIZE; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ body, SIZE };
	peer_open(&p, 1 << 20);
	assert_true(peer_greet(&p));
	peer_puts(&p, "GET / HTTP/1.0\r\n\r\n");
	for (bool head = true;;) {
		size_t skip = 0;

		n = SSL_read(p.ssl, part, sizeof(part));
		if (n <= 0 && SSL_get_error(p.ssl, n) == SSL_ERROR_WANT_READ) {
			peer_take(&p);
			continue;
		}
		if (n <= 0)
			break;
		if (head) {
			skip = (char *)memmem(part, n, "\r\n\r\n", 4) + 4 -
			       part;
			head = false;
		}
		assert_true(got + n - skip <= SIZE);
		assert_memory_equal(body + got, part + skip, n - skip);
		got += n - skip;
	}
	assert_int_equal(got, SIZE);
	assert_int_equal(SSL_get_error(p.ssl, n), SSL_ERROR_ZERO_RETURN);
	peer_close(&p);
	free(body);
}

/* What a full socket leaves behind goes by the queue: all of it, here. */
static void queued(void **state)
{
	struct peer p;

	(void)state;
	start(NULL);
	if (inject_arm("none", 0, 0) != 0)
		skip();
	inject_arm("stream_write", 0, -1);
	peer_open(&p, 100);
	assert_true(peer_greet(&p));
	for (int i = 0; i < 5; i++) {
		peer_puts(&p, GET);
		peer_read(&p);
		assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	}
	rig_drain(&rig, 5000);
	assert_int_equal(peer_read(&p), SSL_ERROR_ZERO_RETURN);
	inject_reset();
	peer_close(&p);
}

/* --- ends --- */

static void announced(void **state)
{
	struct peer p;

	(void)state;
	start(NULL);
	rig.keep = true;
	peer_open(&p, 1 << 20);
	assert_true(peer_greet(&p));
	peer_puts(&p, GET);
	SSL_shutdown(p.ssl); /* it may still read */
	peer_send(&p);
	rig_until_handled(&rig, 1);
	rig_quiet(&rig);
	assert_false(http_request_is_gone(rig.kept[0]));
	rig_answer(&rig, rig.kept[0]);
	assert_int_equal(peer_read(&p), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	assert_int_equal(rig_stat(&rig).truncated, 0);
	peer_close(&p);
}

static void truncated(void **state)
{
	static const char *const said[] = {
		"GET / HT",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabc",
		GET, /* whole, and with its handler */
	};

	(void)state;
	start(NULL);
	rig.keep = true;
	for (unsigned i = 0; i < 3; i++) {
		struct peer p;

		peer_open(&p, 1 << 20);
		assert_true(peer_greet(&p));
		peer_puts(&p, said[i]);
		rig_quiet(&rig);
		shutdown(p.fd, SHUT_WR);
		rig_until_open(&rig, 0);
		assert_int_equal(rig_stat(&rig).truncated, i + 1);
		peer_read(&p);
		assert_string_equal(text, "");
		peer_close(&p);
	}
	assert_int_equal(rig.kept_count, 1);
	assert_true(http_request_is_gone(rig.kept[0]));
	rig_answer(&rig, rig.kept[0]);
}

/* A record of which the rest never comes is no request, nor an end. */
static void cut_anywhere(void **state)
{
	char record[256];
	int size = 0;

	(void)state;
	start(NULL);
	for (int at = 0; at == 0 || at < size; at++) {
		struct peer p;

		peer_open(&p, 1 << 20);
		assert_true(peer_greet(&p));
		SSL_write(p.ssl, GET, strlen(GET));
		size = BIO_read(p.out, record, sizeof(record));
		rig_send(&rig, p.fd, record, at);
		if (at % 2 == 0)
			shutdown(p.fd, SHUT_WR);
		else
			peer_close(&p);
		rig_until_open(&rig, 0);
		if (at % 2 == 0)
			peer_close(&p);
	}
	assert_int_equal(rig.handled, 0);
}

/* --- who is no client --- */

static void plain_http(void **state)
{
	(void)state;
	start(NULL);
	for (size_t first = 1; first < strlen(GET); first += 6) {
		int fd = rig_connect(&rig);

		rig_send(&rig, fd, GET, first);
		rig_turn(&rig, 3);
		rig_puts(&rig, fd, &GET[first]);
		rig_settle(&rig, fd, text, sizeof(text));
		assert_ptr_equal(strstr(text, "HTTP/1.1 400 "), text);
		assert_non_null(strstr(text, "speaks TLS"));
		close(fd);
		rig_until_open(&rig, 0);
	}
	assert_int_equal(rig.handled, 0);
}

static void garbage(void **state)
{
	static const char *const all[] = {
		"\x16\x03\x01\xff\xff",
		"\x16\x03\x01\x00\x05hello",
		"hello",
		"\x15\x03\x03\x00\x02\x02\x28",
		"\x80\x2e\x01\x03\x01",
	};
	static const size_t sizes[] = { 5, 10, 5, 7, 5 };
	unsigned count = 0;

	(void)state;
	start(NULL);
	srand(5);
	for (; count < 200; count++) {
		int fd = rig_connect(&rig);
		char noise[300];

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)rand();
		noise[0] |= count % 2 ? 0x16 : 0x80;
		if (count < 5)
			rig_send(&rig, fd, all[count], sizes[count]);
		else
			rig_send(&rig, fd, noise, 1 + rand() % 299);
		shutdown(fd, SHUT_WR);
		rig_wait_end(&rig, fd, text, sizeof(text));
		close(fd);
		rig_until_open(&rig, 0);
	}
	assert_int_equal(rig.handled, 0);
	assert_int_equal(rig_stat(&rig).handshakes, 0);
	assert_int_equal(rig_stat(&rig).handshakes_failed, count);
}

static void told_why(void **state)
{
	char reply[64];
	int fd;

	(void)state;
	start(NULL);
	fd = rig_connect(&rig);
	rig_send(&rig, fd, "\x16\x03\x01\x00\x05hello more of it", 21);
	rig_quiet(&rig);
	assert_true(recv(fd, reply, sizeof(reply), MSG_DONTWAIT) >= 7);
	assert_int_equal(reply[0], 0x15); /* an alert, and no reset */
	assert_int_equal(recv(fd, reply, sizeof(reply), MSG_DONTWAIT), 0);
	close(fd);
}

/* --- limits --- */

static void time_limit(void **state)
{
	struct http_limits limits = { .handshake_ms = 60 };
	struct peer slow, other;
	int mute;

	(void)state;
	start(&limits);
	mute = rig_connect(&rig);
	peer_open(&slow, 1);
	SSL_do_handshake(slow.ssl);
	peer_open(&other, 1 << 20);
	assert_true(peer_greet(&other));
	/* Bytes that come do not prolong it. */
	for (int i = 0; i < 100000 && rig_stat(&rig).connections > 1; i++) {
		char byte;

		if (i % 8 == 0 && BIO_read(slow.out, &byte, 1) == 1)
			rig_send(&rig, slow.fd, &byte, 1);
		rig_turn(&rig, 1);
		usleep(1000);
	}
	assert_int_equal(rig_stat(&rig).connections, 1);
	assert_int_equal(rig_stat(&rig).timeouts, 2);
	peer_puts(&other, GET); /* whose limit is over, too */
	peer_read(&other);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	close(mute);
	peer_close(&slow);
	peer_close(&other);
}

/* One who asks for new keys for ever, and reads none of ours. */
static void flood(void **state)
{
	struct peer p;
	char part[16384];
	int rounds = 0;

	(void)state;
	start(NULL);
	peer_open(&p, 1 << 20);
	SSL_set_max_proto_version(p.ssl, TLS1_3_VERSION);
	assert_true(peer_greet(&p));
	rig_quiet(&rig);
	for (; rounds < 20000 && rig_stat(&rig).connections > 0; rounds++) {
		size_t n;

		for (int i = 0; i < 500; i++) {
			SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED);
			SSL_do_handshake(p.ssl);
		}
		while ((n = BIO_read(p.out, part, sizeof(part))) > 0 &&
		       n <= sizeof(part)) {
			if (!rig_send(&rig, p.fd, part, n))
				break;
		}
	}
	assert_int_equal(rig_stat(&rig).connections, 0);
	assert_int_equal(rig.handled, 0);
	peer_close(&p);
}

static void one_too_many(void **state)
{
	struct http_limits limits = { .connections = 1 };
	struct peer first, second;

	(void)state;
	start(&limits);
	peer_open(&first, 1 << 20);
	assert_true(peer_greet(&first));
	peer_open(&second, 1 << 20);
	assert_true(peer_greet(&second));
	assert_int_equal(peer_read(&second), SSL_ERROR_ZERO_RETURN);
	assert_ptr_equal(strstr(text, "HTTP/1.1 503 "), text);
	peer_puts(&first, GET);
	peer_read(&first);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	peer_close(&first);
	peer_close(&second);
}

static void drained(void **state)
{
	struct peer idle, half, mute;

	(void)state;
	start(NULL);
	peer_open(&idle, 1 << 20);
	assert_true(peer_greet(&idle));
	peer_puts(&idle, GET);
	assert_int_equal(peer_read(&idle), SSL_ERROR_WANT_READ);
	peer_open(&half, 1 << 20);
	SSL_do_handshake(half.ssl);
	peer_send(&half);
	peer_open(&mute, 1 << 20);
	rig_until_open(&rig, 3);
	assert_int_equal(
		http_server_drain(rig.server, 20000, rig_on_drained, &rig), 0);
	assert_int_equal(peer_read(&idle), SSL_ERROR_ZERO_RETURN);
	assert_true(peer_greet(&half));
	peer_puts(&half, GET);
	assert_int_equal(peer_read(&half), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	assert_int_equal(rig_count(text, "Connection: close"), 1);
	rig_drain(&rig, 20000); /* the mute one has no more than his time */
	assert_int_equal(rig.drained, 1);
	assert_int_equal(rig_stat(&rig).cut, 0);
	peer_close(&idle);
	peer_close(&half);
	peer_close(&mute);
}

/* --- sessions --- */

/* One request, with @a session; returns the session it got. */
static SSL_SESSION *visit(SSL_SESSION *session, int version, bool *ret_resumed)
{
	SSL_SESSION *got;
	struct peer p;

	peer_open(&p, 1 << 20);
	SSL_set_max_proto_version(p.ssl, version);
	if (session != NULL)
		SSL_set_session(p.ssl, session);
	assert_true(peer_greet(&p));
	*ret_resumed = SSL_session_reused(p.ssl);
	peer_puts(&p, GET);
	peer_read(&p);
	assert_int_equal(rig_count(text, "HTTP/1.1 200"), 1);
	got = SSL_get1_session(p.ssl);
	SSL_shutdown(p.ssl);
	peer_close(&p);
	return got;
}

static void an_hour_later(void)
{
	bool resumed;

	inject_arm("tls_ticket_hour", 0, 1);
	SSL_SESSION_free(visit(NULL, TLS1_2_VERSION, &resumed));
	assert_false(resumed);
	inject_reset();
}

static void ticket_keys(void **state)
{
	(void)state;
	start(NULL);
	if (inject_arm("none", 0, 0) != 0)
		skip();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION;
	     version++) {
		SSL_SESSION *session, *renewed;
		bool resumed;

		session = visit(NULL, version, &resumed);
		assert_false(resumed);
		SSL_SESSION_free(visit(session, version, &resumed));
		assert_true(resumed);
		an_hour_later();
		renewed = visit(session, version, &resumed);
		assert_true(resumed); /* by the key before */
		an_hour_later();
		SSL_SESSION_free(visit(renewed, version, &resumed));
		assert_true(resumed); /* the ticket was a new one */
		SSL_SESSION_free(visit(session, version, &resumed));
		assert_false(resumed);
		SSL_SESSION_free(session);
		SSL_SESSION_free(renewed);
	}
}

/* --- without memory --- */

static void no_memory(void **state)
{
	bool served = false;

	(void)state;
	start(NULL);
	if (inject_arm("none", 0, 0) != 0)
		skip();
	for (long n = 0; !served; n++) {
		struct peer p;

		peer_open(&p, 1 << 20);
		inject_arm("malloc", n, 1);
		if (peer_greet(&p) && SSL_write(p.ssl, GET, strlen(GET)) > 0) {
			peer_send(&p);
			peer_read(&p);
			served = strstr(text, "HTTP/1.1 200") != NULL &&
				 inject_asked("malloc") <= n;
		}
		inject_reset();
		assert_null(diag_last());
		peer_close(&p);
		rig_until_open(&rig, 0);
		assert_true(n < 200);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces),       TEST(gathered),   TEST(large_to_a_slow_one),
		TEST(queued),       TEST(announced),  TEST(truncated),
		TEST(cut_anywhere), TEST(plain_http), TEST(garbage),
		TEST(told_why),     TEST(time_limit), TEST(flood),
		TEST(one_too_many), TEST(drained),    TEST(ticket_keys),
		TEST(no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

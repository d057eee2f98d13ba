/* The connections of the load client; see http_load_wire.h. */
#include "http_load_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { OPEN_SECONDS = 10, HEAD_MAX = 4096 };

/* The same for every server, so that none does less than another. */
struct ssl_ctx_st *load_tls_new(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (tls == NULL)
		return NULL;
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(tls, "X25519") != 1) {
		SSL_CTX_free(tls);
		return NULL;
	}
	return tls;
}

void load_tls_delete(struct ssl_ctx_st *tls)
{
	SSL_CTX_free(tls);
}

static int greet(struct load_wire *w, struct ssl_ctx_st *tls)
{
	w->ssl = SSL_new(tls);
	return w->ssl != NULL && SSL_set_fd(w->ssl, w->fd) == 1 &&
			       SSL_connect(w->ssl) == 1
		       ? 0
		       : -1;
}

static int send_whole(struct load_wire *w, const char *data, size_t size)
{
	return load_wire_send(w, data, size) == (ssize_t)size ? 0 : -1;
}

/* The key is the RFC's own example, so its answer is known. */
static int upgrade(struct load_wire *w, const struct load_cfg *cfg)
{
	static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
	char head[HEAD_MAX + 1];
	size_t size = 0;
	int n = snprintf(head, sizeof(head),
			 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
			 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
			 "Sec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
			 cfg->path, cfg->port);

	if (n < 0 || n >= HEAD_MAX || send_whole(w, head, (size_t)n) != 0)
		return -1;
	/* Byte by byte: what comes behind the header is not of it. */
	while (size < 4 || memcmp(head + size - 4, "\r\n\r\n", 4) != 0) {
		if (size == HEAD_MAX || recv(w->fd, head + size, 1, 0) != 1)
			return -1;
		size++;
	}
	head[size] = '\0';
	return strncmp(head, "HTTP/1.1 101 ", 13) == 0 &&
			       strstr(head, accept) != NULL
		       ? 0
		       : -1;
}

/*
 * The preface, no push, and windows that no run of small answers uses up: they
 * are never opened again.
 */
static int greet_http2(struct load_wire *w)
{
	static const char preface[] =
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		"\0\0\14\4\0\0\0\0\0" /* SETTINGS, 12 bytes */
		"\0\2\0\0\0\0"        /* ENABLE_PUSH 0 */
		"\0\4\0\177\377\377"  /* INITIAL_WINDOW_SIZE */
		"\0\0\4\10\0\0\0\0\0" /* WINDOW_UPDATE of all */
		"\177\0\0\0";

	return send_whole(w, preface, sizeof(preface) - 1);
}

int load_wire_open(struct load_wire *w, const struct load_cfg *cfg,
		   struct ssl_ctx_st *tls, const char **ret_why)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)cfg->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval most = { .tv_sec = OPEN_SECONDS };
	int on = 1;

	/* Connected before it is non-blocking: on loopback the kernel alone
	 * answers, and a listen queue that overflows is waited for. */
	*ret_why = "cannot connect";
	w->ssl = NULL;
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return -1;
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	if (connect(w->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		goto fail;
	*ret_why = "cannot greet by TLS";
	if (tls != NULL && greet(w, tls) != 0)
		goto fail;
	*ret_why = "cannot begin the protocol";
	if ((cfg->protocol == LOAD_WEBSOCKET && upgrade(w, cfg) != 0) ||
	    (cfg->protocol == LOAD_HTTP2 && greet_http2(w) != 0))
		goto fail;
	if (fcntl(w->fd, F_SETFL, O_NONBLOCK) == 0)
		return 0;
fail:
	load_wire_close(w);
	return -1;
}

void load_wire_close(struct load_wire *w)
{
	int err = errno;

	SSL_free(w->ssl);
	w->ssl = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	errno = err;
}

/* As the system calls tell it. */
static ssize_t tls_result(struct load_wire *w, int n)
{
	int what;

	if (n > 0)
		return n;
	what = SSL_get_error(w->ssl, n);
	ERR_clear_error();
	if (what == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE
			? EAGAIN
			: EPROTO;
	return -1;
}

ssize_t load_wire_send(struct load_wire *w, const char *data, size_t size)
{
	if (w->ssl != NULL)
		return tls_result(w, SSL_write(w->ssl, data, (int)size));
	return send(w->fd, data, size, MSG_NOSIGNAL);
}

ssize_t load_wire_recv(struct load_wire *w, char *out, size_t size)
{
	if (w->ssl != NULL)
		return tls_result(w, SSL_read(w->ssl, out, (int)size));
	return recv(w->fd, out, size, 0);
}

bool load_wire_pending(const struct load_wire *w)
{
	return w->ssl != NULL && SSL_pending(w->ssl) > 0;
}

/*
 * Answers out of files: the kernel moves the bytes, in bounded turns.
 *
 * What the kernel would have to fetch from a disk first would keep the loop
 * waiting: whether the first and the last byte of a turn are in memory is looked
 * at before, and the caller has them fetched on another thread. When the socket
 * takes no more, a small piece is read and queued as any other, so that the
 * stream tells when there is room again, and a peer that does not read meets the
 * same deadline as ever.
 */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/inject.h"
#include "net/http2.h"

enum {
	PIECE = 4096, /* queued while the socket is full */
};

/* Is the byte at @a offset in memory? Returns 1 or 0; UV_EOF: the file is
 * shorter; UV_E*. */
static int is_near(int fd, uint64_t offset)
{
	char byte;
	struct iovec to = { &byte, 1 };
	ssize_t n = preadv2(fd, &to, 1, (off_t)offset, RWF_NOWAIT);

	if (n > 0)
		return 1;
	if (n == 0)
		return UV_EOF;
	/* Not there, or this file system cannot tell. */
	return errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS ||
			       errno == EINVAL
		       ? 0
		       : -errno;
}

static int all_near(int fd, uint64_t offset, size_t size)
{
	int rc = is_near(fd, offset);

	return rc == 1 ? is_near(fd, offset + size - 1) : rc;
}

/* The socket is full: queue a piece, whose leaving is told of. */
static ssize_t queue_piece(struct http1_conn *c, int fd, uint64_t offset,
			   size_t size)
{
	char piece[PIECE];
	ssize_t n =
		pread(fd, piece, size < PIECE ? size : PIECE, (off_t)offset);
	uv_buf_t buf = uv_buf_init(piece, n > 0 ? n : 0);
	int rc;

	if (n <= 0)
		return n == 0 ? UV_EOF : -errno;
	rc = stream_write(&c->stream, &buf, 1);
	return rc == 0 ? n : rc;
}

static ssize_t send_some(struct http1_conn *c, int fd, uint64_t offset,
			 size_t size)
{
	struct stream_group *group = &http1__server_of(c)->group;
	off_t at = (off_t)offset;
	uv_os_fd_t to;
	ssize_t n;

	if (uv_fileno(&c->stream.uv.handle, &to) != 0)
		return UV_ECONNRESET;
	if (inject("sendfile"))
		return UV_ENOTSUP;
	do
		n = sendfile(to, fd, &at, size);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		group->bytes_out += n;
		group->writes++;
		return n;
	}
	if (n == 0)
		return UV_EOF;
	if (errno == EAGAIN)
		return queue_piece(c, fd, offset, size);
	return errno == EINVAL || errno == ENOSYS ? UV_ENOTSUP : -errno;
}

ssize_t http_request_send_file(struct http_request *req, int fd,
			       uint64_t offset, size_t size, bool fetched)
{
	struct http_server *server = req->server;
	struct http1_conn *c = req->conn;
	ssize_t n;

	if (c == NULL)
		return UV_ECONNRESET;
	if (req->framing == HTTP1_NO_BODY || size == 0)
		return size;
	if (size > HTTP_FILE_TURN)
		size = HTTP_FILE_TURN;
	if (req->framing != HTTP1_LENGTH || c->stream.tls != NULL ||
	    req->h2 != NULL)
		return UV_ENOTSUP; /* the kernel knows neither TLS nor frames */
	if (size > req->left)
		return UV_EMSGSIZE;
	if (server->current == c &&
	    http1__flush(c, 0, (struct http_text){ NULL, 0 }, false) != 0)
		return UV_ECONNRESET;
	stream_flush(&c->stream); /* the head */
	if (c->closing)
		return UV_ECONNRESET;
	if (stream_unsent(&c->stream) > 0)
		return UV_EAGAIN;
	n = fetched ? 1 : all_near(fd, offset, size);
	if (n == 0)
		return UV_EBUSY;
	if (n == 1)
		n = send_some(c, fd, offset, size);
	if (n > 0) {
		req->left -= n;
		req->sent += n;
		http1__access_handed(c, n, false);
		if (server->current != c)
			http1__settle(c);
	}
	return n;
}

bool http_request_is_sent(const struct http_request *req)
{
	if (req->h2 != NULL)
		return req->conn == NULL || req->backlog == 0;
	return req->conn == NULL || stream_unsent(&req->conn->stream) == 0;
}

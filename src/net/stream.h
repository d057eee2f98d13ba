/*
 * Byte streams between peers: what a protocol needs of a connection, and
 * nothing of how it is done. libuv does it, and TLS where a group has it;
 * io_uring can come in behind the same calls.
 *
 * All streams of one protocol on one worker form a group: they share a read
 * buffer and their callbacks, so an idle stream costs its handle and a pointer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/buf.h"
#include "runtime/fd_watch.h"

struct stream;
struct stream_batch;
struct stream_proxy;
struct stream_tls;
struct tls_context;
struct tls_info;

/** What the streams of one protocol and worker have in common. */
struct stream_group {
	uv_loop_t *loop;
	char *buffer; /* every read lands here */
	size_t buffer_size;
	/** @a size > 0 bytes of the group's buffer, good until this returns
	 * and writable; or UV_EOF, or another UV_E*: no more will come. With
	 * TLS UV_EOF is an end that was announced, any other UV_ECONNABORTED. */
	void (*on_read)(struct stream *s, char *data, ssize_t size);
	/** With TLS or PROXY headers, before anything else: they are done (0);
	 * or a handshake has failed, and the stream is plain, for a last word:
	 * UV_EPROTONOSUPPORT when the peer speaks HTTP in plain text, else as
	 * tls_handshake(), UV_EMSGSIZE: no end of it, or what the socket said;
	 * or UV_EPROTOTYPE: no PROXY header came. */
	void (*on_greeted)(struct stream *s, int status);
	/** Everything handed to stream_write() has left (0), or failed. */
	void (*on_drained)(struct stream *s, int status);
	/** With a batch: what was taken for sent is not all; on_drained() will
	 * tell. */
	void (*on_stalled)(struct stream *s);
	/** With a batch: that of it has left. May be NULL. */
	void (*on_written)(struct stream *s);
	/** After stream_close(): the memory is the owner's again. */
	void (*on_closed)(struct stream *s);
	uint64_t reads;  /* reads that brought bytes */
	uint64_t writes; /* system calls begun to write */
	uint64_t bytes_in;
	uint64_t bytes_out; /* handed over to be written */

	struct stream_batch *batch; /* NULL: each is served by itself */
	bool proxied; /* streams that begin do so with a PROXY header */
	struct tls_context *tls; /* of streams that begin; NULL: none */
	char *plain;             /* what a read of TLS has brought */
	struct buf sealed;       /* encrypted, to leave in one write */
};

/** One connection. Lives inside its owner's struct. */
struct stream {
	union {
		uv_handle_t handle; /* its data: what stream_batch.h says */
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	struct stream_group *group;
	struct stream_tls *tls;     /* NULL: plain */
	struct stream_proxy *proxy; /* NULL: not behind one */
};

/**
 * Take the next connection of the listening handle @a server, TCP or unix.
 * Returns 0, or UV_E*: nothing is open then, but when *ret_opened it must be
 * closed with stream_close() all the same.
 */
int stream_accept(struct stream *s, struct stream_group *group,
		  uv_stream_t *server, bool *ret_opened);

/** As stream_accept() for a connected, non-blocking socket @a fd, which the
 * stream takes over when 0 is returned. */
int stream_open(struct stream *s, struct stream_group *group, int fd,
		bool unix_socket, bool *ret_opened);

/** Deliver, or stop delivering, what the peer sends; twice is harmless. With a
 * batch what was read in this turn of the loop still comes. */
int stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);

/**
 * Send all of @a bufs: what the kernel takes at once leaves in one call, the
 * rest is copied and follows; on_drained() tells when. Returns 0 or UV_E*.
 */
int stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count);

/** Bytes handed to stream_write() that have not left; but for those that are
 * written with the batch: see stream_flush(). */
static inline size_t stream_unsent(const struct stream *s)
{
	return s->uv.stream.write_queue_size;
}

/** What the batch has of it is written now, and stream_unsent() is exact. */
void stream_flush(struct stream *s);

/** Tell the peer that no more will come; all must have left. */
int stream_shutdown(struct stream *s);

/** Before a stream_close() that is no accident: TLS announces it. */
void stream_end(struct stream *s);

/** True when bytes, or an end, wait to be read. */
bool stream_has_input(const struct stream *s);

/** True until on_greeted(), if that is to come. */
bool stream_is_greeting(const struct stream *s);

/** The peer's address, or what a PROXY header says of it. Returns 0 or UV_E*. */
int stream_peer(const struct stream *s, struct sockaddr_storage *ret_addr);

/** The address that the peer has connected to, or what a PROXY header says of it.
 * Returns 0 or UV_E*. */
int stream_own_address(const struct stream *s,
		       struct sockaddr_storage *ret_addr);

/** While nothing is read: have @a fn called, once, when the peer has gone for good,
 * by a reset or, of a unix socket, its close. Of TCP a close alone looks like the
 * end of what it sends; a probe then finds out after a while. Stopped before
 * stream_close(). Returns 0 or UV_E*. */
int stream_watch_gone(const struct stream *s, struct loop *loop,
		      struct fd_watch *w, fd_watch_f fn);

/** What was sent is not all there should have been, and only a reset can tell
 * the peer: stream_close() is going to be one. */
void stream_set_reset(struct stream *s);

/** Close; what was not sent is dropped. on_closed() follows, later. */
void stream_close(struct stream *s);

/**
 * Streams are served in batches: @a stream_group_serve(), after each poll of the
 * loop, delivers what was read meanwhile, and then writes what came of it. The
 * buffer, which must be of mem_alloc(), is replaced. Before any stream begins.
 * Returns 0 or UV_ENOMEM.
 */
int stream_group_set_batch(struct stream_group *group);
void stream_group_serve(struct stream_group *group);

/** No stream of the group is open. */
void stream_group_drop_batch(struct stream_group *group);

/** Streams that begin from now on are servers' with TLS of @a context, which the
 * group holds until dropped; those that are open are not touched. Returns 0 or
 * UV_ENOMEM. */
int stream_group_set_tls(struct stream_group *group,
			 struct tls_context *context);

/** No stream of the group is open. */
void stream_group_drop_tls(struct stream_group *group);

/** Has ALPN chosen @a protocol? */
bool stream_tls_speaks(const struct stream *s, const char *protocol);

/** What came of the handshake; false: there is no TLS, or it is not done. */
bool stream_tls_info(const struct stream *s, struct tls_info *ret_info);

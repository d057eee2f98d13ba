/*
 * Sockets as scripts have them: one descriptor, its watch and what was read
 * ahead of it. Nothing here waits: what cannot be done now says UV_EAGAIN, and
 * its caller begins a wait with sock_wait() and tries again.
 *
 * Whatever is sent or received never blocks the thread, whatever the
 * descriptor's mode is. What was read ahead comes first, whoever reads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/sock_address.h"
#include "runtime/io_watch.h"

struct fiber;
struct listen_hold;
struct loop;
struct tls;
struct unix_file;

enum {
	/** A read without a limit of its own fails beyond it. */
	SOCK_READ_MAX = 64 << 20,
	/** And one that has one gets no more at once. */
	SOCK_CHUNK_MAX = 1 << 30,
	/** What a datagram over IP cannot exceed, and one read takes. */
	SOCK_SCRATCH = 64 << 10,
	SOCK_MARKS_MAX = 16,
	SOCK_MARK_SIZE_MAX = 4096,
};

/** All zero but for the watch: one that is closed. What each read and write
 * touches comes first. */
struct sock {
	struct io_watch watch; /* with the descriptor; -1: closed */
	int family;
	int type;      /* 0: it is no socket */
	bool blocking; /* its user wants it to wait in each call */
	bool lingers;  /* closing it may block */
	struct loop *loop;
	struct tls *tls; /* NULL: bytes go as they are; see sock_tls.h */
	struct {
		size_t start;
		size_t end;
		char *data; /* NULL: nothing was read ahead */
		size_t capacity;
		const void *mark; /* who has looked through it, and ... */
		size_t seen;      /* ... up to there, from start on */
		bool lent;        /* to who has read, until sock_taken() */
	} in;
	struct unix_file *file;   /* of a unix socket, removed at its end */
	struct listen_hold *hold; /* of an address that workers share */
};

/** How sock_read() goes about it. */
enum {
	SOCK_READ_AGAIN = 1 << 0, /* after a wait of the same read */
	/** Nobody waits afterwards: look even when the watch knows of nothing,
	 * for it may not have been told yet. */
	SOCK_READ_LOOK = 1 << 1,
};

/** What sock_read() is to find. */
struct sock_want {
	size_t limit;         /* at most so many bytes; at least 1 */
	bool is_chunk;        /* the limit is the caller's: enough, no error */
	unsigned mark_count;  /* 0: the limit alone */
	const void *identity; /* of the marks */
	struct sock_text marks[SOCK_MARKS_MAX]; /* delimiters; none is empty */
};

/** Closed. */
void sock_create(struct sock *s, struct loop *loop);

/** As socket(2). Returns 0 or UV_E*. */
int sock_open(struct sock *s, int family, int type, int protocol);

/** As socketpair(2). */
int sock_open_pair(struct sock *a, struct sock *b, int family, int type,
		   int protocol);

/** Take over a descriptor, whatever it is. */
void sock_adopt(struct sock *s, int fd);

/** Who waits goes on. Returns 0 or UV_E* of close(2); it is closed anyway.
 * Closed already is fine. */
int sock_close(struct sock *s);

/** Closed, and its memory is about to go: nobody has any of its bytes. */
void sock_dispose(struct sock *s);

/** Closed but for the descriptor, which is returned, as it was adopted. */
int sock_detach(struct sock *s);

static inline bool sock_is_open(const struct sock *s)
{
	return s->watch.fd >= 0;
}

/**
 * Read until what is wanted has come or the other side has ended. Returns 0
 * with the bytes, possibly none, which are good until the next call for any
 * socket of the thread, and which are taken out of it: sock_taken() must
 * follow. Else UV_EAGAIN; UV_EMSGSIZE: SOCK_READ_MAX bytes have come in vain;
 * or what is wrong.
 */
int sock_read(struct sock *s, const struct sock_want *want, unsigned how,
	      struct sock_text *ret_bytes);

/** The bytes of sock_read() are no longer needed; until then they are there,
 * even if it is closed. */
void sock_taken(struct sock *s);

/** Bytes that were read ahead; *ret_bytes as sock_read() has it. */
bool sock_take_ahead(struct sock *s, size_t limit, struct sock_text *ret_bytes);

/** A buffer of the thread, of SOCK_SCRATCH bytes: good until the next call for
 * any of its sockets. */
char *sock_scratch(void);

static inline bool sock_has_ahead(const struct sock *s)
{
	return s->in.end > s->in.start;
}

/** What was read ahead, and stays. */
static inline struct sock_text sock_ahead(const struct sock *s)
{
	return (struct sock_text){ s->in.data + s->in.start,
				   s->in.end - s->in.start };
}

/** Read more ahead, to @a most bytes in all. Returns 0: there is more; UV_EAGAIN;
 * UV_EMSGSIZE: so many are there; UV_EOF; or what is wrong. */
int sock_read_ahead(struct sock *s, size_t most);

/** A read with those flags of recv(2) has got EAGAIN just now. */
void sock_note_empty(struct sock *s, int flags);

/** As recv(2) and send(2): how many, or UV_E*. With TLS what is inside. */
ssize_t sock_recv(struct sock *s, void *to, size_t size, int flags);
ssize_t sock_send(struct sock *s, const void *data, size_t size, int flags);

/** Connect; -EINPROGRESS: wait until it is IO_OUT, then sock_connected(). */
int sock_connect(struct sock *s, const struct sock_address *addr);
int sock_connected(struct sock *s);

/** Accept into @a ret_s, which is closed. Returns 0 or UV_E*. */
int sock_accept(struct sock *s, struct sock *ret_s,
		struct sock_address *ret_from);

int sock_set_linger(struct sock *s, bool on, int seconds);

/** Begin to wait until it is ready for one of @a what. As io_watch_wait(). */
int sock_wait(struct sock *s, struct fiber *self, int what,
	      uint64_t timeout_ns);

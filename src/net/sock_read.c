/*
 * Reads of a socket: until so many bytes, or a mark, have come.
 *
 * Each lands in a buffer of the thread. When it brings what is wanted, the bytes
 * go straight from there; only what it brings beyond that, or not all of it, is
 * copied into memory of the socket. An idle socket has none.
 */
#include "net/sock.h"

#include <string.h>
#include <uv.h>

#include "base/inject.h"

enum {
	AHEAD = 16 << 10, /* at least so much is asked for */
	FIRST = 4 << 10,  /* of memory; then it doubles */
};

static __thread char scratch[SOCK_SCRATCH];

char *sock_scratch(void)
{
	return scratch;
}

/* Where the first mark that ends in @a data ends; 0: there is none. Up to @a
 * seen bytes it is known. */
static size_t find_mark(const struct sock_want *want, const char *data,
			size_t size, size_t seen)
{
	size_t first = 0;

	for (unsigned i = 0; i < want->mark_count; i++) {
		const struct sock_text *m = &want->marks[i];
		size_t from = seen >= m->size ? seen - m->size + 1 : 0;
		/* Beyond one that was found none is first. */
		size_t to = first != 0 ? first : size;
		const char *at;

		if (to - from < m->size)
			continue;
		at = m->size == 1
			     ? memchr(data + from, m->data[0], to - from)
			     : memmem(data + from, to - from, m->data, m->size);
		if (at != NULL)
			first = (size_t)(at - data) + m->size;
	}
	return first;
}

/* How many of the bytes that are there are what is wanted; 0: more must come. */
static size_t check(const struct sock_want *want, const char *data, size_t size,
		    size_t seen)
{
	size_t found = find_mark(want, data, size, seen);

	if (found != 0 && found <= want->limit)
		return found;
	return size >= want->limit ? want->limit : 0;
}

static int reserve(struct sock *s, size_t more)
{
	size_t used = s->in.end - s->in.start;
	size_t capacity = s->in.capacity != 0 ? s->in.capacity : FIRST;
	char *data;

	if (s->in.capacity - s->in.end >= more)
		return 0;
	while (capacity < used + more)
		capacity *= 2;
	if (capacity > s->in.capacity) {
		data = mem_alloc(capacity);
		if (data == NULL)
			return UV_ENOMEM;
		if (used > 0)
			memcpy(data, s->in.data + s->in.start, used);
		mem_free(s->in.data);
		s->in.data = data;
		s->in.capacity = capacity;
	} else if (used > 0) {
		memmove(s->in.data, s->in.data + s->in.start, used);
	}
	s->in.start = 0;
	s->in.end = used;
	return 0;
}

static int keep(struct sock *s, const char *data, size_t size)
{
	int rc = reserve(s, size);

	if (rc != 0)
		return rc;
	memcpy(s->in.data + s->in.end, data, size);
	s->in.end += size;
	return 0;
}

static void take(struct sock *s, size_t size, struct sock_text *ret_bytes)
{
	*ret_bytes = (struct sock_text){ s->in.data + s->in.start, size };
	s->in.start += size;
	s->in.seen = 0;
	s->in.lent = true;
}

void sock_taken(struct sock *s)
{
	s->in.lent = false;
	if (s->in.start != s->in.end || s->in.data == NULL)
		return;
	mem_free(s->in.data);
	s->in.data = NULL;
	s->in.start = s->in.end = s->in.capacity = 0;
}

bool sock_take_ahead(struct sock *s, size_t limit, struct sock_text *ret_bytes)
{
	size_t size = s->in.end - s->in.start;

	if (size == 0)
		return false;
	take(s, size < limit ? size : limit, ret_bytes);
	return true;
}

int sock_read_ahead(struct sock *s, size_t most)
{
	size_t have = s->in.end - s->in.start;
	ssize_t n;
	int rc;

	if (have >= most)
		return UV_EMSGSIZE;
	rc = reserve(s, most - have);
	if (rc != 0)
		return rc;
	n = sock_recv(s, s->in.data + s->in.end, most - have, 0);
	if (n <= 0)
		return n == 0 ? UV_EOF : (int)n;
	s->in.end += (size_t)n;
	return 0;
}

/* The first bytes of a read. */
static int read_first(struct sock *s, const struct sock_want *want,
		      struct sock_text *ret_bytes)
{
	size_t ask = want->limit > AHEAD ? want->limit : AHEAD, size;
	ssize_t n;
	int rc;

	/* Of a datagram what is not asked for is lost. */
	if (ask > sizeof scratch || s->type != SOCK_STREAM)
		ask = sizeof scratch;
	n = sock_recv(s, scratch, ask, 0);
	if (n < 0)
		return (int)n;
	*ret_bytes = (struct sock_text){ scratch, (size_t)n };
	if (n == 0)
		return 0;
	size = check(want, scratch, (size_t)n, 0);
	if (size == 0) {
		rc = keep(s, scratch, (size_t)n);
		s->in.seen = (size_t)n;
		return rc != 0 ? rc : UV_EBUSY;
	}
	ret_bytes->size = size;
	return size < (size_t)n ? keep(s, scratch + size, (size_t)n - size) : 0;
}

/* More of them. */
static int read_more(struct sock *s, const struct sock_want *want,
		     struct sock_text *ret_bytes)
{
	size_t have = s->in.end - s->in.start;
	size_t ask = want->limit - have, size;
	ssize_t n;
	int rc;

	if (ask > SOCK_SCRATCH || s->type != SOCK_STREAM)
		ask = SOCK_SCRATCH;
	else if (ask < AHEAD)
		ask = AHEAD;
	rc = reserve(s, ask);
	if (rc != 0)
		return rc;
	n = sock_recv(s, s->in.data + s->in.end, ask, 0);
	if (n < 0)
		return (int)n;
	if (n == 0) {
		take(s, have, ret_bytes);
		return 0;
	}
	s->in.end += (size_t)n;
	size = check(want, s->in.data + s->in.start, have + (size_t)n,
		     s->in.seen);
	s->in.seen = have + (size_t)n;
	if (size == 0)
		return UV_EBUSY;
	take(s, size, ret_bytes);
	return 0;
}

/* What was read ahead. */
static int read_ahead(struct sock *s, const struct sock_want *want, bool again,
		      struct sock_text *ret_bytes)
{
	size_t have = s->in.end - s->in.start;
	size_t size;

	/* Others may have looked for other marks meanwhile. */
	if (!again || s->in.mark != want->identity)
		s->in.seen = 0;
	s->in.mark = want->identity;
	if (s->in.seen == have && have < want->limit)
		return UV_EBUSY;
	size = check(want, s->in.data + s->in.start, have, s->in.seen);
	s->in.seen = have;
	if (size == 0)
		return UV_EBUSY;
	take(s, size, ret_bytes);
	return 0;
}

/* Those of a read that is full and has not found its mark. */
static int enough(struct sock *s, const struct sock_want *want, int rc,
		  struct sock_text *bytes)
{
	if (rc != 0 || want->is_chunk || bytes->size < want->limit)
		return rc;
	if (find_mark(want, bytes->data, bytes->size, 0) == bytes->size)
		return 0;
	/* They stay: it says so again, or somebody takes them otherwise. */
	s->in.lent = false;
	if (bytes->data == s->in.data + s->in.start - bytes->size)
		s->in.start -= bytes->size;
	return UV_EMSGSIZE;
}

int sock_read(struct sock *s, const struct sock_want *want, unsigned how,
	      struct sock_text *ret_bytes)
{
	int rc = UV_EBUSY;

	if (sock_has_ahead(s))
		rc = read_ahead(s, want, how & SOCK_READ_AGAIN, ret_bytes);
	s->in.mark = want->identity;
	while (rc == UV_EBUSY) {
		/* TLS may have bytes that the descriptor no longer has. */
		if (!(how & SOCK_READ_LOOK) && s->tls == NULL &&
		    !io_watch_maybe(&s->watch, IO_IN))
			return UV_EAGAIN;
		rc = sock_has_ahead(s) ? read_more(s, want, ret_bytes)
				       : read_first(s, want, ret_bytes);
		how &= ~(unsigned)SOCK_READ_LOOK;
	}
	return enough(s, want, rc, ret_bytes);
}

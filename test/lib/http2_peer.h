/*
 * A client of HTTP/2 made of raw frames, for what no proper client would send.
 * Headers go uncompressed; those of answers are read with nghttp2's decoder.
 */
#pragma once

#include "http_rig.h"

#include <nghttp2/nghttp2.h>

#include "base/buf.h"

enum { PEER_STREAMS = 8192, PEER_NEVER = -1 };

/** What has come of a stream. */
struct peer_stream {
	int status;         /* of the final answer; 0: none yet */
	unsigned continues; /* answers "100" */
	size_t body;
	long reset;    /* the code of RST_STREAM, or PEER_NEVER */
	size_t window; /* credit that was given */
	bool ended;
	char text[160];   /* of the body, the first bytes */
	char fields[512]; /* "name: value\n" of what is not the server's own */
};

struct peer {
	struct rig *rig;
	int fd;
	bool ended;
	struct buf out;
	struct buf in;
	nghttp2_hd_inflater *inflater;
	long goaway; /* the code of the last one, or PEER_NEVER */
	uint32_t last_id;
	unsigned goaways, pings, acks, settings;
	size_t window;
	uint8_t ping[8];
	struct peer_stream streams[PEER_STREAMS]; /* by number / 2 */
};

static inline void peer_frame(struct peer *p, unsigned type, unsigned flags,
			      uint32_t id, const void *data, size_t size)
{
	unsigned char head[9] = { size >> 16, size >> 8, size,    type, flags,
				  id >> 24,   id >> 16,  id >> 8, id };

	assert_int_equal(buf_append(&p->out, head, sizeof(head)), 0);
	assert_int_equal(buf_append(&p->out, data, size), 0);
}

static inline void peer_u32(struct peer *p, unsigned type, uint32_t id,
			    uint32_t n)
{
	unsigned char data[4] = { n >> 24, n >> 16, n >> 8, n };

	peer_frame(p, type, 0, id, data, sizeof(data));
}

static inline void peer_reset(struct peer *p, uint32_t id)
{
	peer_u32(p, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
}

static inline void peer_credit(struct peer *p, uint32_t id, uint32_t n)
{
	peer_u32(p, NGHTTP2_WINDOW_UPDATE, id, n);
}

static inline void peer_number(struct buf *b, size_t n)
{
	unsigned char c = n < 127 ? n : 127;

	buf_append(b, &c, 1);
	if (n < 127)
		return;
	for (n -= 127; n >= 128; n >>= 7) {
		c = (n & 127) | 128;
		buf_append(b, &c, 1);
	}
	c = n;
	buf_append(b, &c, 1);
}

/** A field that is not compressed, to the header @a b. */
static inline void peer_field(struct buf *b, const char *name,
			      const char *value)
{
	buf_append(b, "\0", 1);
	peer_number(b, strlen(name));
	buf_puts(b, name);
	peer_number(b, strlen(value));
	buf_puts(b, value);
}

/** The pseudo fields of a request. */
static inline void peer_pseudo(struct buf *b, const char *method,
			       const char *path)
{
	peer_field(b, ":method", method);
	peer_field(b, ":scheme", "http");
	peer_field(b, ":authority", "a");
	peer_field(b, ":path", path);
}

/** A request; @a end: it has no body. */
static inline void peer_ask(struct peer *p, uint32_t id, const char *method,
			    const char *path, bool end)
{
	struct buf b = { 0 };

	peer_pseudo(&b, method, path);
	peer_frame(p, NGHTTP2_HEADERS,
		   NGHTTP2_FLAG_END_HEADERS |
			   (end ? NGHTTP2_FLAG_END_STREAM : 0),
		   id, b.data, b.size);
	buf_destroy(&b);
}

static inline void peer_data(struct peer *p, uint32_t id, const char *data,
			     size_t size, bool end)
{
	peer_frame(p, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, id, data,
		   size);
}

/** Send what was gathered. False: the server has gone. */
static inline bool peer_send(struct peer *p)
{
	bool sent = rig_send(p->rig, p->fd, p->out.data, p->out.size);

	p->out.size = 0;
	return sent;
}

static inline struct peer_stream *peer_at(struct peer *p, uint32_t id)
{
	assert_in_range(id / 2, 0, PEER_STREAMS - 1);
	return &p->streams[id / 2];
}

static inline void peer_got_field(struct peer_stream *s, const nghttp2_nv *nv)
{
	int status;

	if (nv->namelen == 7 && memcmp(nv->name, ":status", 7) == 0) {
		status = atoi((const char *)nv->value);
		if (status == 100)
			s->continues++;
		else
			s->status = status;
	} else if (strlen(s->fields) + nv->namelen + nv->valuelen + 4 <
		   sizeof(s->fields)) {
		sprintf(s->fields + strlen(s->fields), "%.*s: %.*s\n",
			(int)nv->namelen, (const char *)nv->name,
			(int)nv->valuelen, (const char *)nv->value);
	}
}

static inline void peer_got_headers(struct peer *p, struct peer_stream *s,
				    const uint8_t *data, size_t size)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags,
						   data, size, 1);

		assert_true(n >= 0);
		data += n;
		size -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			peer_got_field(s, &nv);
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
	}
	nghttp2_hd_inflate_end_headers(p->inflater);
}

static inline uint32_t peer_get_u32(const uint8_t *d)
{
	return (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 |
	       (uint32_t)d[2] << 8 | d[3];
}

static inline void peer_got_frame(struct peer *p, unsigned type, unsigned flags,
				  uint32_t id, const uint8_t *data, size_t size)
{
	struct peer_stream *s = peer_at(p, id);
	size_t have = strlen(s->text);

	switch (type) {
	case NGHTTP2_DATA:
		for (size_t i = 0; i < size && have < sizeof(s->text) - 1; i++)
			s->text[have++] = (char)data[i];
		s->body += size;
		break;
	case NGHTTP2_HEADERS:
		assert_true(flags & NGHTTP2_FLAG_END_HEADERS);
		peer_got_headers(p, s, data, size);
		break;
	case NGHTTP2_RST_STREAM:
		s->reset = peer_get_u32(data);
		return;
	case NGHTTP2_WINDOW_UPDATE:
		*(id == 0 ? &p->window : &s->window) += peer_get_u32(data);
		return;
	case NGHTTP2_GOAWAY:
		p->goaways++;
		p->last_id = peer_get_u32(data);
		p->goaway = peer_get_u32(data + 4);
		return;
	case NGHTTP2_PING:
		if (flags & NGHTTP2_FLAG_ACK) {
			p->acks++;
		} else {
			p->pings++;
			memcpy(p->ping, data, 8);
		}
		return;
	case NGHTTP2_SETTINGS:
		p->settings += !(flags & NGHTTP2_FLAG_ACK);
		return;
	default:
		return;
	}
	assert_false(s->ended); /* nothing follows an end */
	s->ended = flags & NGHTTP2_FLAG_END_STREAM;
}

static inline void peer_parse(struct peer *p)
{
	const uint8_t *d = (const uint8_t *)p->in.data;
	size_t used = 0;

	while (p->in.size - used >= 9) {
		const uint8_t *f = d + used;
		size_t size = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];

		assert_in_range(size, 0, 16384);
		if (p->in.size - used < 9 + size)
			break;
		peer_got_frame(p, f[3], f[4], peer_get_u32(f + 5), f + 9, size);
		used += 9 + size;
	}
	buf_consume(&p->in, used);
}

/** Read what comes, until nothing does for a few rounds. True: the end came. */
static inline bool peer_read(struct peer *p)
{
	char bytes[65536];

	for (int quiet = 0; quiet < 5 && !p->ended;) {
		struct pollfd fd = { .fd = p->fd, .events = POLLIN };
		ssize_t n;

		rig_turn(p->rig, 2);
		n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		p->ended = n == 0 || (n < 0 && errno == ECONNRESET);
		if (n > 0) {
			assert_int_equal(buf_append(&p->in, bytes, n), 0);
			quiet = 0;
		} else if (poll(&fd, 1, 1) == 0) {
			quiet++;
		}
	}
	peer_parse(p);
	return p->ended;
}

static inline void peer_go(struct peer *p)
{
	peer_send(p);
	peer_read(p);
}

/** Run until the connection has ended. */
static inline void peer_wait_end(struct peer *p)
{
	for (int i = 0; !peer_read(p) && i < 10000; i++)
		usleep(1000);
	assert_true(p->ended);
}

/** Connected; its preface is gathered. */
static inline void peer_open_sized(struct peer *p, struct rig *rig, int buffer)
{
	memset(p, 0, sizeof(*p));
	p->rig = rig;
	p->goaway = PEER_NEVER;
	for (size_t i = 0; i < PEER_STREAMS; i++)
		p->streams[i].reset = PEER_NEVER;
	p->fd = rig_connect_sized(rig, buffer);
	assert_int_equal(nghttp2_hd_inflate_new(&p->inflater), 0);
	buf_puts(&p->out, NGHTTP2_CLIENT_MAGIC);
	peer_frame(p, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static inline void peer_open(struct peer *p, struct rig *rig)
{
	peer_open_sized(p, rig, 0);
}

static inline void peer_close(struct peer *p)
{
	close(p->fd);
	buf_destroy(&p->in);
	buf_destroy(&p->out);
	nghttp2_hd_inflate_del(p->inflater);
	rig_until_open(p->rig, 0);
	assert_int_equal(rig_stat(p->rig).waiting, p->rig->kept_count);
}

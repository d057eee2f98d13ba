/* Framing of replies; see http_load_frame.h. */
#include "http_load_frame.h"

#include <string.h>
#include <strings.h>

enum {
	H2_DATA = 0,
	H2_HEADERS = 1,
	H2_RST_STREAM = 3,
	H2_SETTINGS = 4,
	H2_PING = 6,
	H2_GOAWAY = 7,
	H2_END_STREAM = 0x1, /* of DATA and HEADERS */
	H2_ACK = 0x1,        /* of SETTINGS and PING */
	H2_END_HEADERS = 0x4,
	H2_PADDED = 0x8,
	H2_PRIORITY = 0x20,
	H2_STATUS_200 = 0x88, /* as HPACK has it */
};

/* --- HTTP/1.1 --- */

/* Content-Length among the header lines that end at @end; -1: none, bad. */
static long content_length(const char *head, const char *end)
{
	static const char name[] = "content-length:";
	const char *line = memchr(head, '\n', (size_t)(end - head));

	while (line != NULL && ++line < end) {
		if ((*line | 0x20) == 'c' &&
		    (size_t)(end - line) >= sizeof(name) &&
		    strncasecmp(line, name, sizeof(name) - 1) == 0) {
			const char *p = line + sizeof(name) - 1;
			long n = 0;

			while (*p == ' ')
				p++;
			if (*p < '0' || *p > '9')
				return -1;
			for (; *p >= '0' && *p <= '9'; p++) {
				n = n * 10 + (*p - '0');
				if (n > LOAD_REPLY_MAX)
					return -1;
			}
			return *p == '\r' ? n : -1;
		}
		line = memchr(line, '\n', (size_t)(end - line));
	}
	return -1;
}

static ssize_t frame_http(const char *data, size_t size,
			  struct load_reply *ret_reply, const char **ret_why)
{
	const char *end = memmem(data, size, "\r\n\r\n", 4);
	size_t head;
	long length;

	if (end == NULL) {
		*ret_why = "the header of a reply does not end";
		return size > LOAD_REPLY_MAX ? -1 : 0;
	}
	if (end - data < 12 || memcmp(data, "HTTP/1.1 ", 9) != 0) {
		*ret_why = "a reply does not begin with HTTP/1.1";
		return -1;
	}
	length = content_length(data, end + 2);
	if (length < 0) {
		*ret_why = "a reply without a usable Content-Length";
		return -1;
	}
	head = (size_t)(end + 4 - data);
	if (size - head < (size_t)length)
		return 0;
	ret_reply->status = (data[9] - '0') * 100 + (data[10] - '0') * 10 +
			    (data[11] - '0');
	ret_reply->body = data + head;
	ret_reply->size = (size_t)length;
	return (ssize_t)(head + (size_t)length);
}

/* --- WebSocket: whole text messages --- */

static ssize_t frame_websocket(const char *data, size_t size,
			       struct load_reply *ret_reply,
			       const char **ret_why)
{
	size_t head = 2, length;

	if (size < 4)
		return 0;
	length = (unsigned char)data[1];
	if (length == 126) {
		length = (size_t)(unsigned char)data[2] << 8 |
			 (unsigned char)data[3];
		head = 4;
	}
	if ((unsigned char)data[0] != 0x81 || length > LOAD_REPLY_MAX ||
	    (unsigned char)data[1] > 126) {
		*ret_why = "a reply that is no small text message";
		return -1;
	}
	if (size < head + length)
		return 0;
	*ret_reply = (struct load_reply){ 200, data + head, length };
	return (ssize_t)(head + length);
}

/* --- HTTP/2 --- */

static void put_u24(char *out, uint32_t n)
{
	out[0] = (char)(n >> 16);
	out[1] = (char)(n >> 8);
	out[2] = (char)n;
}

static void put_u32(char *out, uint32_t n)
{
	out[0] = (char)(n >> 24);
	put_u24(out + 1, n);
}

static uint32_t get_u24(const char *in)
{
	const unsigned char *p = (const unsigned char *)in;

	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static size_t put_frame(char *out, int type, int flags, uint32_t stream,
			const char *payload, size_t size)
{
	put_u24(out, (uint32_t)size);
	out[3] = (char)type;
	out[4] = (char)flags;
	put_u32(out + 5, stream);
	memcpy(out + LOAD_FRAME_HEAD, payload, size);
	return LOAD_FRAME_HEAD + size;
}

size_t load_http2_batch(struct load_framing *f, const char *block, size_t size,
			unsigned count, char *out)
{
	size_t at = f->control_size;

	memcpy(out, f->control, at);
	f->control_size = 0;
	f->first = f->next;
	for (unsigned i = 0; i < count; i++) {
		f->streams[i].open = true;
		f->streams[i].status = 0;
		f->streams[i].size = 0;
		at += put_frame(out + at, H2_HEADERS,
				H2_END_STREAM | H2_END_HEADERS, f->next, block,
				size);
		f->next += 2;
	}
	f->count = count;
	return at;
}

/* What is owed leaves with the next batch: there always is one soon. */
static const char *owe(struct load_framing *f, int type, const char *payload,
		       size_t size)
{
	if (f->control_size + LOAD_FRAME_HEAD + size > sizeof(f->control))
		return "too many control frames";
	f->control_size += put_frame(f->control + f->control_size, type, H2_ACK,
				     0, payload, size);
	return NULL;
}

static void take_headers(struct load_stream *s, const char *data, size_t size)
{
	/* The encoder may tell the size of its table first. */
	while (size > 0 && (data[0] & 0xe0) == 0x20) {
		size_t used = 1;

		if ((data[0] & 0x1f) == 0x1f)
			while (used < size && (data[used++] & 0x80) != 0)
				;
		data += used;
		size -= used;
	}
	/* Trailers have none. */
	if (s->status == 0)
		s->status = size > 0 && (unsigned char)data[0] == H2_STATUS_200
				    ? 200
				    : -1;
}

static const char *take_body(struct load_stream *s, const char *data,
			     size_t size)
{
	if (size > sizeof(s->body) - s->size)
		return "a body that is too long for HTTP/2 here";
	memcpy(s->body + s->size, data, size);
	s->size += size;
	return NULL;
}

/* HEADERS or DATA; *ret_stream is the reply's when it is whole. */
static const char *take_of_stream(struct load_framing *f, uint32_t id, int type,
				  int flags, const char *data, size_t size,
				  struct load_stream **ret_stream)
{
	uint32_t i = (id - f->first) / 2;
	struct load_stream *s = &f->streams[i];
	const char *why = NULL;

	if (id % 2 == 0 || id < f->first || i >= f->count || !s->open)
		return "a reply nobody asked for";
	if ((flags & H2_PADDED) != 0) {
		size_t padding = size > 0 ? (unsigned char)data[0] : 0;

		if (size < 1 + padding)
			return "a frame with bad padding";
		data++;
		size -= 1 + padding;
	}
	if (type == H2_HEADERS && (flags & H2_PRIORITY) != 0) {
		if (size < 5)
			return "a frame that is too short";
		data += 5;
		size -= 5;
	}
	if (type == H2_HEADERS)
		take_headers(s, data, size);
	else
		why = take_body(s, data, size);
	if (why == NULL && (flags & H2_END_STREAM) != 0) {
		s->open = false;
		*ret_stream = s;
	}
	return why;
}

static ssize_t frame_http2(struct load_framing *f, const char *data,
			   size_t size, struct load_reply *ret_reply,
			   bool *ret_whole, const char **ret_why)
{
	struct load_stream *s = NULL;
	const char *why = NULL, *payload = data + LOAD_FRAME_HEAD;
	uint32_t length;
	int type, flags;

	if (size < LOAD_FRAME_HEAD)
		return 0;
	length = get_u24(data);
	type = data[3];
	flags = data[4];
	if (length > LOAD_REPLY_MAX)
		why = "a frame that is too long";
	else if (size < LOAD_FRAME_HEAD + length)
		return 0;
	else if (type == H2_HEADERS || type == H2_DATA)
		why = take_of_stream(f, get_u24(data + 6), type, flags, payload,
				     length, &s);
	else if (type == H2_SETTINGS && (flags & H2_ACK) == 0)
		why = owe(f, H2_SETTINGS, "", 0);
	else if (type == H2_PING && (flags & H2_ACK) == 0)
		why = owe(f, H2_PING, payload, length);
	else if (type == H2_RST_STREAM || type == H2_GOAWAY)
		why = "the server reset a stream or the connection";
	if (why != NULL) {
		*ret_why = why;
		return -1;
	}
	*ret_whole = s != NULL;
	if (s != NULL)
		*ret_reply = (struct load_reply){ s->status, s->body, s->size };
	return (ssize_t)(LOAD_FRAME_HEAD + length);
}

/* --- all of them --- */

void load_framing_reset(struct load_framing *f)
{
	f->first = f->next = 1;
	f->count = 0;
	f->control_size = 0;
}

ssize_t load_frame(struct load_framing *f, const char *data, size_t size,
		   struct load_reply *ret_reply, bool *ret_whole,
		   const char **ret_why)
{
	*ret_whole = true;
	switch (f->protocol) {
	case LOAD_ECHO:
		if (size < f->same_size)
			return 0;
		*ret_reply = (struct load_reply){ 200, data, f->same_size };
		return (ssize_t)f->same_size;
	case LOAD_WEBSOCKET:
		return frame_websocket(data, size, ret_reply, ret_why);
	case LOAD_HTTP2:
		return frame_http2(f, data, size, ret_reply, ret_whole,
				   ret_why);
	case LOAD_HTTP:
		break;
	}
	return frame_http(data, size, ret_reply, ret_why);
}

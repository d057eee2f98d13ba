/*
 * The protocol of WebSocket (RFC 6455) behind the handshake, for both sides:
 * bytes of the peer in, messages out of them; messages and control frames in,
 * bytes for the peer out. It knows nothing of sockets and nothing of time; nothing
 * waits.
 *
 *	websocket_feed()  -> messages, in a queue: websocket_next(), websocket_taken()
 *	websocket_send(), websocket_ping(), websocket_close() -> bytes in *out
 *
 * Messages nobody takes hold the peer back: when WEBSOCKET_QUEUE bytes of them are
 * there, no more is read. Pings are answered, and a Close is, by websocket_feed().
 * What the peer does wrong ends the connection with the Close that says why.
 *
 * What the peer has deflated (websocket_deflate.h) is inflated as it comes, as much in
 * one call as keeps nobody waiting. What we send is deflated by who sends it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "net/websocket_deflate.h"

struct wslay_frame_context;

enum {
	WEBSOCKET_QUEUE =
		65536, /* of messages not taken; then no more is read */
	WEBSOCKET_TURN = 262144, /* bytes inflated in one call */
	WEBSOCKET_CONTROL_MAX = 125,
	WEBSOCKET_REASON_MAX = 123,
	WEBSOCKET_MESSAGE_MAX = 1 << 30, /* the most that a limit may be */
};

/** Codes of a Close that we tell, or say of one that did not come. */
enum {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001,
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_NO_CODE = 1005,  /* a Close without one; is never sent */
	WEBSOCKET_ABNORMAL = 1006, /* no Close at all; is never sent */
	WEBSOCKET_BAD_TEXT = 1007,
	WEBSOCKET_TOO_LARGE = 1009,
	WEBSOCKET_SERVER_ERROR = 1011,
};

enum websocket_role {
	WEBSOCKET_SERVER,
	WEBSOCKET_CLIENT, /* masks what it sends */
};

/** As on the wire. */
enum websocket_kind {
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	/** To be sent, with one of these: it was deflated. */
	WEBSOCKET_DEFLATED = 16,
};

enum websocket_state {
	WEBSOCKET_OPEN,
	WEBSOCKET_CLOSING, /* ours is sent, the peer's is waited for */
	WEBSOCKET_CLOSED,  /* nothing is sent, and nothing read, any more */
};

struct websocket {
	struct wslay_frame_context *frames;
	struct buf *out; /* where frames go; the owner's */
	const char *in;  /* of the feed at work: not taken yet */
	size_t in_size;

	struct buf queue; /* messages, each behind its head */
	size_t start;     /* of the first one; before it is what was taken */
	size_t whole;     /* end of the last one that is whole */
	size_t checked;   /* of the text behind that: valid UTF-8 up to here */
	size_t message_max;

	struct websocket_deflate deflate; /* the owner's to set, before all */
	struct websocket_inflater *inflater; /* NULL: nothing to inflate */
	const char *rest; /* of the frame's bytes: not inflated yet */
	size_t rest_size;
	size_t turn; /* what may still be inflated in this call */

	uint64_t left;       /* bytes of the frame at work */
	uint64_t pings;      /* sent; each has its number */
	uint64_t ponged;     /* the highest that was answered */
	uint8_t role;        /* enum websocket_role */
	uint8_t state;       /* enum websocket_state */
	uint8_t kind;        /* of the message being received; 0: none */
	uint8_t opcode;      /* of the frame at work */
	bool in_frame : 1;   /* of which something has come, not all */
	bool last : 1;       /* it ends the message */
	bool deflated : 1;   /* the message being received */
	bool behind : 1;     /* there is more in here; feed it again */
	bool sending : 1;    /* a message was begun, and not ended */
	bool by_peer : 1;    /* the peer's Close was the first */
	bool clean : 1;      /* both have said it */
	bool out_failed : 1; /* no memory for a frame */
	uint8_t control_size;
	char control[WEBSOCKET_CONTROL_MAX];

	uint16_t code; /* how it ended; 0: it has not */
	uint8_t reason_size;
	char reason[WEBSOCKET_REASON_MAX];
};

/** A message. The bytes are good until websocket_taken() or websocket_feed(). */
struct websocket_message {
	const char *data;
	size_t size;
	enum websocket_kind kind;
};

/** Frames go into @a out, which the owner empties. Returns 0 or UV_ENOMEM. */
int websocket_create(struct websocket *ws, enum websocket_role role,
		     size_t message_max, struct buf *out);

/** All zero, or created. */
void websocket_destroy(struct websocket *ws);

/**
 * Take bytes of the peer. Returns how many; less than @a size when messages must
 * be taken first, or it was others' turn. The rest is fed again, then. UV_ENOMEM: it is over, see
 * websocket_lost(). What comes after the end is taken and dropped.
 */
ssize_t websocket_feed(struct websocket *ws, const char *data, size_t size);

/** Would more be taken? And with ws->behind, which says that websocket_feed() has not
 * done all: something is done also with nothing more to feed. */
static inline bool websocket_has_room(const struct websocket *ws)
{
	return ws->state != WEBSOCKET_OPEN ||
	       ws->whole - ws->start < WEBSOCKET_QUEUE;
}

/** The first message nobody has taken; also after the end. */
bool websocket_next(const struct websocket *ws, struct websocket_message *ret);

/** That one has been taken. */
void websocket_taken(struct websocket *ws);

/**
 * Send a piece of a message, as a frame of its own: the first one says what kind
 * it is, @a last ends it. Text must be UTF-8 as a whole, which is not looked at. With
 * WEBSOCKET_DEFLATED it is a piece of what http_encoder_feed() has made of the message.
 * Returns 0; UV_EPIPE: it is closing, or closed; UV_ENOMEM: it is over.
 */
int websocket_send(struct websocket *ws, unsigned kind, const char *data,
		   size_t size, bool last);

/** Send a ping; *ret_number: websocket::ponged will be that, or more. As
 * websocket_send(). */
int websocket_ping(struct websocket *ws, uint64_t *ret_number);

/** May that be the code of a Close that is sent? */
bool websocket_is_code(unsigned code);

/**
 * Begin to end: a Close with that code, 0 for none, and reason, at most
 * WEBSOCKET_REASON_MAX bytes of UTF-8. Messages that still come are dropped.
 * Returns 0, UV_EPIPE: that was done; UV_ENOMEM: it is over.
 */
int websocket_close(struct websocket *ws, unsigned code, const char *reason,
		    size_t size);

/** The connection under it has ended; harmless when it was closed. */
void websocket_lost(struct websocket *ws);

/* The handshake. */

enum {
	WEBSOCKET_KEY_SIZE = 24, /* 16 bytes as base64 */
	WEBSOCKET_ACCEPT_SIZE = 28,
	WEBSOCKET_VERSION = 13,
};

/** Sec-WebSocket-Key: is it one? */
bool websocket_is_key(const char *key, size_t size);

/** A new key, from the system's random bytes. Returns 0 or UV_EIO. */
int websocket_new_key(char ret_key[static WEBSOCKET_KEY_SIZE + 1]);

/** Sec-WebSocket-Accept for a key. Returns 0 or UV_ENOMEM. */
int websocket_accept(const char *key, size_t size,
		     char ret_accept[static WEBSOCKET_ACCEPT_SIZE + 1]);

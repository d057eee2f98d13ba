/*
 * Messages of WebSocket out of frames, and into them. See websocket.h.
 *
 * wslay reads and writes frames: lengths, masks, and that control frames are short
 * and whole. What frames mean is here: which may follow which, limits, UTF-8,
 * pings, and how it ends.
 *
 * The queue is one buffer: heads and bytes of the messages that are whole, and
 * behind them what has come of the next one, which so is never moved when it
 * ends. Fragments cost nothing of their own, however small they are. What was
 * deflated goes through the inflater on its way there, so a message is never larger
 * than its limit, whatever it was made of.
 */
#include "net/websocket.h"

#include <assert.h>
#include <string.h>
#include <uv.h>
#include <wslay/wslay.h>

#include <openssl/rand.h>

#include "base/utf8.h"

enum {
	OPCODE_CONTINUE = WSLAY_CONTINUATION_FRAME,
	OPCODE_CLOSE = WSLAY_CONNECTION_CLOSE,
	OPCODE_PING = WSLAY_PING,
	OPCODE_PONG = WSLAY_PONG,
	RSV1 = 4, /* the first frame of a message that was deflated */
	PING_SIZE = 8,
	QUEUE_KEEP = 1024, /* of the queue's memory, when it is empty */
};

/** Before each message in the queue; not aligned. */
struct head {
	uint32_t size;
	uint32_t kind;
};

static ssize_t frame_recv(uint8_t *to, size_t room, int flags, void *arg)
{
	struct websocket *ws = arg;
	size_t size = ws->in_size < room ? ws->in_size : room;

	(void)flags;
	if (size == 0)
		return -1;
	memcpy(to, ws->in, size);
	ws->in += size;
	ws->in_size -= size;
	return (ssize_t)size;
}

static ssize_t frame_send(const uint8_t *data, size_t size, int flags,
			  void *arg)
{
	struct websocket *ws = arg;

	(void)flags;
	if (buf_append(ws->out, data, size) != 0) {
		ws->out_failed = true;
		return -1;
	}
	return (ssize_t)size;
}

static int frame_mask(uint8_t *to, size_t size, void *arg)
{
	struct websocket *ws = arg;

	if (RAND_bytes(to, (int)size) == 1)
		return 0;
	ws->out_failed = true;
	return -1;
}

int websocket_create(struct websocket *ws, enum websocket_role role,
		     size_t message_max, struct buf *out)
{
	static const struct wslay_frame_callbacks callbacks = {
		frame_send,
		frame_recv,
		frame_mask,
	};

	assert(message_max <= WEBSOCKET_MESSAGE_MAX);
	memset(ws, 0, sizeof(*ws));
	if (wslay_frame_context_init(&ws->frames, &callbacks, ws) != 0) {
		ws->frames = NULL;
		return UV_ENOMEM;
	}
	ws->role = (uint8_t)role;
	ws->message_max = message_max;
	ws->out = out;
	return 0;
}

static void drop_inflater(struct websocket *ws)
{
	websocket_inflater_delete(ws->inflater);
	ws->inflater = NULL;
}

void websocket_destroy(struct websocket *ws)
{
	wslay_frame_context_free(ws->frames); /* NULL is fine */
	ws->frames = NULL;
	drop_inflater(ws);
	buf_destroy(&ws->queue);
}

/* --- sending --- */

/* One frame, whole. */
static int put_frame(struct websocket *ws, unsigned opcode, bool last,
		     const char *data, size_t size)
{
	struct wslay_frame_iocb frame = {
		.fin = last,
		.rsv = opcode & WEBSOCKET_DEFLATED ? RSV1 : 0,
		.opcode = opcode & ~WEBSOCKET_DEFLATED,
		.payload_length = size,
		.mask = ws->role == WEBSOCKET_CLIENT,
		.data = (const uint8_t *)data,
		.data_length = size,
	};

	ws->out_failed = false;
	if (wslay_frame_send(ws->frames, &frame) == (ssize_t)size &&
	    !ws->out_failed)
		return 0;
	websocket_lost(ws); /* half a frame cannot be taken back */
	return UV_ENOMEM;
}

static void note_end(struct websocket *ws, unsigned code, const char *reason,
		     size_t size)
{
	ws->code = (uint16_t)code;
	ws->reason_size = (uint8_t)size;
	if (size > 0)
		memcpy(ws->reason, reason, size);
}

/* What of the next message has come is of no use any more, nor what would come. */
static void drop_partial(struct websocket *ws)
{
	drop_inflater(ws);
	ws->queue.size = ws->whole;
	if (ws->whole == ws->start) {
		buf_reset(&ws->queue, 0);
		ws->start = ws->whole = 0;
	}
}

static int put_close(struct websocket *ws, unsigned code, const char *reason,
		     size_t size)
{
	char payload[WEBSOCKET_CONTROL_MAX];

	if (code == 0)
		return put_frame(ws, OPCODE_CLOSE, true, NULL, 0);
	payload[0] = (char)(code >> 8);
	payload[1] = (char)code;
	if (size > 0)
		memcpy(payload + 2, reason, size);
	return put_frame(ws, OPCODE_CLOSE, true, payload, 2 + size);
}

int websocket_send(struct websocket *ws, unsigned kind, const char *data,
		   size_t size, bool last)
{
	unsigned opcode = ws->sending ? OPCODE_CONTINUE : kind;

	if (ws->state != WEBSOCKET_OPEN)
		return UV_EPIPE;
	ws->sending = !last;
	return put_frame(ws, opcode, last, data, size);
}

int websocket_ping(struct websocket *ws, uint64_t *ret_number)
{
	uint64_t number = ws->pings + 1;
	char payload[PING_SIZE];
	int rc;

	if (ws->state != WEBSOCKET_OPEN)
		return UV_EPIPE;
	for (int i = 0; i < PING_SIZE; i++)
		payload[i] = (char)(number >> 8 * (PING_SIZE - 1 - i));
	rc = put_frame(ws, OPCODE_PING, true, payload, sizeof(payload));
	if (rc == 0)
		*ret_number = ws->pings = number;
	return rc;
}

bool websocket_is_code(unsigned code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
		code != 1006) ||
	       (code >= 3000 && code <= 4999);
}

int websocket_close(struct websocket *ws, unsigned code, const char *reason,
		    size_t size)
{
	assert(size <= WEBSOCKET_REASON_MAX && (code != 0 || size == 0));
	if (ws->state != WEBSOCKET_OPEN)
		return UV_EPIPE;
	ws->state = WEBSOCKET_CLOSING;
	drop_partial(ws);
	note_end(ws, code != 0 ? code : WEBSOCKET_NO_CODE, reason, size);
	return put_close(ws, code, reason, size);
}

void websocket_lost(struct websocket *ws)
{
	if (ws->state == WEBSOCKET_CLOSED)
		return;
	if (ws->state == WEBSOCKET_OPEN)
		note_end(ws, WEBSOCKET_ABNORMAL, NULL, 0);
	ws->state = WEBSOCKET_CLOSED;
	drop_partial(ws);
}

/* --- receiving --- */

/* The peer has done what it must not. Returns false, as those who judge do. */
static bool fail(struct websocket *ws, unsigned code, const char *reason)
{
	bool open = ws->state == WEBSOCKET_OPEN;

	ws->state = WEBSOCKET_CLOSED;
	drop_partial(ws);
	if (!open)
		return false;
	note_end(ws, code, reason, strlen(reason));
	put_close(ws, code, reason, strlen(reason));
	return false;
}

static bool is_control(uint8_t opcode)
{
	return opcode & 8;
}

/* Bytes of the message at work. */
static size_t message_size(const struct websocket *ws)
{
	size_t begin = ws->whole + sizeof(struct head);

	return ws->queue.size > begin ? ws->queue.size - begin : 0;
}

static bool begin_inflating(struct websocket *ws)
{
	if (ws->inflater == NULL)
		ws->inflater = websocket_inflater_new(ws->deflate.their_bits);
	else if (!ws->deflate.keep_theirs)
		websocket_inflater_reset(ws->inflater);
	return ws->inflater != NULL;
}

/* A data frame begins, and with it perhaps a message. */
static bool begin_data(struct websocket *ws, uint64_t size, bool deflated)
{
	if (ws->opcode == OPCODE_CONTINUE && ws->kind == 0)
		return fail(ws, WEBSOCKET_PROTOCOL_ERROR,
			    "a continuation of nothing");
	if (ws->opcode != OPCODE_CONTINUE && ws->kind != 0)
		return fail(ws, WEBSOCKET_PROTOCOL_ERROR,
			    "a message inside a message");
	if (ws->opcode != OPCODE_CONTINUE) {
		ws->kind = ws->opcode;
		ws->deflated = deflated;
	}
	if (ws->state != WEBSOCKET_OPEN)
		return true; /* it is dropped */
	/* Of what was deflated its size says nothing. */
	if (!ws->deflated && size > ws->message_max - message_size(ws))
		return fail(ws, WEBSOCKET_TOO_LARGE,
			    "the message is too large");
	if (ws->opcode == OPCODE_CONTINUE)
		return true;
	if (deflated && !begin_inflating(ws))
		return false;
	ws->checked = ws->whole + sizeof(struct head);
	if (buf_reserve(&ws->queue, sizeof(struct head)) == NULL)
		return false;
	ws->queue.size += sizeof(struct head);
	return true;
}

/* Of messages that were deflated the first frame has a bit of its own. */
static bool is_bit_allowed(const struct websocket *ws,
			   const struct wslay_frame_iocb *frame)
{
	return frame->rsv == 0 || (frame->rsv == RSV1 && ws->deflate.agreed &&
				   (frame->opcode == WEBSOCKET_TEXT ||
				    frame->opcode == WEBSOCKET_BINARY));
}

static bool begin_frame(struct websocket *ws,
			const struct wslay_frame_iocb *frame)
{
	ws->opcode = frame->opcode;
	ws->last = frame->fin;
	ws->left = frame->payload_length;
	ws->control_size = 0;
	if (!is_bit_allowed(ws, frame))
		return fail(ws, WEBSOCKET_PROTOCOL_ERROR,
			    "a reserved bit is set");
	if (frame->mask != (ws->role == WEBSOCKET_SERVER))
		return fail(ws, WEBSOCKET_PROTOCOL_ERROR,
			    frame->mask ? "a masked frame of a server"
					: "an unmasked frame of a client");
	switch (frame->opcode) {
	case OPCODE_CLOSE:
	case OPCODE_PING:
	case OPCODE_PONG:
		return true;
	case OPCODE_CONTINUE:
	case WEBSOCKET_TEXT:
	case WEBSOCKET_BINARY:
		return begin_data(ws, frame->payload_length, frame->rsv != 0);
	default:
		return fail(ws, WEBSOCKET_PROTOCOL_ERROR,
			    "an unknown kind of frame");
	}
}

/* What has come of a text: wrong is told at once, not at its end. */
static bool check_text(struct websocket *ws, bool end)
{
	const char *text = ws->queue.data + ws->checked;
	size_t rest = ws->queue.size - ws->checked, valid;

	valid = utf8_valid(text, rest);
	ws->checked += valid;
	rest -= valid;
	if (rest == 0 ||
	    (!end && rest < 4 && utf8_is_begun(text + valid, rest)))
		return true;
	return fail(ws, WEBSOCKET_BAD_TEXT, "the text is no UTF-8");
}

/* Is what has come of the message at work such as may be? */
static bool check_message(struct websocket *ws, bool end)
{
	if (message_size(ws) > ws->message_max)
		return fail(ws, WEBSOCKET_TOO_LARGE,
			    "the message is too large");
	return ws->kind != WEBSOCKET_TEXT || check_text(ws, end);
}

/* More of the message at work: @a size bytes of the peer, *ret_used of which were
 * needed; all of them, unless it is others' turn. */
static bool inflate(struct websocket *ws, const char *data, size_t size,
		    size_t *ret_used)
{
	size_t begin = ws->queue.size, at = 0, used, made;
	int rc;

	do {
		made = ws->queue.size;
		rc = websocket_inflate(ws->inflater, data + at, size - at,
				       &used, &ws->queue);
		if (rc == UV_ENOMEM || !check_message(ws, false))
			return false;
		if (rc != 0)
			return fail(ws, WEBSOCKET_BAD_TEXT,
				    "what was deflated is no such thing");
		at += used;
		made = ws->queue.size - made;
	} while (made == WEBSOCKET_INFLATE_STEP &&
		 (at == size || ws->queue.size - begin < ws->turn));
	made = ws->queue.size - begin;
	ws->turn -= made < ws->turn ? made : ws->turn;
	*ret_used = at;
	return true;
}

static bool add_bytes(struct websocket *ws, const char *data, size_t size,
		      size_t *ret_used)
{
	*ret_used = size;
	if (is_control(ws->opcode)) {
		/* wslay has looked at the size. */
		memcpy(ws->control + ws->control_size, data, size);
		ws->control_size += (uint8_t)size;
		return true;
	}
	if (ws->state != WEBSOCKET_OPEN || size == 0)
		return true;
	if (ws->deflated)
		return inflate(ws, data, size, ret_used);
	return buf_append(&ws->queue, data, size) == 0 &&
	       check_message(ws, false);
}

/* What all end with that were deflated was not sent, unless the last block says that it
 * is one (RFC 7692 7.2.3.4): then an empty one may follow, or not. */
static bool end_inflating(struct websocket *ws)
{
	static const char tail[] = { 0, 0, '\xff', '\xff' };
	size_t used;

	if (websocket_inflater_take_end(ws->inflater))
		return true;
	for (size_t at = 0; at < sizeof(tail); at += used) {
		if (!inflate(ws, tail + at, sizeof(tail) - at, &used))
			return false;
	}
	return websocket_inflater_is_even(ws->inflater) ||
	       fail(ws, WEBSOCKET_BAD_TEXT, "what was deflated has no end");
}

static bool end_message(struct websocket *ws)
{
	struct head head = { .kind = ws->kind };

	if (ws->state == WEBSOCKET_OPEN) {
		if ((ws->deflated && !end_inflating(ws)) ||
		    !check_message(ws, true))
			return false;
		head.size = (uint32_t)message_size(ws);
		memcpy(ws->queue.data + ws->whole, &head, sizeof(head));
		ws->whole = ws->queue.size;
	}
	ws->kind = 0;
	return true;
}

/* The peer's Close: the answer to ours, or the first one, which is answered. */
static bool end_by_peer(struct websocket *ws)
{
	const unsigned char *p = (const unsigned char *)ws->control;
	size_t size = ws->control_size;
	unsigned code = 0;

	if (size >= 2) {
		code = (unsigned)p[0] << 8 | p[1];
		size -= 2;
	}
	if (ws->control_size == 1 || (code == 0 && ws->control_size > 0) ||
	    (code != 0 && !websocket_is_code(code)))
		return fail(ws, WEBSOCKET_PROTOCOL_ERROR,
			    "no code that may be sent");
	if (code != 0 && utf8_valid(ws->control + 2, size) != size)
		return fail(ws, WEBSOCKET_BAD_TEXT, "the reason is no UTF-8");
	ws->clean = true;
	ws->by_peer = ws->state == WEBSOCKET_OPEN;
	ws->state = WEBSOCKET_CLOSED;
	drop_partial(ws);
	if (!ws->by_peer)
		return false;
	note_end(ws, code != 0 ? code : WEBSOCKET_NO_CODE, ws->control + 2,
		 code != 0 ? size : 0);
	put_close(ws, code, NULL, 0);
	return false;
}

static bool pong(struct websocket *ws)
{
	uint64_t number = 0;

	if (ws->control_size != PING_SIZE)
		return true; /* nobody asked for it, which is allowed */
	for (int i = 0; i < PING_SIZE; i++)
		number = number << 8 | (unsigned char)ws->control[i];
	if (number > ws->ponged && number <= ws->pings)
		ws->ponged = number;
	return true;
}

static bool end_frame(struct websocket *ws)
{
	switch (ws->opcode) {
	case OPCODE_CLOSE:
		return end_by_peer(ws);
	case OPCODE_PING:
		return ws->state != WEBSOCKET_OPEN ||
		       put_frame(ws, OPCODE_PONG, true, ws->control,
				 ws->control_size) == 0;
	case OPCODE_PONG:
		return pong(ws);
	default:
		return !ws->last || end_message(ws);
	}
}

/* Bytes of the frame at work. False: no more is to be read. */
static bool take_bytes(struct websocket *ws, const char *data, size_t size)
{
	size_t used;

	if (!add_bytes(ws, data, size, &used))
		return false;
	ws->rest = data + used;
	ws->rest_size = size - used;
	ws->left -= used;
	if (ws->left > 0)
		return true;
	ws->in_frame = false;
	return end_frame(ws);
}

/* A frame, or some of it. */
static bool take(struct websocket *ws, const struct wslay_frame_iocb *frame)
{
	if (!ws->in_frame && !begin_frame(ws, frame))
		return false;
	ws->in_frame = true;
	return take_bytes(ws, (const char *)frame->data, frame->data_length);
}

/* What was left last time, or more of what wslay finds in the input. False: no more
 * is to be read; *ret_dry: no more can be. */
static bool step(struct websocket *ws, bool *ret_dry)
{
	struct wslay_frame_iocb frame = { 0 };
	ssize_t n;

	if (ws->rest_size > 0)
		return take_bytes(ws, ws->rest, ws->rest_size);
	n = wslay_frame_recv(ws->frames, &frame);
	*ret_dry = n == WSLAY_ERR_WANT_READ;
	if (*ret_dry)
		return true;
	return n >= 0 ? take(ws, &frame)
		      : fail(ws, WEBSOCKET_PROTOCOL_ERROR, "a malformed frame");
}

ssize_t websocket_feed(struct websocket *ws, const char *data, size_t size)
{
	bool go_on = ws->state != WEBSOCKET_CLOSED, dry = false;

	ws->in = data;
	ws->in_size = size;
	ws->turn = WEBSOCKET_TURN;
	while (go_on && !dry && ws->turn > 0 && websocket_has_room(ws))
		go_on = step(ws, &dry);
	ws->behind = go_on && !dry;
	if (go_on) {
		/* An idle one is small. */
		if (ws->kind == 0 && !ws->deflate.keep_theirs)
			drop_inflater(ws);
		return (ssize_t)(size - ws->in_size);
	}
	if (ws->state == WEBSOCKET_CLOSED)
		return (ssize_t)size;
	websocket_lost(ws);
	return UV_ENOMEM;
}

bool websocket_next(const struct websocket *ws, struct websocket_message *ret)
{
	struct head head;

	if (ws->start == ws->whole)
		return false;
	memcpy(&head, ws->queue.data + ws->start, sizeof(head));
	ret->data = ws->queue.data + ws->start + sizeof(head);
	ret->size = head.size;
	ret->kind = (enum websocket_kind)head.kind;
	return true;
}

void websocket_taken(struct websocket *ws)
{
	struct head head;

	assert(ws->start < ws->whole);
	memcpy(&head, ws->queue.data + ws->start, sizeof(head));
	ws->start += sizeof(head) + head.size;
	if (ws->start == ws->queue.size) {
		buf_reset(&ws->queue, QUEUE_KEEP);
		ws->start = ws->whole = 0;
	} else if (ws->start > ws->queue.size / 2) {
		/* Each byte is moved once for two that were taken, at most. */
		buf_consume(&ws->queue, ws->start);
		ws->whole -= ws->start;
		ws->checked -= ws->start;
		ws->start = 0;
	}
}

/*
 * Streams served in batches: all read before any is served, all served before
 * anything is written; peers that do not read, have gone, or are closed in between.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/inject.h"
#include "net/stream.h"

enum { PAIRS = 100, READ_SIZE = 65536, PIECE = 4096 };

struct conn {
	struct stream stream; /* first */
	int number;
	int reads, drained, stalled;
	ssize_t last; /* of the last read */
	int status;   /* of the last on_drained() */
	bool closed;
};

static struct stream_group group;
static struct conn conns[PAIRS];
static int peers[PAIRS];
static int reads;
static void (*on_bytes)(struct conn *c, const char *data, size_t size);
static uv_loop_t loop;
static uv_check_t check;
static uint64_t now_ns;

/* Instead of libuv's: time passes when a test says so. */
uint64_t uv_hrtime(void)
{
	return now_ns;
}

static struct conn *conn_of(struct stream *s)
{
	return (struct conn *)s;
}

static void on_read(struct stream *s, char *data, ssize_t size)
{
	struct conn *c = conn_of(s);

	c->reads++;
	reads++;
	c->last = size;
	if (size > 0)
		on_bytes(c, data, (size_t)size);
}

static void on_drained(struct stream *s, int status)
{
	conn_of(s)->drained++;
	conn_of(s)->status = status;
}

static void on_stalled(struct stream *s)
{
	assert_true(stream_unsent(s) > 0);
	conn_of(s)->stalled++;
}

static void on_closed(struct stream *s)
{
	conn_of(s)->closed = true;
}

static void on_polled(uv_check_t *handle)
{
	(void)handle;
	stream_group_serve(&group);
}

static void turn(int count)
{
	for (int i = 0; i < count; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static int setup(void **state)
{
	(void)state;
	memset(&group, 0, sizeof(group));
	memset(conns, 0, sizeof(conns));
	reads = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	group.loop = &loop;
	group.buffer = mem_alloc(READ_SIZE);
	group.buffer_size = READ_SIZE;
	group.on_read = on_read;
	group.on_drained = on_drained;
	group.on_stalled = on_stalled;
	group.on_closed = on_closed;
	assert_int_equal(stream_group_set_batch(&group), 0);
	uv_check_init(&loop, &check);
	uv_check_start(&check, on_polled);
	for (int i = 0; i < PAIRS; i++) {
		int fds[2];
		bool opened;

		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    fds),
				 0);
		conns[i].number = i;
		peers[i] = fds[1];
		assert_int_equal(stream_open(&conns[i].stream, &group, fds[0],
					     true, &opened),
				 0);
		assert_int_equal(stream_read_start(&conns[i].stream), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < PAIRS; i++) {
		if (!uv_is_closing(&conns[i].stream.uv.handle))
			stream_close(&conns[i].stream);
		if (peers[i] >= 0)
			close(peers[i]);
	}
	uv_close((uv_handle_t *)&check, NULL);
	turn(3);
	for (int i = 0; i < PAIRS; i++)
		assert_true(conns[i].closed);
	assert_int_equal(uv_loop_close(&loop), 0);
	stream_group_drop_batch(&group);
	mem_free(group.buffer);
	return 0;
}

static void say(int i, const void *data, size_t size)
{
	assert_int_equal(send(peers[i], data, size, 0), size);
}

/* What the peer has been sent, all of it. */
static size_t hear(int i, char *to, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size &&
	       (n = recv(peers[i], to + have, size - have, MSG_DONTWAIT)) > 0)
		have += (size_t)n;
	return have;
}

static void reply(struct conn *c, const char *data, size_t size)
{
	uv_buf_t bufs[] = { { (char *)"<", 1 }, { (char *)data, size } };

	assert_int_equal(stream_write(&c->stream, bufs, 2), 0);
}

static int early;

static void answer(struct conn *c, const char *data, size_t size)
{
	char byte;

	for (int i = 0; i < 3; i++)
		early += recv(peers[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	reply(c, data, size);
}

static void test_phases(void **state)
{
	char text[32], back[32];

	(void)state;
	on_bytes = answer;
	early = 0;
	for (int i = 0; i < 50; i++)
		say(i, text, (size_t)snprintf(text, sizeof(text), "n%d", i));
	turn(2);
	assert_int_equal(reads, 50);
	assert_int_equal(early, 0);
	for (int i = 0; i < 50; i++) {
		size_t n = hear(i, back, sizeof(back));

		snprintf(text, sizeof(text), "<n%d", i);
		assert_int_equal(n, strlen(text));
		assert_memory_equal(back, text, n);
		assert_int_equal(conns[i].drained + conns[i].stalled, 0);
		assert_int_equal(stream_unsent(&conns[i].stream), 0);
	}
	assert_int_equal(group.reads, 50);
	assert_int_equal(group.writes, 50);
	assert_int_equal(group.bytes_out, group.bytes_in + 50);
}

/* More than one batch holds, and more bytes than its memory. */
static void test_many(void **state)
{
	static char text[12000], back[12001];

	(void)state;
	on_bytes = reply;
	memset(text, 'x', sizeof(text));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < PAIRS; i++) {
			text[0] = (char)i;
			say(i, text, sizeof(text) - (size_t)(i * 100));
		}
		turn(4);
		for (int i = 0; i < PAIRS; i++) {
			size_t n = hear(i, back, sizeof(back));

			assert_int_equal(n, sizeof(text) - i * 100 + 1);
			assert_int_equal(back[1], (char)i);
			assert_int_equal(back[n - 1], 'x');
		}
	}
}

/* Bytes in several writes keep their order, whatever size and way they have. */
static void pieces(struct conn *c, const char *data, size_t size)
{
	static char large[20000];

	(void)size;
	memset(large, 'L', sizeof(large));
	reply(c, data, 1);
	reply(c, "b", 1);
	reply(c, large, sizeof(large));
	reply(c, "c", 1);
	stream_flush(&c->stream);
	reply(c, "d", 1);
}

static void test_order(void **state)
{
	static char back[30000];

	(void)state;
	on_bytes = pieces;
	for (int i = 0; i < 3; i++)
		say(i, "a", 1);
	turn(2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(hear(i, back, sizeof(back)),
				 2 + 2 + 20001 + 2 + 2);
		assert_memory_equal(back, "<a<b<L", 6);
		assert_memory_equal(back + 20004, "L<c<d", 5);
	}
}

static void fill(struct conn *c, const char *data, size_t size)
{
	(void)data;
	(void)size;
	for (int i = 0; i < 8; i++) {
		static char piece[PIECE - 1];

		memset(piece, 'p', sizeof(piece));
		reply(c, piece, sizeof(piece));
	}
}

/* A peer that does not read: it is told of once, and the rest follows. */
static void test_stalled(void **state)
{
	static char back[8 * PIECE + 1];
	int small = 4096, fd = 0;
	size_t have = 0;

	(void)state;
	on_bytes = fill;
	assert_int_equal(uv_fileno(&conns[0].stream.uv.handle, &fd), 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	say(0, "a", 1);
	say(1, "a", 1);
	turn(2);
	assert_true(conns[0].stalled >= 1);
	assert_true(stream_unsent(&conns[0].stream) > 0);
	assert_int_equal(conns[1].stalled, 0);
	assert_int_equal(hear(1, back, sizeof(back)), 8 * PIECE);
	for (int i = 0; i < 100 && conns[0].drained == 0; i++) {
		have += hear(0, back, sizeof(back));
		turn(1);
	}
	have += hear(0, back, sizeof(back));
	assert_int_equal(have, 8 * PIECE);
	assert_int_equal(conns[0].drained, 1);
	assert_int_equal(conns[0].status, 0);
}

static void leave_others(struct conn *c, const char *data, size_t size)
{
	reply(c, data, size);
	if (c->number == 0) /* before 2 was served */
		stream_close(&conns[2].stream);
	if (c->number == 3) /* after its answer was gathered */
		stream_close(&conns[1].stream);
	if (c->number == 4)
		stream_close(&c->stream);
}

/* Who is closed is not served; what it has been answered before leaves. */
static void test_closed(void **state)
{
	char back[8];

	(void)state;
	on_bytes = leave_others;
	for (int i = 0; i < 5; i++)
		say(i, "a", 1);
	turn(3);
	for (int i = 0; i < 5; i++)
		assert_int_equal(conns[i].reads, i != 2);
	for (int i = 0; i < 5; i++)
		assert_int_equal(hear(i, back, sizeof(back)), i == 2 ? 0 : 2);
	assert_true(conns[1].closed && conns[2].closed && conns[4].closed);
	assert_false(conns[0].closed || conns[3].closed);
}

static void lose_peer(struct conn *c, const char *data, size_t size)
{
	if (c->number == 0) {
		close(peers[1]);
		peers[1] = -1;
	}
	reply(c, data, size);
}

/* The peer has gone before the answer leaves. */
static void test_gone(void **state)
{
	char back[8];

	(void)state;
	on_bytes = lose_peer;
	for (int i = 0; i < 3; i++)
		say(i, "a", 1);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(conns[1].drained, 1);
	assert_int_equal(conns[1].status, UV_EPIPE);
	assert_int_equal(hear(0, back, sizeof(back)), 2);
	assert_int_equal(hear(2, back, sizeof(back)), 2);
}

static bool waits;

static void look(struct conn *c, const char *data, size_t size)
{
	(void)data;
	(void)size;
	if (c->number == 0)
		waits = stream_has_input(&conns[1].stream) &&
			!stream_has_input(&conns[2].stream);
}

/* What was read is input that waits; an end comes behind the last bytes. */
static void test_input(void **state)
{
	(void)state;
	on_bytes = look;
	say(0, "a", 1);
	say(1, "a", 1);
	close(peers[1]);
	peers[1] = -1;
	turn(3);
	assert_true(waits);
	assert_int_equal(conns[1].reads, 2);
	assert_int_equal(conns[1].last, UV_EOF);
	assert_int_equal(conns[2].reads, 0);
}

static void fall_asleep(struct conn *c, const char *data, size_t size)
{
	char byte;

	if (c->number == 9) /* by then the first ones have left */
		assert_int_equal(
			recv(peers[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT), 1);
	reply(c, data, size);
	if (c->number < 9)
		now_ns += 2000000;
}

/* What takes long does not hold back what is done. */
static void test_slow(void **state)
{
	(void)state;
	on_bytes = fall_asleep;
	for (int i = 0; i < 10; i++)
		say(i, "a", 1);
	turn(2);
	assert_int_equal(reads, 10);
}

static void test_no_memory(void **state)
{
	struct stream_group bare = { .buffer_size = 16 };
	char *buffer = mem_alloc(16);

	(void)state;
	bare.buffer = buffer;
	for (int i = 0; i < 2; i++) {
		if (inject_arm("malloc", i, 1) != 0) {
			mem_free(buffer);
			skip();
		}
		assert_int_equal(stream_group_set_batch(&bare), UV_ENOMEM);
		assert_ptr_equal(bare.buffer, buffer);
		inject_reset();
	}
	mem_free(buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_phases),
		T(test_many),
		T(test_order),
		T(test_stalled),
		T(test_closed),
		T(test_gone),
		T(test_input),
		T(test_slow),
		cmocka_unit_test(test_no_memory),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Every allocation fails once, in turn, while a server does all it can do: a
 * request may be lost with its connection, never the server, nor a byte.
 */
#include "http_rig.h"

#include "base/inject.h"

#define HOST "Host: a\r\n"

static struct rig rig;
static char text[1 << 20];
static char large[300000];

static void answer_kept(void)
{
	while (rig.kept_count > 0)
		rig_answer(&rig, rig.kept[--rig.kept_count]);
}

/* Each kind of request once; what comes back is looked at by the caller. */
static void do_all(void)
{
	static const char *const all[] = {
		"GET / HTTP/1.1\r\n" HOST "\r\n"
		"GET / HTTP/1.1\r\n" HOST "\r\n",
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"BAD / HTTP/1.1\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t size = strlen(all[i]), half = size / 2;

		for (int later = 0; later < 2; later++) {
			int fd = rig_connect(&rig);

			rig.keep = later;
			rig_send(&rig, fd, all[i], half);
			rig_turn(&rig, 2);
			rig_send(&rig, fd, all[i] + half, size - half);
			for (unsigned k = 0; k < 2; k++) {
				rig_turn(&rig, 3);
				answer_kept();
			}
			rig_settle(&rig, fd, text, sizeof(text));
			close(fd);
		}
	}
	rig.keep = false;
}

static void do_large(void)
{
	int fd = rig_connect_sized(&rig, 4096);

	rig.answer.status = 200;
	rig.answer.body = (struct http_text){ large, sizeof(large) };
	rig_puts(&rig, fd,
		 "GET / HTTP/1.1\r\n" HOST "\r\n"
		 "GET / HTTP/1.1\r\n" HOST "\r\n");
	rig_settle(&rig, fd, text, sizeof(text));
	close(fd);
	rig.answer.status = 0;
}

static void test_each_allocation(void **state)
{
	long asked, n = 0;
	unsigned handled;
	int fd;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	do {
		rig_start(&rig, NULL);
		assert_int_equal(inject_arm("malloc", n, 1), 0);
		do_all();
		do_large();
		asked = inject_asked("malloc");
		inject_reset();
		/* The server has survived. */
		handled = rig.handled;
		fd = rig_connect(&rig);
		rig_puts(&rig, fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
		rig_until_handled(&rig, handled + 1);
		rig_settle(&rig, fd, text, sizeof(text));
		assert_non_null(strstr(text, "HTTP/1.1 200"));
		close(fd);
		answer_kept(); /* of those that were accepted late */
		rig_until_open(&rig, 0);
		assert_int_equal(rig_stat(&rig).waiting, 0);
		rig_stop(&rig);
	} while (asked > n++); /* until there was none left to fail */
	assert_true(n > 10);
}

/* Answers that the kernel does not take at once. */
static void test_writes_wait(void **state)
{
	int fd;

	(void)state;
	if (inject_arm("none", 0, 0) != 0)
		skip();
	rig_start(&rig, NULL);
	assert_int_equal(inject_arm("stream_write", 0, -1), 0);
	for (int i = 0; i < 3; i++) {
		fd = rig_connect(&rig);
		rig_puts(&rig, fd,
			 "GET /1 HTTP/1.1\r\n" HOST "\r\n"
			 "GET /2 HTTP/1.1\r\n" HOST
			 "Connection: close\r\n\r\n");
		assert_true(rig_settle(&rig, fd, text, sizeof(text)));
		assert_int_equal(rig_count(text, "HTTP/1.1 200"), 2);
		close(fd);
	}
	inject_reset();
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
		cmocka_unit_test(test_writes_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

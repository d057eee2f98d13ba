/*
 * Every request that is refused: raw bytes, split at every offset, and behind
 * a good request. The handler must not see it, the answer must have the status
 * and end the connection.
 *
 * test: timeout 120
 */
#include "http_rig.h"

#define HOST    "Host: a\r\n"
#define POST    "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct refusal {
	const char *name;
	const char *bytes;
	size_t size;
	int status;
};

#define ROW(name, status, bytes)                       \
	{                                              \
		name, bytes, sizeof(bytes) - 1, status \
	}

static const struct refusal refusals[] = {
	/* the request line */
	ROW("garbage", 501, "\x16\x03\x01\x02 garbage\r\n\r\n"),
	ROW("an unknown method", 501, "BREW / HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a method in small letters", 501, "get / HTTP/1.1\r\n" HOST "\r\n"),
	ROW("CONNECT", 501, "CONNECT / HTTP/1.1\r\n" HOST "\r\n"),
	ROW("CONNECT to a host", 501, "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"),
	ROW("two spaces before the target", 400,
	    "GET  / HTTP/1.1\r\n" HOST "\r\n"),
	ROW("two spaces behind the target", 400,
	    "GET /  HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a tab in the request line", 501,
	    "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a space before the method", 501,
	    " GET / HTTP/1.1\r\n" HOST "\r\n"),
	ROW("no target", 400, "GET HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a relative target", 400, "GET a/b HTTP/1.1\r\n" HOST "\r\n"),
	ROW("an asterisk with GET", 400, "GET * HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a fragment", 400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a foreign scheme", 400, "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a NUL in the target", 400, "GET /a\0b HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a control in the target", 400,
	    "GET /a\x01"
	    "b HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a raw byte in the target", 400,
	    "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"),
	ROW("half an escape", 400, "GET /a%2 HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a wrong escape", 400, "GET /a%2x HTTP/1.1\r\n" HOST "\r\n"),
	ROW("an escaped NUL", 400, "GET /a%00 HTTP/1.1\r\n" HOST "\r\n"),
	ROW("HTTP/0.9", 400, "GET /\r\n" HOST "\r\n"),
	ROW("HTTP/1.2", 505, "GET / HTTP/1.2\r\n" HOST "\r\n"),
	ROW("HTTP/2.0", 505, "GET / HTTP/2.0\r\n" HOST "\r\n"),
	ROW("HTTP/11.1", 505, "GET / HTTP/11.1\r\n" HOST "\r\n"),
	ROW("a byte behind the version", 505,
	    "GET / HTTP/1.1x\r\n" HOST "\r\n"),
	ROW("a space behind the version", 505,
	    "GET / HTTP/1.1 \r\n" HOST "\r\n"),
	ROW("the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	ROW("RTSP", 400, "GET / RTSP/1.0\r\n" HOST "\r\n"),
	ROW("a method of RTSP", 400, "SETUP / HTTP/1.1\r\n" HOST "\r\n"),
	ROW("ICE", 400, "SOURCE / ICE/1.0\r\n" HOST "\r\n"),
	ROW("a bare CR in the request line", 505,
	    "GET / HTTP/1.1\rHost: a\r\n\r\n"),
	ROW("a bare LF behind the request line", 400,
	    "GET / HTTP/1.1\n" HOST "\r\n"),

	/* header lines */
	ROW("a folded line", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n"),
	ROW("a line folded by a tab", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n"),
	ROW("a folded line without a value", 400,
	    "GET / HTTP/1.1\r\n" HOST "A:\r\n c\r\n\r\n"),
	ROW("a fold into nothing", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\r\n \r\n\r\n"),
	ROW("a first line that is folded", 400,
	    "GET / HTTP/1.1\r\n A: b\r\n" HOST "\r\n"),
	ROW("a space before the colon", 400,
	    "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n"),
	ROW("a tab before the colon", 400,
	    "GET / HTTP/1.1\r\n" HOST "A\t: b\r\n\r\n"),
	ROW("a space before Content-Length's colon", 400,
	    POST "Content-Length : 3\r\n\r\nabc"),
	ROW("a line without a colon", 400,
	    "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n"),
	ROW("an empty name", 400, "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n"),
	ROW("a name with a space", 400,
	    "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n"),
	ROW("a name with a bracket", 400,
	    "GET / HTTP/1.1\r\n" HOST "A(: c\r\n\r\n"),
	ROW("a NUL in a name", 400, "GET / HTTP/1.1\r\n" HOST "A\0: c\r\n\r\n"),
	ROW("a NUL in a value", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n"),
	ROW("a control in a value", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\x01"
	    "c\r\n\r\n"),
	ROW("DEL in a value", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\x7f"
	    "c\r\n\r\n"),
	ROW("a bare CR in a value", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"),
	ROW("a bare CR ending a line", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n"),
	ROW("a bare LF ending a line", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n"),
	ROW("a bare LF behind an empty value", 400,
	    "GET / HTTP/1.1\r\n" HOST "A:\nC: d\r\n\r\n"),
	ROW("CR CR LF", 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n"),
	ROW("a bare CR ending the header", 400,
	    "GET / HTTP/1.1\r\n" HOST "\rX"),
	ROW("a bare LF ending the header", 400,
	    "GET / HTTP/1.1\r\n" HOST "A: b\r\n\n"),

	/* Host */
	ROW("no Host", 400, "GET / HTTP/1.1\r\nA: b\r\n\r\n"),
	ROW("no header at all", 400, "GET / HTTP/1.1\r\n\r\n"),
	ROW("a second Host", 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"),
	ROW("a second Host in HTTP/1.0", 400,
	    "GET / HTTP/1.0\r\n" HOST "hOST: b\r\n\r\n"),
	ROW("a Host with a space", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
	ROW("a Host with a slash", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
	ROW("an absolute target of no host", 400,
	    "GET http:///x HTTP/1.1\r\n" HOST "\r\n"),
	ROW("an absolute target with a user", 400,
	    "GET http://u@h/x HTTP/1.1\r\n" HOST "\r\n"),
	ROW("a Host with an @", 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),

	/* lengths */
	ROW("two Content-Lengths", 400,
	    POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
	ROW("the same Content-Length twice", 400,
	    POST "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc"),
	ROW("a list of Content-Lengths", 400,
	    POST "Content-Length: 3, 3\r\n\r\nabc"),
	ROW("an empty Content-Length", 400, POST "Content-Length: \r\n\r\n"),
	ROW("a signed Content-Length", 400,
	    POST "Content-Length: +3\r\n\r\nabc"),
	ROW("a negative Content-Length", 400,
	    POST "Content-Length: -3\r\n\r\nabc"),
	ROW("a hexadecimal Content-Length", 400,
	    POST "Content-Length: 0x3\r\n\r\nabc"),
	ROW("a Content-Length with a space inside", 400,
	    POST "Content-Length: 3 3\r\n\r\nabc"),
	ROW("a Content-Length past 64 bits", 400,
	    POST "Content-Length: 18446744073709551617\r\n\r\n"),
	ROW("a Content-Length over the limit", 413,
	    POST "Content-Length: 1001\r\n\r\n"),
	ROW("a Content-Length of 64 bits", 413,
	    POST "Content-Length: 18446744073709551615\r\n\r\n"),
	ROW("both lengths", 400,
	    POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
	ROW("both lengths, the other way", 400,
	    POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
	ROW("both lengths, one of them 0", 400,
	    POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
	ROW("an unknown encoding", 501, POST "Transfer-Encoding: gzip\r\n\r\n"),
	ROW("an encoding under chunked", 501,
	    POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	ROW("chunked that is not last", 400,
	    POST "Transfer-Encoding: chunked, gzip\r\n\r\n"),
	ROW("chunked twice", 400,
	    POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
	ROW("chunked in quotes", 501,
	    POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
	ROW("chunked hidden behind a tab", 400,
	    POST "Transfer-Encoding:\x0b"
		 "chunked\r\n\r\n"),
	ROW("chunked with a comma behind", 400,
	    POST "Transfer-Encoding: chunked,\r\n\r\n"),
	ROW("an empty Transfer-Encoding", 501,
	    POST "Transfer-Encoding:\r\n\r\n"),
	ROW("both lengths, an encoding between", 400,
	    POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"
		 "Transfer-Encoding: identity\r\n\r\n"),
	ROW("two Transfer-Encodings", 400,
	    POST "Transfer-Encoding: chunked\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"),
	ROW("Transfer-Encoding in HTTP/1.0", 400,
	    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
	ROW("an unknown Expect", 417, POST "Expect: more\r\n\r\n"),

	/* chunks */
	ROW("no chunk size", 400, CHUNKED "\r\nabc\r\n0\r\n\r\n"),
	ROW("a chunk size that is no number", 400, CHUNKED "g\r\n"),
	ROW("a chunk size with 0x", 400, CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"),
	ROW("a signed chunk size", 400, CHUNKED "+3\r\nabc\r\n0\r\n\r\n"),
	ROW("a negative chunk size", 400, CHUNKED "-3\r\nabc\r\n0\r\n\r\n"),
	ROW("a space before a chunk size", 400,
	    CHUNKED " 3\r\nabc\r\n0\r\n\r\n"),
	ROW("a space behind a chunk size", 400,
	    CHUNKED "3 \r\nabc\r\n0\r\n\r\n"),
	ROW("a chunk size past 64 bits", 400,
	    CHUNKED "10000000000000003\r\nabc\r\n"),
	ROW("a chunk over the limit", 413, CHUNKED "3e9\r\n"),
	ROW("chunks over the limit", 413, CHUNKED "1\r\na\r\n3e8\r\n"),
	ROW("a bare LF behind a chunk size", 400,
	    CHUNKED "3\nabc\r\n0\r\n\r\n"),
	ROW("a bare CR behind a chunk size", 400,
	    CHUNKED "3\rabc\r\n0\r\n\r\n"),
	ROW("a chunk longer than its size", 400,
	    CHUNKED "3\r\nabcd\r\n0\r\n\r\n"),
	ROW("a chunk without its line end", 400, CHUNKED "3\r\nabc0\r\n\r\n"),
	ROW("a bare LF behind a chunk", 400, CHUNKED "3\r\nabc\n0\r\n\r\n"),
	ROW("a NUL in a chunk extension", 400,
	    CHUNKED "3;a\0b\r\nabc\r\n0\r\n\r\n"),
	ROW("a bare LF in a chunk extension", 400,
	    CHUNKED "3;a\nabc\r\n0\r\n\r\n"),
	ROW("a bare CR in a chunk extension", 400,
	    CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n"),
	ROW("a NUL in a chunk size", 400, CHUNKED "3\0\r\nabc\r\n0\r\n\r\n"),
	ROW("a NUL in a trailer", 400, CHUNKED "0\r\nA: b\0c\r\n\r\n"),
	ROW("a bare CR ending the last chunk", 400,
	    CHUNKED "3\r\nabc\r\n0\r\n\rX"),
	ROW("a folded trailer", 400, CHUNKED "0\r\nA: b\r\n c\r\n\r\n"),
	ROW("a space before a trailer's colon", 400,
	    CHUNKED "0\r\nA : b\r\n\r\n"),
	ROW("a bare LF behind a trailer", 400,
	    CHUNKED "0\r\nA: b\nB: c\r\n\r\n"),
	ROW("a bare CR ending the trailers", 400, CHUNKED "0\r\nA: b\r\n\rX"),
};

enum { COUNT = sizeof(refusals) / sizeof(refusals[0]) };

static struct rig rig;
static unsigned failures; /* all are shown before the test ends */

static const char good[] = "GET /good HTTP/1.1\r\n" HOST "\r\n";

/* Send @a first, the row's bytes cut at @a cut, and see it refused. */
static void attempt(const struct refusal *row, const char *first, size_t cut)
{
	unsigned expected = first[0] != '\0';
	char text[4096], want[32];
	const char *answer = text;
	int fd = rig_connect(&rig);
	bool ended;

	rig.handled = 0;
	rig_puts(&rig, fd, first);
	rig_send(&rig, fd, row->bytes, cut);
	rig_turn(&rig, 2);
	if (rig.handled == expected)
		rig_send(&rig, fd, row->bytes + cut, row->size - cut);
	ended = rig_settle(&rig, fd, text, sizeof(text));
	if (expected)
		answer = strstr(text, "ok 1");
	if (answer != NULL && expected)
		answer += 4;
	snprintf(want, sizeof(want), "HTTP/1.1 %d ", row->status);
	if (rig.handled != expected || !ended || answer == NULL ||
	    strncmp(answer, want, strlen(want)) != 0 ||
	    strstr(answer, "\r\nConnection: close\r\n") == NULL ||
	    rig_count(answer, "HTTP/1.1 ") != 1) {
		print_error("%s, cut at %zu%s: %u handled, %s, got:\n%s\n",
			    row->name, cut, expected ? ", behind another" : "",
			    rig.handled, ended ? "ended" : "still open", text);
		failures++;
	}
	close(fd);
	rig_turn(&rig, 2);
}

static void test_refused(void **state)
{
	struct http_limits limits = { .body_bytes = 1000 };

	(void)state;
	rig_start(&rig, &limits);
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t cut = 0; cut < refusals[i].size; cut++)
			attempt(&refusals[i], "", cut);
		attempt(&refusals[i], good, 0);
		attempt(&refusals[i], good, refusals[i].size / 2);
	}
	assert_int_equal(failures, 0);
	rig_stop(&rig);
}

/* Byte by byte: nothing is decided by where a read ends. */
static void test_byte_by_byte(void **state)
{
	struct http_limits limits = { .body_bytes = 1000 };
	char text[4096], want[32];

	(void)state;
	rig_start(&rig, &limits);
	for (size_t i = 0; i < COUNT; i++) {
		int fd = rig_connect(&rig);

		for (size_t at = 0; at < refusals[i].size; at++) {
			if (!rig_send(&rig, fd, refusals[i].bytes + at, 1))
				break; /* refused before its end */
		}
		snprintf(want, sizeof(want), "HTTP/1.1 %d ",
			 refusals[i].status);
		if (!rig_settle(&rig, fd, text, sizeof(text)) ||
		    strncmp(text, want, strlen(want)) != 0 ||
		    rig_count(text, "HTTP/1.1 ") != 1 || rig.handled != 0)
			fail_msg("%s: %u handled, got:\n%s", refusals[i].name,
				 rig.handled, text);
		close(fd);
	}
	rig_stop(&rig);
}

/* The bytes behind a refused request are read by nobody. */
static void test_nothing_behind(void **state)
{
	char text[4096];

	(void)state;
	rig_start(&rig, NULL);
	for (size_t i = 0; i < COUNT; i++) {
		char bytes[512];
		int fd;

		if (refusals[i].status == 413) /* fine without the limit */
			continue;
		fd = rig_connect(&rig);
		rig.handled = 0;
		memcpy(bytes, refusals[i].bytes, refusals[i].size);
		memcpy(bytes + refusals[i].size, good, sizeof(good));
		rig_send(&rig, fd, bytes, refusals[i].size + sizeof(good) - 1);
		if (!rig_settle(&rig, fd, text, sizeof(text)) ||
		    rig_count(text, "HTTP/1.1 ") != 1 || rig.handled != 0)
			fail_msg("%s: %u handled, got:\n%s", refusals[i].name,
				 rig.handled, text);
		close(fd);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

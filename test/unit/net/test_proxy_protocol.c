/* Headers of the PROXY protocol: each row whole, cut at every place, and damaged. */
#include "unit.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/un.h>
#include <uv.h>

#include "net/proxy_protocol.h"

/** A header, and what it says: "source target", "-" for nothing, NULL: refused. */
struct row {
	const char *text;
	size_t size;
	const char *says;
};

#define TEXT(text) text, sizeof(text) - 1

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

#define ZEROS_90                                                       \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static const struct row good[] = {
	{ TEXT("PROXY TCP4 198.51.100.1 203.0.113.7 35646 443\r\n"),
	  "198.51.100.1:35646 203.0.113.7:443" },
	{ TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n"),
	  "255.255.255.255:65535 255.255.255.255:0" },
	{ TEXT("PROXY TCP6 2001:db8::1 ::1 4000 80\r\n"),
	  "2001:db8::1:4000 ::1:80" },
	{ TEXT("PROXY UNKNOWN\r\n"), "-" },
	{ TEXT("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"),
	  "-" },
	{ TEXT(SIGNATURE "\x21\x11\0\x0c\xc6\x33\x64\x01\xcb\0\x71\x07"
			 "\x8b\x3e\x01\xbb"),
	  "198.51.100.1:35646 203.0.113.7:443" },
	/* With something that is added, and skipped. */
	{ TEXT(SIGNATURE "\x21\x11\0\x11\xc6\x33\x64\x01\xcb\0\x71\x07"
			 "\x8b\x3e\x01\xbb\x04\0\x02zz"),
	  "198.51.100.1:35646 203.0.113.7:443" },
	{ TEXT(SIGNATURE
	       "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
	       "\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x0f\xa0\0\x50"),
	  "2001:db8::1:4000 ::1:80" },
	{ TEXT(SIGNATURE "\x21\x31\0\xd8/run/client.sock\0\0" ZEROS_90
			 "/run/server.sock\0\0" ZEROS_90),
	  "/run/client.sock /run/server.sock" },
	/* The proxy's own, with and without addresses. */
	{ TEXT(SIGNATURE "\x20\0\0\0"), "-" },
	{ TEXT(SIGNATURE "\x20\x11\0\x0c\xc6\x33\x64\x01\xcb\0\x71\x07"
			 "\x8b\x3e\x01\xbb"),
	  "-" },
	/* Of a datagram, and of a family nobody knows. */
	{ TEXT(SIGNATURE "\x21\x12\0\x0c\xc6\x33\x64\x01\xcb\0\x71\x07"
			 "\x8b\x3e\x01\xbb"),
	  "-" },
	{ TEXT(SIGNATURE "\x21\x71\0\x01x"), "-" },
};

static const struct row bad[] = {
	{ TEXT("GET / HTTP/1.1\r\n"), NULL },
	{ TEXT("\x16\x03\x01\x02\0\x01"), NULL },
	{ TEXT("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), NULL },
	{ TEXT("PROXY\r\n"), NULL },
	{ TEXT("PROXY \r\n"), NULL },
	{ TEXT("PROXY TCP4\r\n"), NULL },
	{ TEXT("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), NULL },
	{ TEXT("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"), NULL },
	{ TEXT("PROXY TCP4 ::1 ::1 1 2\r\n"), NULL },
	{ TEXT("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), NULL },
	{ TEXT("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"), NULL },
	{ TEXT("PROXY UNKNOWNS\r\n"), NULL },
	/* Of version 1 there are 107 bytes at most. */
	{ TEXT("PROXY UNKNOWN 1234567890123456789012345678901234567890123456789"
	       "0123456789012345678901234567890123456789012\r\n"),
	  NULL },
	{ TEXT(SIGNATURE "\x11\x11\0\x0c"), NULL }, /* another version */
	{ TEXT(SIGNATURE "\x22\x11\0\x0c"), NULL }, /* another command */
	{ TEXT(SIGNATURE "\x21\x11\0\x0b\xc6\x33\x64\x01\xcb\0\x71\x07"
			 "\x8b\x3e\x01\xbb"),
	  NULL },
	{ TEXT(SIGNATURE "\x21\x21\0\x0c\xc6\x33\x64\x01\xcb\0\x71\x07"
			 "\x8b\x3e\x01\xbb"),
	  NULL },
	{ TEXT(SIGNATURE "\x21\x11\xff\xff"), NULL }, /* too long */
	{ TEXT("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\0"), NULL },
};

static void say_one(const struct sockaddr_storage *addr, char ret[160])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)addr;
	unsigned port =
		addr->ss_family == AF_INET
			? ((const struct sockaddr_in *)addr)->sin_port
			: ((const struct sockaddr_in6 *)addr)->sin6_port;
	char ip[64];

	if (addr->ss_family == AF_UNSPEC) {
		strcpy(ret, "-");
	} else if (addr->ss_family == AF_UNIX) {
		snprintf(ret, 160, "%s", un->sun_path);
	} else {
		uv_ip_name((const struct sockaddr *)addr, ip, sizeof(ip));
		snprintf(ret, 160, "%s:%u", ip, ntohs((uint16_t)port));
	}
}

static void check_says(const struct proxy_header *h, const char *says)
{
	char source[160], target[160], both[322];

	say_one(&h->source, source);
	say_one(&h->target, target);
	if (strcmp(says, "-") == 0)
		snprintf(both, sizeof(both), "%s", source);
	else
		snprintf(both, sizeof(both), "%s %s", source, target);
	assert_string_equal(both, says);
}

/* A copy without a byte to spare, for the sanitizer. */
static ssize_t parse(const char *text, size_t size, struct proxy_header *ret)
{
	char *copy = malloc(size > 0 ? size : 1);
	ssize_t n;

	memcpy(copy, text, size);
	n = proxy_header_parse(copy, size, ret);
	free(copy);
	return n;
}

static void good_ones(void **state)
{
	struct proxy_header h;
	char more[512];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		const struct row *r = &good[i];

		for (size_t n = 0; n < r->size; n++)
			assert_int_equal(parse(r->text, n, &h), 0);
		assert_int_equal(parse(r->text, r->size, &h), r->size);
		check_says(&h, r->says);
		/* What follows is not touched. */
		memcpy(more, r->text, r->size);
		memcpy(more + r->size, "\r\nPROXY ", 8);
		assert_int_equal(parse(more, r->size + 8, &h), r->size);
		check_says(&h, r->says);
	}
}

static void bad_ones(void **state)
{
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct row *r = &bad[i];
		bool refused = false;

		assert_int_equal(parse(r->text, r->size, &h), UV_EPROTO);
		assert_int_equal(h.source.ss_family, AF_UNSPEC);
		/* Once refused it stays so, and never is it taken. */
		for (size_t n = 0; n <= r->size; n++) {
			ssize_t rc = parse(r->text, n, &h);

			assert_true(rc == UV_EPROTO || (rc == 0 && !refused));
			refused = rc == UV_EPROTO;
		}
	}
}

/* The longest that is taken, and one byte more. */
static void largest(void **state)
{
	static char text[PROXY_HEADER_MAX + 1];
	struct proxy_header h;
	size_t rest = PROXY_HEADER_MAX - 16;

	(void)state;
	memcpy(text, good[5].text, good[5].size);
	text[14] = (char)(rest >> 8);
	text[15] = (char)rest;
	assert_int_equal(parse(text, PROXY_HEADER_MAX - 1, &h), 0);
	assert_int_equal(parse(text, PROXY_HEADER_MAX, &h), PROXY_HEADER_MAX);
	check_says(&h, good[5].says);
	text[14] = (char)((rest + 1) >> 8);
	text[15] = (char)(rest + 1);
	assert_int_equal(parse(text, PROXY_HEADER_MAX + 1, &h), UV_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The header of the PROXY protocol. See proxy_protocol.h. */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

enum {
	V1_MAX = 107,        /* with the line's end */
	V1_ADDRESS_MAX = 46, /* of text, with its end */
	V2_FIXED = 16,
	V2_LOCAL = 0x20,
	V2_PROXY = 0x21,
	V2_TCP4 = 0x11,
	V2_TCP6 = 0x21,
	V2_UNIX = 0x31,
	V2_PATH = 108, /* of a unix socket, with zeros behind */
};

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_signature[6] = "PROXY ";

/* --- version 1: a line of text --- */

/* The word at *p, up to one blank or @a end; *p is moved behind that. Empty, or
 * too long for @a ret, is none. */
static bool read_word(const char **p, const char *end, char *ret, size_t room)
{
	const char *blank = memchr(*p, ' ', end - *p);
	size_t size = (blank != NULL ? blank : end) - *p;

	if (size == 0 || size >= room)
		return false;
	memcpy(ret, *p, size);
	ret[size] = '\0';
	*p += size + (blank != NULL);
	return memchr(ret, '\0', size) == NULL;
}

/* As the page has it: digits, no zero in front, at most 65535. */
static bool read_port(const char **p, const char *end, in_port_t *ret)
{
	char word[6];
	unsigned port = 0;

	if (!read_word(p, end, word, sizeof(word)) ||
	    (word[0] == '0' && word[1] != '\0'))
		return false;
	for (const char *c = word; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		port = port * 10 + (unsigned)(*c - '0');
	}
	*ret = htons((uint16_t)port);
	return port <= UINT16_MAX;
}

static void set_ip(struct sockaddr_storage *ret, int family, const void *ip,
		   in_port_t port)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	ret->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&four->sin_addr, ip, sizeof(four->sin_addr));
		four->sin_port = port;
	} else {
		memcpy(&six->sin6_addr, ip, sizeof(six->sin6_addr));
		six->sin6_port = port;
	}
}

/* "198.51.100.1 203.0.113.7 35646 443", to the end of the line. */
static bool read_addresses(const char *p, const char *end, int family,
			   struct proxy_header *ret)
{
	char text[2][V1_ADDRESS_MAX];
	unsigned char ip[2][sizeof(struct in6_addr)];
	in_port_t port[2];

	for (int i = 0; i < 2; i++)
		if (!read_word(&p, end, text[i], sizeof(text[i])) ||
		    inet_pton(family, text[i], ip[i]) != 1)
			return false;
	if (!read_port(&p, end, &port[0]) || !read_port(&p, end, &port[1]) ||
	    p != end || p[-1] == ' ')
		return false;
	set_ip(&ret->source, family, ip[0], port[0]);
	set_ip(&ret->target, family, ip[1], port[1]);
	return true;
}

static bool is_word(const char *p, const char *end, const char *word)
{
	size_t size = strlen(word);

	return (size_t)(end - p) >= size && memcmp(p, word, size) == 0;
}

static ssize_t parse_v1(const char *data, size_t size, struct proxy_header *ret)
{
	size_t look = size < V1_MAX ? size : V1_MAX;
	const char *end = memchr(data, '\n', look), *p;

	if (end == NULL)
		return size < V1_MAX ? 0 : UV_EPROTO;
	size = end + 1 - data;
	if (*--end != '\r')
		return UV_EPROTO;
	p = data + sizeof(v1_signature);
	if (p > end)
		return UV_EPROTO;
	if (is_word(p, end, "TCP4 ") &&
	    read_addresses(p + 5, end, AF_INET, ret))
		return (ssize_t)size;
	if (is_word(p, end, "TCP6 ") &&
	    read_addresses(p + 5, end, AF_INET6, ret))
		return (ssize_t)size;
	/* What follows it is not to be looked at. */
	if (is_word(p, end, "UNKNOWN") && (p + 7 == end || p[7] == ' '))
		return (ssize_t)size;
	return UV_EPROTO;
}

/* --- version 2: binary --- */

static void set_path(struct sockaddr_storage *ret, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ret;

	_Static_assert(sizeof(un->sun_path) == V2_PATH, "the same on the wire");
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, V2_PATH);
	if (path[0] != '\0')
		un->sun_path[V2_PATH - 1] = '\0';
}

/* The addresses of a family, @a size bytes of them and what may follow. */
static bool read_binary(const char *p, size_t size, unsigned char kind,
			struct proxy_header *ret)
{
	int family = kind == V2_TCP4 ? AF_INET : AF_INET6;
	size_t ip = family == AF_INET ? 4 : 16;
	in_port_t port[2];

	if (kind == V2_UNIX) {
		if (size < 2 * V2_PATH)
			return false;
		set_path(&ret->source, p);
		set_path(&ret->target, p + V2_PATH);
		return true;
	}
	if (kind != V2_TCP4 && kind != V2_TCP6)
		return true; /* it does not say, or of nothing that connects */
	if (size < 2 * ip + sizeof(port))
		return false;
	memcpy(port, p + 2 * ip, sizeof(port));
	set_ip(&ret->source, family, p, port[0]);
	set_ip(&ret->target, family, p + ip, port[1]);
	return true;
}

static ssize_t parse_v2(const char *data, size_t size, struct proxy_header *ret)
{
	const unsigned char *head = (const unsigned char *)data;
	size_t rest;

	if (size < V2_FIXED)
		return 0;
	rest = (size_t)head[14] << 8 | head[15];
	if ((head[12] != V2_LOCAL && head[12] != V2_PROXY) ||
	    V2_FIXED + rest > PROXY_HEADER_MAX)
		return UV_EPROTO;
	if (size < V2_FIXED + rest)
		return 0;
	if (head[12] == V2_PROXY &&
	    !read_binary(data + V2_FIXED, rest, head[13], ret))
		return UV_EPROTO;
	return (ssize_t)(V2_FIXED + rest);
}

/* Is @a data, as far as it has come, the signature? */
static bool begins(const char *data, size_t size, const char *signature,
		   size_t whole)
{
	return memcmp(data, signature, size < whole ? size : whole) == 0;
}

ssize_t proxy_header_parse(const char *data, size_t size,
			   struct proxy_header *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (size == 0)
		return 0;
	if (begins(data, size, v2_signature, sizeof(v2_signature)))
		return parse_v2(data, size, ret);
	if (!begins(data, size, v1_signature, sizeof(v1_signature)))
		return UV_EPROTO;
	return size < sizeof(v1_signature) ? 0 : parse_v1(data, size, ret);
}

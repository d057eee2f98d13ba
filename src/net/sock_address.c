/* Addresses of sockets. See sock_address.h. */
#include "net/sock_address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) };

static int parse_unix(struct sock_address *ret_addr, struct sock_text path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret_addr->addr;
	bool abstract = path.size > 0 && path.data[0] == '\0';

	if (path.size == 0 || (abstract && path.size == 1))
		return UV_EINVAL;
	if (!abstract && strlen(path.data) != path.size)
		return UV_EINVAL;
	if (path.size > sizeof un->sun_path - !abstract)
		return UV_ENOBUFS;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path.data, path.size);
	ret_addr->size = abstract ? (socklen_t)(PATH_AT + path.size)
				  : (socklen_t)sizeof *un;
	return 0;
}

/* A port as a number; -1: it is none. */
static int port_number(struct sock_text port)
{
	char *end;
	unsigned long n = strtoul(port.data, &end, 10);

	if (port.size == 0 || end != port.data + port.size || n > 65535 ||
	    port.data[0] < '0' || port.data[0] > '9')
		return -1;
	return (int)n;
}

/* Whatever else there is: 127.1, ff02::1%eth0, a service; for the C library a
 * star is any address, and some text is a number that is none here. None of it
 * asks anybody. */
static int parse_other(struct sock_address *ret_addr, const char *host,
		       const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return UV_EINVAL;
	memcpy(&ret_addr->addr, found->ai_addr, found->ai_addrlen);
	ret_addr->size = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

int sock_address_parse(struct sock_address *ret_addr, struct sock_text host,
		       struct sock_text port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret_addr->addr;
	int number;

	memset(ret_addr, 0, sizeof *ret_addr); /* they are compared */
	if (strcmp(host.data, "unix/") == 0)
		return parse_unix(ret_addr, port);
	if (host.size == 0 || strlen(host.data) != host.size ||
	    strlen(port.data) != port.size)
		return UV_EINVAL;
	number = port_number(port);
	if (number >= 0 && inet_pton(AF_INET, host.data, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)number);
		ret_addr->size = sizeof *in;
		return 0;
	}
	if (number < 0 && !isalpha((unsigned char)port.data[0]))
		return UV_EINVAL;
	if (strcmp(host.data, "*") == 0)
		return UV_EINVAL;
	return parse_other(ret_addr, host.data, port.data);
}

static void format_unix(const struct sock_address *addr,
			struct sock_address_text *ret_text)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->addr;
	size_t size = addr->size > PATH_AT ? addr->size - PATH_AT : 0;

	if (size > sizeof ret_text->path)
		size = sizeof ret_text->path;
	/* A file's ends in a zero byte, unless it fills all there is. */
	if (size > 0 && un->sun_path[0] != '\0')
		size = strnlen(un->sun_path, size);
	memcpy(ret_text->path, un->sun_path, size);
	ret_text->path_size = size;
	memcpy(ret_text->host, "unix/", sizeof "unix/");
}

bool sock_address_format(const struct sock_address *addr,
			 struct sock_address_text *ret_text)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->addr;

	ret_text->path_size = 0;
	ret_text->port = 0;
	switch (sa->sa_family) {
	case AF_UNIX:
		format_unix(addr, ret_text);
		return true;
	case AF_INET:
		ret_text->port =
			ntohs(((const struct sockaddr_in *)sa)->sin_port);
		break;
	case AF_INET6:
		ret_text->port =
			ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
		break;
	default:
		return false;
	}
	return getnameinfo(sa, addr->size, ret_text->host,
			   sizeof ret_text->host, NULL, 0, NI_NUMERICHOST) == 0;
}

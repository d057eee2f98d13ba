/* Listening sockets that the process was started with. See inherit.h. */
#include "net/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"

/* The manager's first descriptor. */
enum { GIVEN_FIRST = 3 };

static struct {
	struct inherited *all;
	unsigned count, capacity;
	bool committed;
	pid_t before; /* that has handed some */
} table;

struct inherited *inherit_at(unsigned i)
{
	return i < table.count ? &table.all[i] : NULL;
}

static struct sockaddr_un *un_of(struct listen_address *a)
{
	return (struct sockaddr_un *)&a->addr;
}

static const char *path_of(const struct listen_address *a)
{
	return ((const struct sockaddr_un *)&a->addr)->sun_path;
}

/* As listen_address_parse() has it: all of it is there, and compared; an abstract name
 * begins with '@'. */
static int read_address(struct inherited *e)
{
	struct listen_address *a = &e->bound;

	memset(a, 0, sizeof *a);
	a->size = sizeof a->addr;
	if (getsockname(e->fd, (struct sockaddr *)&a->addr, &a->size) != 0)
		return -1;
	if (a->addr.ss_family != AF_UNIX)
		return 0;
	if (a->size > offsetof(struct sockaddr_un, sun_path) &&
	    un_of(a)->sun_path[0] == '\0')
		un_of(a)->sun_path[0] = '@';
	a->size = sizeof(struct sockaddr_un);
	return 0;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

/* What it is instead of a socket that listens, or NULL. */
static const char *fault_of(int fd)
{
	int type, family;

	if (fcntl(fd, F_GETFD) < 0)
		return "is not open";
	type = option(fd, SOL_SOCKET, SO_TYPE);
	family = option(fd, SOL_SOCKET, SO_DOMAIN);
	if (type < 0)
		return "is no socket";
	if (type == SOCK_DGRAM)
		return "is a socket for datagrams";
	if (type != SOCK_STREAM ||
	    (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
		return "is a socket of a kind that no listener has";
	if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return "is a socket that does not listen (a connection? "
		       "Accept= must be no)";
	return NULL;
}

static bool is_every_address(const struct listen_address *a)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->addr;

	return a->addr.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

static struct inherited *new_entry(void)
{
	unsigned more = table.capacity == 0 ? 16 : table.capacity * 2;
	struct inherited *all;

	if (table.count == table.capacity) {
		all = table.count == INHERIT_MAX
			      ? NULL
			      : mem_realloc(table.all, more * sizeof *all);
		if (all == NULL)
			return NULL;
		table.all = all;
		table.capacity = more;
	}
	return &table.all[table.count];
}

int inherit_add(int fd, const char *name, bool given, bool any_port)
{
	const char *fault = fault_of(fd);
	struct inherited *e;

	if (fault != NULL) {
		diag_set(ClientError,
			 "the inherited descriptor %d%s%s%s %s: only stream "
			 "sockets that listen can be taken",
			 fd, name == NULL ? "" : " ('",
			 name == NULL ? "" : name, name == NULL ? "" : "')",
			 fault);
		return -1;
	}
	e = new_entry();
	if (e == NULL)
		goto fail;
	*e = (struct inherited){ .fd = fd,
				 .given = given,
				 .any_port = any_port };
	if (name != NULL && (e->name = mem_strdup(name)) == NULL)
		goto fail;
	if (read_address(e) != 0) {
		diag_set_system(errno, "the inherited descriptor %d", fd);
		mem_free(e->name);
		return -1;
	}
	e->dual_stack = is_every_address(&e->bound) &&
			option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (e->bound.addr.ss_family != AF_UNIX)
		listener_set_keepalive(fd);
	if (!given)
		table.before = getppid();
	table.count++;
	return 0;
fail:
	diag_set_oom(sizeof *e, "inherited sockets");
	return -1;
}

/* The number in @a text; -1: it is none. */
static long number_of(const char *text)
{
	if (text == NULL || *text == '\0' || strlen(text) > 9 ||
	    strspn(text, "0123456789") != strlen(text))
		return -1;
	return strtol(text, NULL, 10);
}

/* As systemd has it, what has no name is 'unknown'. */
static int add_given(long count, char *names)
{
	for (int i = 0; i < count; i++) {
		char *name = names, *end;

		if (name != NULL) {
			end = strchr(name, ':');
			names = end == NULL ? NULL : end + 1;
			if (end != NULL)
				*end = '\0';
		}
		if (name == NULL || *name == '\0')
			name = (char *)"unknown";
		if (inherit_add(GIVEN_FIRST + i, name, true, false) != 0)
			return -1;
	}
	return 0;
}

static int read_given(void)
{
	const char *text = getenv("LISTEN_FDNAMES");
	long count = number_of(getenv("LISTEN_FDS"));
	char *names = NULL;
	int rc;

	if (number_of(getenv("LISTEN_PID")) != getpid() || count <= 0)
		return 0; /* they were somebody else's */
	if (count > INHERIT_MAX) {
		diag_set(ClientError, "LISTEN_FDS: %d sockets are the most",
			 INHERIT_MAX);
		return -1;
	}
	if (text != NULL && (names = mem_strdup(text)) == NULL) {
		diag_set_oom(strlen(text), "inherited sockets");
		return -1;
	}
	rc = add_given(count, names);
	mem_free(names);
	return rc;
}

int inherit_read_given(void)
{
	int rc = read_given();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return rc;
}

void inherit_end(void)
{
	for (unsigned i = 0; i < table.count; i++) {
		if (table.all[i].fd >= 0)
			close(table.all[i].fd);
		mem_free(table.all[i].name);
	}
	mem_free(table.all);
	memset(&table, 0, sizeof table);
}

/* --- whose is it? --- */

static bool is_same(const struct listen_address *a,
		    const struct listen_address *b)
{
	return a->size == b->size && memcmp(&a->addr, &b->addr, a->size) == 0;
}

static bool is_exact(const struct inherited *e,
		     const struct listen_address *wanted)
{
	return is_same(&e->bound, wanted);
}

/* By another path. */
static bool is_same_file(const struct inherited *e,
			 const struct listen_address *wanted)
{
	const struct listen_address *a = &e->bound;
	struct stat sa, sb;

	return a->addr.ss_family == AF_UNIX &&
	       wanted->addr.ss_family == AF_UNIX &&
	       stat(path_of(a), &sa) == 0 && stat(path_of(wanted), &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* 0.0.0.0:80, where [::]:80 takes that in. */
static bool is_part(const struct inherited *e,
		    const struct listen_address *wanted)
{
	const struct sockaddr_in *in =
		(const struct sockaddr_in *)&wanted->addr;
	const struct sockaddr_in6 *in6 =
		(const struct sockaddr_in6 *)&e->bound.addr;

	return e->given && e->dual_stack && in->sin_family == AF_INET &&
	       in->sin_addr.s_addr == htonl(INADDR_ANY) &&
	       in->sin_port == in6->sin6_port;
}

/* The address as it was asked for, when it was port 0. */
static bool is_any_port(const struct inherited *e,
			const struct listen_address *wanted)
{
	struct listen_address any = e->bound;

	if (!e->any_port)
		return false;
	if (any.addr.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&any.addr)->sin6_port = 0;
	else
		((struct sockaddr_in *)&any.addr)->sin_port = 0;
	return is_same(&any, wanted);
}

/* What says most comes first. */
static struct inherited *find(const struct listen_address *wanted,
			      bool unclaimed)
{
	static bool (*const fits[])(const struct inherited *e,
				    const struct listen_address *wanted) = {
		is_exact, is_same_file, is_part, is_any_port
	};

	for (unsigned way = 0; way < sizeof fits / sizeof *fits; way++) {
		for (unsigned i = 0; i < table.count; i++) {
			struct inherited *e = &table.all[i];

			if (e->fd >= 0 && !(unclaimed && e->claimed) &&
			    fits[way](e, wanted))
				return e;
		}
	}
	return NULL;
}

struct inherited *inherit_claim(const struct listen_address *wanted)
{
	struct inherited *found = find(wanted, true);

	if (found == NULL)
		return NULL;
	found->claimed = true;
	for (unsigned i = 0; i < table.count && !found->given; i++) {
		struct inherited *e = &table.all[i];

		if (is_same(&e->bound, &found->bound))
			e->claimed = true;
	}
	return found;
}

bool inherit_has_given(const struct listen_address *wanted)
{
	const struct inherited *e = find(wanted, true);

	return e != NULL && e->given;
}

unsigned inherit_count_given(const struct listen_address *wanted)
{
	const struct inherited *found = find(wanted, false);
	unsigned count = 0;

	for (unsigned i = 0; i < table.count && found != NULL; i++) {
		const struct inherited *e = &table.all[i];

		if (e->given && is_same(&e->bound, &found->bound))
			count++;
	}
	return count;
}

bool inherit_is_left(const struct listen_address *wanted)
{
	for (unsigned i = 0; i < table.count; i++) {
		const struct inherited *e = &table.all[i];

		if (!e->given && !e->taken && is_same(&e->bound, wanted))
			return e->fd < 0 && getppid() == table.before;
	}
	return false;
}

struct inherited *inherit_next(const struct listen_address *bound)
{
	for (unsigned i = 0; i < table.count; i++) {
		struct inherited *e = &table.all[i];

		if (e->fd >= 0 && !e->given && !e->taken &&
		    is_same(&e->bound, bound))
			return e;
	}
	return NULL;
}

void inherit_release(struct inherited *e)
{
	e->claimed = false;
}

unsigned inherit_close_untaken(char marks[static INHERIT_MAX])
{
	for (unsigned i = 0; i < table.count; i++) {
		struct inherited *e = &table.all[i];

		marks[i] = e->taken ? '1' : '0';
		if (e->given || e->taken || e->fd < 0)
			continue;
		close(e->fd);
		e->fd = -1;
	}
	return table.count;
}

void inherit_commit(void)
{
	for (unsigned i = 0; i < table.count; i++) {
		struct inherited *e = &table.all[i];

		if (e->given || e->fd < 0)
			continue;
		close(e->fd);
		e->fd = -1;
	}
	table.committed = true;
}

bool inherit_is_committed(void)
{
	return table.committed;
}

void inherit_format(const struct inherited *e, char *text, size_t size)
{
	if (e->bound.addr.ss_family == AF_UNIX)
		snprintf(text, size, "unix:%s", path_of(&e->bound));
	else
		listen_address_format(&e->bound, text, size);
}

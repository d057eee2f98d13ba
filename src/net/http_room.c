/*
 * How many connections the servers of a worker may have. One that was given no number
 * takes what the descriptors allow, and shares it with the others: alone it may have all,
 * and together they leave what files and refusals need. The connections of those that
 * were given one count, too.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "net/http1.h"

enum {
	SPARE_MIN = 2, /* descriptors that are not for connections */
	SPARE_MAX = 128,
};

/** Of a thread, whose servers are all of one loop. */
struct room {
	struct list servers; /* those that run */
	uint32_t server_count;
	uint32_t connections; /* of all of them */
	uint32_t most;
	uint32_t refusing; /* over these, to be told so */
};

static __thread struct room room;

/* Descriptors that the process may still open. */
static uint32_t free_descriptors(void)
{
	struct rlimit limit;
	uint32_t n = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur > HTTP1_CONNECTIONS_MAX)
		return HTTP1_CONNECTIONS_MAX;
	/* Where there are many it is enough to know of the lowest ones. */
	for (int fd = 0; fd < (int)limit.rlim_cur && fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) < 0;
	return limit.rlim_cur > 1024 ? n + (uint32_t)limit.rlim_cur - 1024 : n;
}

/* How many connections there may be, and how many over that which are taken
 * to be refused: without a descriptor nobody can be told why. What is left is
 * for files. */
static void measure(void)
{
	/* Each worker has as many. */
	uint32_t n = free_descriptors() / listener_sharers() + room.connections;
	uint32_t spare = n / 4 < SPARE_MIN   ? SPARE_MIN
			 : n / 4 < SPARE_MAX ? n / 4
					     : SPARE_MAX;

	room.most = n > spare ? n - spare : 1;
	room.refusing = spare / 2;
}

void http1__room_join(struct http_server *server)
{
	if (room.server_count++ == 0)
		list_init(&room.servers);
	list_add_tail(&room.servers, &server->in_room);
	measure();
}

void http1__room_leave(struct http_server *server)
{
	list_del(&server->in_room);
	room.server_count--;
}

/* Are there as many as may be, and @a more? */
static bool has(const struct http_server *server, uint32_t more)
{
	uint32_t most = server->limits.connections;

	return most != 0 ? server->stat.connections >= most + more
			 : room.connections >= room.most + more;
}

bool http1__room_is_full(const struct http_server *server)
{
	return has(server, 0);
}

bool http1__room_is_over(const struct http_server *server)
{
	return has(server, room.refusing);
}

void http1__room_enter(struct http_server *server)
{
	server->stat.connections++;
	room.connections++;
}

void http1__forget(struct http_server *server)
{
	server->stat.connections--;
	room.connections--;
	list_foreach(link, &room.servers)
		http1__room_given(
			list_entry(link, struct http_server, in_room));
	http1__left(server);
}

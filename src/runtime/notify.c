/*
 * Words to the service manager. See notify.h.
 *
 * The protocol is one datagram for each word, and stable; libsystemd would be one more
 * library to have, at run time too, for this file.
 */
#include "runtime/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 1024 };

static struct {
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	uint64_t watchdog_ns;
} self;

static uint64_t number_of(const char *text)
{
	if (text == NULL || *text == '\0' || strlen(text) > 15 ||
	    strspn(text, "0123456789") != strlen(text))
		return 0;
	return strtoull(text, NULL, 10);
}

void notify_start(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *pid = getenv("WATCHDOG_PID");

	self.path[0] = '\0';
	if (path != NULL && (path[0] == '/' || path[0] == '@') &&
	    strlen(path) < sizeof self.path)
		strcpy(self.path, path);
	self.watchdog_ns = 0;
	if (pid == NULL || number_of(pid) == (uint64_t)getpid())
		self.watchdog_ns = number_of(getenv("WATCHDOG_USEC")) * 1000;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
}

const char *notify_socket(void)
{
	return self.path[0] == '\0' ? NULL : self.path;
}

uint64_t notify_watchdog_ns(void)
{
	return self.path[0] == '\0' ? 0 : self.watchdog_ns;
}

static void send_words(const char *text, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t path = strlen(self.path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	memcpy(addr.sun_path, self.path, path);
	if (addr.sun_path[0] == '@') /* of no file */
		addr.sun_path[0] = '\0';
	/* A manager that does not read must not stop the server. */
	while (sendto(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT,
		      (struct sockaddr *)&addr,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				  path)) < 0 &&
	       errno == EINTR)
		;
	close(fd);
}

void notify_say(const char *fmt, ...)
{
	char text[WORDS_MAX];
	va_list ap;
	int size;

	if (self.path[0] == '\0')
		return;
	va_start(ap, fmt);
	size = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (size > 0)
		send_words(text,
			   size < WORDS_MAX ? (size_t)size : WORDS_MAX - 1);
}

void notify_end(void)
{
	self.path[0] = '\0';
}

void notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	notify_say("RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)now.tv_sec * 1000000 +
			   (unsigned long long)now.tv_nsec / 1000);
}

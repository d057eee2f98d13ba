/*
 * See lua_cmod_spawn.h. By posix_spawn(), which shares the memory until the new
 * program is executed: a fork() of a large server copies its page tables, and
 * the loop stands meanwhile.
 */
#include "lua/lua_cmod_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/inject.h"
#include "cmod/isolate_child.h"

extern char **environ;

/* Signals as a new process has them; a session of its own, so that all that
 * the library may start is found by the process's number, and the terminal's
 * keys reach the server alone. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setsigmask(attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(attr, &all);
	if (rc == 0)
		rc = posix_spawnattr_setflags(
			attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
				      POSIX_SPAWN_SETSID);
	return rc;
}

static int set_files(posix_spawn_file_actions_t *files, int socket, int library)
{
	int rc;

	rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
					      O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, socket,
						      ISOLATE_SOCKET_FD);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(files, library,
						      ISOLATE_LIBRARY_FD);
	return rc;
}

/* Both descriptors are above those that the helper will find them at. */
static int execute(int socket, int library, char **argv, pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc;

	rc = posix_spawnattr_init(&attr);
	if (rc != 0)
		return -rc;
	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		goto out_attr;
	rc = set_attributes(&attr);
	if (rc == 0)
		rc = set_files(&files, socket, library);
	if (rc == 0)
		rc = inject("cmod.spawn")
			     ? EAGAIN
			     : posix_spawn(ret_pid, "/proc/self/exe", &files,
					   &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
out_attr:
	posix_spawnattr_destroy(&attr);
	return -rc;
}

static int open_pidfd(pid_t pid)
{
	int fd = inject("cmod.pidfd") ? -1
				      : (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0)
		return fd;
	fd = errno != 0 ? -errno : UV_EMFILE;
	/* Nobody could tell of its end. */
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

static int open_pair(int pair[2])
{
	if (inject("cmod.socketpair"))
		return UV_EMFILE;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0
		       ? 0
		       : -errno;
}

/* Above the places where the helper will look for its descriptors. */
static int raise_fd(int fd)
{
	int high = inject("cmod.dup")
			   ? UV_EMFILE
			   : fcntl(fd, F_DUPFD_CLOEXEC, ISOLATE_LIBRARY_FD + 1);

	return high == -1 ? -errno : high;
}

int lua_cmod_spawn(int library_fd, const char *symbol, const char *file,
		   int *ret_socket, pid_t *ret_pid, int *ret_pidfd)
{
	char *argv[] = { (char *)"neap", (char *)ISOLATE_ARGUMENT,
			 (char *)symbol, (char *)file, NULL };
	int pair[2], high[2], rc, pidfd;
	pid_t pid;

	rc = open_pair(pair);
	if (rc != 0)
		return rc;
	high[0] = raise_fd(pair[1]);
	close(pair[1]);
	if (high[0] < 0) {
		rc = high[0];
		goto fail_pair;
	}
	high[1] = raise_fd(library_fd);
	if (high[1] < 0) {
		rc = high[1];
		goto fail_high;
	}
	rc = execute(high[0], high[1], argv, &pid);
	close(high[1]);
	if (rc != 0)
		goto fail_high;
	close(high[0]);
	pidfd = open_pidfd(pid);
	if (pidfd < 0) {
		rc = pidfd;
		goto fail_pair;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*ret_socket = pair[0];
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
fail_high:
	close(high[0]);
fail_pair:
	close(pair[0]);
	return rc;
}

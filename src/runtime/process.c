/* Children. See process.h. */
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/inject.h"

extern char **environ;

/* Children that nobody waits for; looked at when the next one is started. */
static struct {
	pthread_mutex_t lock;
	pid_t *pids;
	size_t count;
	size_t capacity;
} orphans = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void sweep_locked(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < orphans.count; i++) {
		if (waitpid(orphans.pids[i], NULL, WNOHANG) == 0)
			orphans.pids[kept++] = orphans.pids[i];
	}
	orphans.count = kept;
	if (kept > 0)
		return;
	mem_free(orphans.pids);
	orphans.pids = NULL;
	orphans.capacity = 0;
}

static void sweep(void)
{
	pthread_mutex_lock(&orphans.lock);
	sweep_locked();
	pthread_mutex_unlock(&orphans.lock);
}

void process_disown(struct process *p)
{
	pid_t *more;

	if (p->pid == 0 || process_reap(p, false))
		return;
	close(p->pidfd);
	pthread_mutex_lock(&orphans.lock);
	sweep_locked();
	if (orphans.count == orphans.capacity) {
		more = mem_realloc(orphans.pids,
				   (orphans.count + 16) * sizeof *more);
		if (more != NULL) {
			orphans.pids = more;
			orphans.capacity = orphans.count + 16;
		}
	}
	if (orphans.count < orphans.capacity) /* else a zombie until our end */
		orphans.pids[orphans.count++] = p->pid;
	pthread_mutex_unlock(&orphans.lock);
	p->pid = 0;
}

bool process_reap(struct process *p, bool block)
{
	pid_t pid;

	do {
		pid = waitpid(p->pid, &p->status, block ? 0 : WNOHANG);
	} while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	if (pid < 0) /* a stranger has reaped it: nothing is known */
		p->status = -1;
	p->pid = 0;
	close(p->pidfd);
	p->pidfd = -1;
	return true;
}

/* 0, 1 and 2 of the child: dup2() of one onto itself clears its CLOEXEC. Those
 * below 3 could be overwritten before they are taken; the caller moves such. */
static int set_files(posix_spawn_file_actions_t *a,
		     const struct process_spec *spec)
{
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0; i++) {
		if (spec->fds[i] >= 0)
			rc = posix_spawn_file_actions_adddup2(a, spec->fds[i],
							      i);
	}
	for (int i = 0; i < 3 && rc == 0; i++) {
		if (spec->fds[i] < 0)
			rc = posix_spawn_file_actions_addclose(a, i);
	}
	for (unsigned i = 0; i < spec->more_count && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(a, spec->more[i],
						      3 + (int)i);
	if (rc == 0 && (spec->flags & PROCESS_CLOSE_FDS))
		rc = posix_spawn_file_actions_addclosefrom_np(
			a, 3 + (int)spec->more_count);
	return rc;
}

static int set_attributes(posix_spawnattr_t *attr,
			  const struct process_spec *spec)
{
	short flags = POSIX_SPAWN_SETSIGDEF;
	sigset_t set;
	int rc;

	/* Ours are caught, which exec undoes; ignored ones it hands on. */
	sigemptyset(&set);
	if (spec->flags & PROCESS_DEFAULT_SIGNALS)
		sigfillset(&set);
	rc = posix_spawnattr_setsigdefault(attr, &set);
	if (rc == 0 && (spec->flags & PROCESS_EMPTY_MASK)) {
		sigemptyset(&set);
		flags |= POSIX_SPAWN_SETSIGMASK;
		rc = posix_spawnattr_setsigmask(attr, &set);
	}
	if (spec->flags & PROCESS_SETSID)
		flags |= POSIX_SPAWN_SETSID;
	else if (spec->flags & PROCESS_SETPGID)
		flags |= POSIX_SPAWN_SETPGROUP;
	if (rc == 0)
		rc = posix_spawnattr_setflags(attr, flags);
	return rc;
}

/* A child without a pidfd cannot be waited for: it does not go on. */
static int open_pidfd(struct process *p)
{
	int rc;

	p->pidfd = inject("process.pidfd") ? -1 : pidfd_open(p->pid, 0);
	if (p->pidfd >= 0) {
		fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
		return 0;
	}
	rc = errno == 0 ? UV_EMFILE : -errno;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
	return rc;
}

int process_spawn(const struct process_spec *spec, struct process *ret_process)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	struct process p = { 0, -1, -1 };
	char *const *env = spec->env != NULL ? spec->env : environ;
	bool searches = (spec->flags & PROCESS_SEARCH) != 0;
	int rc;

	sweep();
	rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0)
		return -rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0)
		goto out_actions;
	rc = set_files(&actions, spec);
	if (rc == 0)
		rc = set_attributes(&attr, spec);
	if (rc == 0)
		rc = inject("process.spawn") ? EAGAIN
		     : searches ? posix_spawnp(&p.pid, spec->path, &actions,
					       &attr, spec->argv, env)
				: posix_spawn(&p.pid, spec->path, &actions,
					      &attr, spec->argv, env);
	posix_spawnattr_destroy(&attr);
out_actions:
	posix_spawn_file_actions_destroy(&actions);
	rc = -rc;
	if (rc == 0)
		rc = open_pidfd(&p);
	if (rc == 0)
		*ret_process = p;
	return rc;
}

int process_shell(const char *command, const int fds[3],
		  struct process *ret_process)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	struct process_spec spec = {
		.path = "/bin/sh",
		.argv = argv,
		.fds = { fds[0], fds[1], fds[2] },
		.flags = PROCESS_EMPTY_MASK,
	};

	return process_spawn(&spec, ret_process);
}

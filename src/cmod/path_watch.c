/*
 * Is a path still the way to a file? See path_watch.h.
 *
 * An inotify watch lies on each thing that a walk of the path touches: every
 * folder, every symbolic link (not only what it leads to) and the file. Names
 * need no watch: for a name to lead elsewhere, what it leads to must be moved
 * or unlinked, and each tells that of itself (a folder that is removed was
 * empty, so the next thing on the way has told before; hence no way that passes
 * by a folder, as in `a/../b`). Permission is an attribute. Mounts are another
 * matter, told by /proc/self/mountinfo.
 *
 * A thing is watched first and looked at then. Whatever happens between the two
 * is an event, so the walk need not be atomic: it is good if nothing is told
 * later.
 *
 * The file's bytes: a writer through a mapping, or an asynchronous one, is not
 * told of, but must have opened the file. So its opening is watched, and that
 * nobody has it open for writing already is known by a lease, which the kernel
 * gives then only; taken, it is given back at once.
 *
 * Any event ends the trust in all paths (`epoch`). They are rare: of what is *in*
 * a folder only changed attributes are told, by its name, and passed over.
 * Folders stay watched then: to watch one anew the kernel goes through all names
 * in it that it has in memory, also of files that are not there; a /tmp with a
 * million of them would hold up the loop for 100 ms, each time.
 *
 *   inotify --+--> epoll set of thread 1 <-- mountinfo of thread 1
 *             +--> epoll set of thread 2 <-- mountinfo of thread 2
 *
 * An event of inotify is seen by all until it is read, and while one thread
 * reads there is no epoch. One of mountinfo is seen once for each opening of the file, hence
 * one for each thread.
 *
 * What is not told of, and found by who stats now and then: a process or thread
 * that changes its own root, mount namespace or rights; files written to by
 * way of an overlay that has their folder for its upper one.
 */
#include "cmod/path_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/inject.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

enum {
	WATCHED_MAX = 1024, /* then it begins anew, ... */
	FOLDERS_MAX = 256,  /* ... but for so many folders */
	LINKS_MAX = 40,     /* as the kernel has it */
};

static const uint32_t way_events = IN_ATTRIB | IN_MOVE_SELF;
static const uint32_t file_events = IN_OPEN | IN_MODIFY;

struct watched {
	int wd;           /* one for each inode */
	bool folder;      /* outlives epochs */
	bool not_written; /* nobody had it open for writing; file_events */
};

/* What each thread asks. */
struct eye {
	bool open;
	int epoll_fd;
	int mounts_fd;
};

static _Thread_local struct eye eye;

/* A path is trusted in the epoch that it was watched in. */
#define NO_EPOCH 0
static _Atomic uint64_t epoch = NO_EPOCH;

/* Guards what follows, and changes of `epoch`; not needed for asking. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_epoch;
static unsigned eyes; /* open */
static int inotify_fd = -1;
static struct watched watched[WATCHED_MAX];
static unsigned watched_count;

static atomic_bool forked;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* set where an eye is open, for its closing */
static bool key_made;

/* The child of a fork shares the queue with its parent. It has no threads that
 * ask just now, but the lock may be held by one that it does not have. */
static void on_fork(void)
{
	atomic_store(&forked, true);
	atomic_store(&epoch, NO_EPOCH);
}

static void on_thread_end(void *arg)
{
	(void)arg;
	path_watch_end();
}

static void init(void)
{
	key_made = pthread_key_create(&key, on_thread_end) == 0 &&
		   pthread_atfork(NULL, NULL, on_fork) == 0;
}

/* The kernel does not watch it any more. */
static void forget(int wd)
{
	for (unsigned i = 0; i < watched_count; i++) {
		if (watched[i].wd == wd)
			watched[i--] = watched[--watched_count];
	}
}

/* Empty the queue. Returns whether any of it was about what is watched, and not
 * about the attributes of something else in a watched folder. */
static bool read_events(void)
{
	alignas(struct inotify_event) char events[4096];
	const struct inotify_event *e;
	bool ours = false;
	ssize_t n;

	while ((n = read(inotify_fd, events, sizeof events)) > 0) {
		for (const char *p = events; p < events + n;
		     p += sizeof *e + e->len) {
			e = (const struct inotify_event *)(const void *)p;
			ours |= e->len == 0; /* no name: the thing itself */
			if ((e->mask & IN_IGNORED) != 0)
				forget(e->wd);
		}
	}
	return ours;
}

/* No path is trusted any more. With the lock held. */
static void start_over(void)
{
	unsigned count = watched_count;

	atomic_store(&epoch, NO_EPOCH);
	watched_count = 0;
	for (unsigned i = 0; i < count; i++) {
		if (watched[i].folder && watched_count < FOLDERS_MAX)
			watched[watched_count++] = watched[i];
		else
			inotify_rm_watch(inotify_fd, watched[i].wd);
	}
	read_events();
	atomic_store(&epoch, ++last_epoch);
}

/* The set of this thread gave @a n of @a e. With the lock held. */
static void see_to(const struct epoll_event *e, int n)
{
	bool ours = n < 0;

	/* First: who asks once the queue is empty must not trust it yet. */
	atomic_store(&epoch, NO_EPOCH);
	for (int i = 0; i < n; i++)
		ours |= e[i].data.fd == eye.mounts_fd;
	ours |= read_events();
	if (ours)
		start_over();
	else
		atomic_store(&epoch, last_epoch);
}

static int add_to(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

/* With the lock held. Returns 0 or -1. */
static int open_inotify(void)
{
	if (eyes > 0)
		return 0;
	inotify_fd = inject("path_watch.inotify")
			     ? -1
			     : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return inotify_fd >= 0 ? 0 : -1;
}

static void close_inotify(void)
{
	if (eyes > 0)
		return;
	atomic_store(&epoch, ++last_epoch);
	close(inotify_fd); /* the watches go with it */
	inotify_fd = -1;
	watched_count = 0;
}

/* With the lock held. Returns 0 or -1. */
static int open_eye(void)
{
	if (eye.open)
		return 0;
	if (open_inotify() != 0)
		return -1;
	eye.mounts_fd = inject("path_watch.mounts")
				? -1
				: open("/proc/thread-self/mountinfo",
				       O_RDONLY | O_CLOEXEC);
	if (eye.mounts_fd < 0)
		goto fail_mounts;
	eye.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (eye.epoll_fd < 0)
		goto fail_epoll;
	if (add_to(eye.epoll_fd, inotify_fd, EPOLLIN) != 0 ||
	    add_to(eye.epoll_fd, eye.mounts_fd, EPOLLERR | EPOLLPRI) != 0 ||
	    pthread_setspecific(key, &eye) != 0)
		goto fail_add;
	eye.open = true;
	eyes++;
	/* It does not know of the mounts before. */
	atomic_store(&epoch, ++last_epoch);
	return 0;
fail_add:
	close(eye.epoll_fd);
fail_epoll:
	close(eye.mounts_fd);
fail_mounts:
	close_inotify();
	return -1;
}

/* Returns the entry of @a way itself, links not followed, or NULL. */
static struct watched *watch(const char *way, uint32_t events)
{
	int wd = inject("path_watch.add")
			 ? -1
			 : inotify_add_watch(inotify_fd, way,
					     events | IN_MASK_ADD |
						     IN_DONT_FOLLOW);

	if (wd < 0)
		return NULL;
	for (unsigned i = 0; i < watched_count; i++) {
		if (watched[i].wd == wd)
			return &watched[i];
	}
	watched[watched_count] = (struct watched){ .wd = wd };
	return &watched[watched_count++];
}

/*
 * File systems all of whose changes go through this kernel, and whose every
 * change is told of. (Not Btrfs, which removes subvolumes as a whole, nor
 * overlays, whose inodes are not always the same.)
 */
static bool is_local(const char *way)
{
	struct statfs fs;

	if (statfs(way, &fs) != 0)
		return false;
	switch ((uint32_t)fs.f_type) {
	case EXT4_SUPER_MAGIC: /* that of 2 and 3 as well */
	case TMPFS_MAGIC:
	case XFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/*
 * The lease breaks when somebody opens the file for writing, who waits until we
 * give it back, at once. The signal that tells us so would by default end the
 * process: one that is by default ignored in its place.
 */
static bool is_being_written(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) != 0 ||
	    fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
		return true;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* Watch @a w, the file at @a way, for writers. Returns 0 or -1. */
static int watch_file(struct watched *w, const char *way)
{
	int fd, rc = -1;

	if (w->not_written)
		return 0; /* opening it again would be an event */
	fd = open(way, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	/* Asked first, too: then the next try's opening is no event. */
	if (!is_being_written(fd) &&
	    watch(way, way_events | file_events) == w &&
	    !is_being_written(fd)) {
		w->not_written = true;
		rc = 0;
	}
	close(fd);
	return rc;
}

/* A walk: `way` was walked, `rest` is to be. */
struct walk {
	char way[PATH_MAX];
	size_t used;
	char rest[2 * PATH_MAX];
	int links;
	bool named; /* the end is a folder that may be empty */
};

static bool part_is(const char *part, size_t n, const char *name)
{
	return n == strlen(name) && memcmp(part, name, n) == 0;
}

/* The next part of the path to the end of the way. Returns 1; 0: there is none;
 * -1: too long, or past a folder that the kernel does not tell of. (Behind the
 * root and the folder that a link lies in, which is not empty, `..` is fine.) */
static int step(struct walk *w)
{
	const char *part = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(part, "/");

	if (n == 0)
		return 0;
	if (n + 2 > sizeof w->way - w->used)
		return -1;
	if (part_is(part, n, "..")) {
		if (w->named)
			return -1;
	} else if (!part_is(part, n, ".")) {
		w->named = true;
	}
	w->way[w->used] = '/';
	memcpy(w->way + w->used + 1, part, n);
	w->used += n + 1;
	w->way[w->used] = '\0';
	memmove(w->rest, part + n, strlen(part + n) + 1);
	return 1;
}

/* What the link at the end of the way leads to comes next. Returns 0 or -1. */
static int follow(struct walk *w)
{
	size_t left = strlen(w->rest);
	char target[PATH_MAX];
	ssize_t n = readlink(w->way, target, sizeof target);

	if (n <= 0 || (size_t)n >= sizeof target || ++w->links > LINKS_MAX ||
	    (size_t)n + left >= sizeof w->rest)
		return -1;
	memmove(w->rest + n, w->rest, left + 1);
	memcpy(w->rest, target, (size_t)n);
	w->used = target[0] == '/' ? 0
				   : (size_t)(strrchr(w->way, '/') - w->way);
	w->way[w->used] = '\0';
	w->named = false;
	return 0;
}

/* Watch the end of the way. Returns 1 when it is the file, 0 to go on, -1 when
 * it cannot be watched. */
static int look(struct walk *w, const struct identity *id)
{
	const char *way = w->used == 0 ? "/" : w->way;
	struct watched *entry = watch(way, way_events);
	struct identity now;
	struct stat st;

	if (entry == NULL || lstat(way, &st) != 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return follow(w);
	if (!is_local(way))
		return -1;
	entry->folder = S_ISDIR(st.st_mode);
	if (entry->folder)
		return 0;
	if (!S_ISREG(st.st_mode) || w->rest[0] != '\0' ||
	    watch_file(entry, way) != 0 || lstat(way, &st) != 0)
		return -1;
	now = identity_of(&st);
	return identity_equal(&now, id) ? 1 : -1;
}

/* Returns 0 or -1. */
static int watch_way(const char *file, const struct identity *id)
{
	struct walk w = { .used = 0 };
	int rc;

	if (file[0] != '/' || strlen(file) >= PATH_MAX)
		return -1;
	strcpy(w.rest, file);
	do {
		/* The way, its links, and the file once more. */
		if (watched_count + 2 > WATCHED_MAX)
			start_over();
		rc = look(&w, id);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	} while (step(&w) > 0);
	return -1;
}

uint64_t path_watch_begin(const char *file, const struct identity *id)
{
	uint64_t since, rc = NO_EPOCH;
	struct epoll_event e[2];
	int n;

	if (atomic_load(&forked))
		return NO_EPOCH;
	pthread_once(&once, init);
	if (!key_made)
		return NO_EPOCH;
	pthread_mutex_lock(&lock);
	if (open_eye() == 0) {
		n = epoll_wait(eye.epoll_fd, e, 2, 0);
		if (n != 0)
			see_to(e, n);
		since = last_epoch;
		if (watch_way(file, id) == 0)
			rc = since; /* of no worth if it has begun anew */
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

bool path_watch_is_still(uint64_t since)
{
	struct epoll_event e[2];
	int n;

	if (since == NO_EPOCH || since != atomic_load(&epoch) || !eye.open)
		return false;
	n = epoll_wait(eye.epoll_fd, e, 2, 0);
	if (n != 0) {
		pthread_mutex_lock(&lock);
		see_to(e, n);
		pthread_mutex_unlock(&lock);
	}
	return since == atomic_load(&epoch);
}

void path_watch_end(void)
{
	if (!eye.open || atomic_load(&forked))
		return;
	pthread_mutex_lock(&lock);
	eye.open = false;
	close(eye.epoll_fd);
	close(eye.mounts_fd);
	eyes--;
	close_inotify();
	pthread_mutex_unlock(&lock);
}

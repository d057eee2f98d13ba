/* Addresses that workers share. See listen_share.h. */
#include "net/listen_share.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/inject.h"
#include "base/list.h"
#include "net/inherit.h"
#include "net/listener.h"

/* An address that somebody has. */
struct shared {
	struct list link; /* of nobody else's: in no list */
	struct list holds;
	char *name;                   /* NULL: none */
	struct listen_address wanted; /* as it was asked for */
	struct listen_address bound;  /* with the port the system chose */
	int fd; /* of a unix socket, a given one: all others are its duplicates;
		   else -1 */
	struct inherited *given; /* NULL: it is our own */
	bool borrowed;           /* handed, see inherit.h */
	bool passed;             /* it is another process's now */
	unsigned id;
};

/* That one of the workers has it. */
struct listen_hold {
	struct list link;
	struct shared *shared;
	const void *owner;
	unsigned generation;
	int fd;                    /* its own, as long as it holds */
	struct listen_hold *older; /* whose socket it has taken over */
	struct listen_hold *heir;  /* who has taken over its socket */
	bool borrowed, passed;     /* as above, over TCP */
	bool refuses;              /* and is about to be closed */
	unsigned id;
};

static __thread unsigned generation;
static _Atomic(listen_watch_f) watch;

void listen_share_set_watch(listen_watch_f fn)
{
	watch = fn;
}

/* Not under the lock. */
static void tell(bool opened, const struct shared *s)
{
	listen_watch_f fn = watch;

	if (fn != NULL)
		fn(opened, s->name, &s->bound);
}

void listen_share_set_generation(unsigned number)
{
	generation = number;
}

/* Guards all of it. Binding under it keeps two who are first apart. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list all = { &all, &all };

static bool is_unix(const struct listen_address *addr)
{
	return addr->addr.ss_family == AF_UNIX;
}

/* Of all bytes: listen_address_parse() leaves none as it was. */
static bool is_same(const struct listen_address *a,
		    const struct listen_address *b)
{
	return a->size == b->size && memcmp(&a->addr, &b->addr, a->size) == 0;
}

static bool takes_any_port(const struct listen_address *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->addr;

	switch (sa->sa_family) {
	case AF_INET:
		return ((const struct sockaddr_in *)sa)->sin_port == 0;
	case AF_INET6:
		return ((const struct sockaddr_in6 *)sa)->sin6_port == 0;
	default:
		return false;
	}
}

static bool holds(const struct shared *s, const void *owner)
{
	list_foreach(link, &s->holds) {
		const struct listen_hold *h =
			list_entry(link, struct listen_hold, link);

		if (h->owner == owner && !h->refuses)
			return true;
	}
	return false;
}

/* The address that @a owner may join. NULL: there is none, or, with
 * *ret_in_use, it has it already. Of a given one there may be several. */
static struct shared *find(const struct listen_address *addr, const void *owner,
			   bool *ret_in_use)
{
	bool has = false;

	*ret_in_use = false;
	list_foreach(link, &all) {
		struct shared *s = list_entry(link, struct shared, link);

		if (!is_same(&s->wanted, addr) && !is_same(&s->bound, addr))
			continue;
		if (!holds(s, owner))
			return s;
		has = true;
	}
	*ret_in_use = has && !takes_any_port(addr) && !inherit_has_given(addr);
	return NULL;
}

/* What the first one needs to know for the others. */
static int note_bound(struct shared *s, int fd, bool alone)
{
	s->bound.size = sizeof s->bound.addr;
	if (getsockname(fd, (struct sockaddr *)&s->bound.addr,
			&s->bound.size) != 0)
		return -errno;
	if ((!is_unix(&s->wanted) && s->given == NULL) || alone)
		return 0;
	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return s->fd < 0 ? -errno : 0;
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static int take_handed(struct inherited *e, struct shared *s,
		       struct listen_hold *hold)
{
	int fd = duplicate(e->fd);

	if (fd < 0)
		return fd;
	e->taken = true;
	if (is_unix(&s->wanted))
		s->borrowed = true;
	else
		hold->borrowed = true;
	return fd;
}

/* What the process was started with, or a new one. Returns a descriptor or UV_E*. */
static int take_or_bind(struct shared *s, struct listen_hold *hold,
			listen_bind_f bind, void *arg)
{
	struct inherited *e = inherit_claim(&s->wanted);

	if (e == NULL)
		return bind(&s->wanted, inherit_is_left(&s->wanted), arg);
	if (!e->given)
		return take_handed(e, s, hold);
	s->given = e;
	return duplicate(e->fd);
}

static void note_use(struct shared *s, const struct listen_hold *hold)
{
	if (s->given != NULL)
		s->given->used = hold->generation + 1;
}

/* The first one. Returns a descriptor or UV_E*. */
static int open_first(struct shared *s, struct listen_hold *hold, bool alone,
		      listen_bind_f bind, void *arg)
{
	int fd = take_or_bind(s, hold, bind, arg);
	int rc;

	if (fd < 0)
		return fd;
	rc = note_bound(s, fd, alone);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

/* An older one that has no heir, or NULL. */
static struct listen_hold *find_older(const struct shared *s,
				      const struct listen_hold *hold)
{
	list_foreach(link, &s->holds) {
		struct listen_hold *h =
			list_entry(link, struct listen_hold, link);

		if (h->generation < hold->generation && h->heir == NULL &&
		    !h->refuses)
			return h;
	}
	return NULL;
}

static int open_next(struct shared *s, struct listen_hold *hold,
		     listen_bind_f bind, void *arg)
{
	struct listen_hold *older;
	struct inherited *e;
	int fd;

	if (s->fd >= 0)
		return duplicate(s->fd);
	e = inherit_next(&s->bound);
	if (e != NULL)
		return take_handed(e, s, hold);
	older = find_older(s, hold);
	if (older == NULL)
		return bind(&s->bound, true, arg);
	fd = duplicate(older->fd);
	if (fd >= 0) {
		older->heir = hold;
		hold->older = older;
	}
	return fd;
}

/* With the lock held. */
static void give_back(struct shared *s)
{
	if (s->given != NULL)
		inherit_release(s->given);
	s->given = NULL;
}

static void shared_delete(struct shared *s)
{
	mem_free(s->name);
	mem_free(s);
}

static struct shared *shared_new(const struct listen_address *addr,
				 const char *name)
{
	struct shared *s = mem_zalloc(sizeof *s);

	if (s == NULL)
		return NULL;
	if (name != NULL) {
		s->name = mem_strdup(name);
		if (s->name == NULL) {
			mem_free(s);
			return NULL;
		}
	}
	list_init(&s->link);
	list_init(&s->holds);
	s->wanted = *addr;
	s->fd = -1;
	return s;
}

/* With the lock held. *ret_first: it has the address first. */
static int join(struct listen_hold *hold, const struct listen_address *addr,
		const char *name, listen_bind_f bind, void *arg,
		bool *ret_first)
{
	bool in_use = false, alone = hold->owner == NULL;
	static unsigned ids;
	struct shared *s = alone ? NULL : find(addr, hold->owner, &in_use);
	bool first = s == NULL;
	int fd;

	if (in_use)
		return UV_EADDRINUSE;
	if (first)
		s = shared_new(addr, name);
	if (s == NULL)
		return UV_ENOMEM;
	fd = first ? open_first(s, hold, alone, bind, arg)
		   : open_next(s, hold, bind, arg);
	if (fd < 0) {
		if (first) {
			give_back(s);
			shared_delete(s);
		}
		return fd;
	}
	if (first && !alone)
		list_add_tail(&all, &s->link);
	note_use(s, hold);
	if (s->id == 0)
		s->id = ++ids;
	hold->id = ++ids;
	hold->shared = s;
	hold->fd = fd;
	list_add_tail(&s->holds, &hold->link);
	*ret_first = first;
	return fd;
}

int listen_share_join(const struct listen_address *addr, const char *name,
		      const void *owner, listen_bind_f bind, void *arg,
		      struct listen_hold **ret_hold)
{
	struct listen_hold *hold = mem_zalloc(sizeof *hold);
	bool first = false;
	int fd;

	if (hold == NULL)
		return UV_ENOMEM;
	hold->owner = owner;
	hold->generation = generation;
	pthread_mutex_lock(&lock);
	fd = join(hold, addr, name, bind, arg, &first);
	pthread_mutex_unlock(&lock);
	if (first)
		tell(true, hold->shared); /* which stays as long as the hold */
	if (fd < 0)
		mem_free(hold);
	else
		*ret_hold = hold;
	return fd;
}

/* What is done to it would be done to somebody else's. */
static bool is_outside(const struct shared *s)
{
	return s->given != NULL || s->passed ||
	       (s->borrowed && !inherit_is_committed());
}

/* With the lock held. */
static bool is_succeeded(const struct listen_hold *hold)
{
	return hold->heir != NULL || hold->older != NULL || hold->passed ||
	       is_outside(hold->shared) ||
	       (hold->borrowed && !inherit_is_committed());
}

bool listen_share_refuse(struct listen_hold *hold)
{
	bool refuses;

	pthread_mutex_lock(&lock);
	refuses = !is_succeeded(hold);
	hold->refuses = refuses;
	pthread_mutex_unlock(&lock);
	return refuses;
}

bool listen_share_leave(struct listen_hold *hold, void (*remove)(void *arg),
			void *arg, bool *ret_succeeded)
{
	struct shared *s = hold->shared;
	bool last;

	pthread_mutex_lock(&lock);
	*ret_succeeded = is_succeeded(hold);
	list_del(&hold->link);
	if (hold->heir != NULL)
		hold->heir->older = NULL;
	if (hold->older != NULL) /* as before: it has the socket alone */
		hold->older->heir = hold->heir;
	if (hold->older != NULL && hold->heir != NULL)
		hold->heir->older = hold->older;
	last = list_empty(&s->holds);
	if (last) {
		list_del(&s->link);
		if (!is_outside(s))
			remove(arg);
		if (s->fd >= 0)
			close(s->fd);
		give_back(s);
	}
	pthread_mutex_unlock(&lock);
	if (last) {
		tell(false, s);
		shared_delete(s);
	}
	mem_free(hold);
	return last;
}

unsigned listen_share_count_given(const struct listen_address *wanted)
{
	unsigned count;

	pthread_mutex_lock(&lock);
	count = inherit_count_given(wanted);
	pthread_mutex_unlock(&lock);
	return count;
}

void listen_share_each_unused(unsigned number,
			      void (*fn)(const struct inherited *e, void *arg),
			      void *arg)
{
	const struct inherited *e;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; (e = inherit_at(i)) != NULL; i++) {
		if (e->given && e->used != number + 1)
			fn(e, arg);
	}
	pthread_mutex_unlock(&lock);
}

/* --- a process that replaces this one, or that this one replaces --- */

struct passing {
	struct listen_pass *list;
	unsigned count, max;
};

static int pass(struct passing *p, int fd, const struct listen_pass *of)
{
	struct listen_pass *l = &p->list[p->count];

	if (p->count == p->max)
		return UV_E2BIG;
	*l = *of;
	l->fd = duplicate(fd);
	if (l->fd < 0)
		return l->fd;
	p->count++;
	return 0;
}

static int pass_shared(struct passing *p, const struct shared *s)
{
	struct listen_pass of = { .id = s->id,
				  .any_port = takes_any_port(&s->wanted) };
	int rc = 0;

	if (s->given != NULL)
		return 0; /* all of those are passed */
	if (s->fd >= 0)
		return pass(p, s->fd, &of);
	list_foreach(link, &s->holds) {
		const struct listen_hold *h =
			list_entry(link, struct listen_hold, link);

		of.id = h->id;
		if (rc == 0 && h->heir == NULL && !h->refuses)
			rc = pass(p, h->fd, &of);
	}
	return rc;
}

int listen_share_pass(struct listen_pass *list, unsigned max)
{
	struct passing p = { .list = list, .max = max };
	const struct inherited *e;
	int rc = 0;

	pthread_mutex_lock(&lock);
	list_foreach(link, &all) {
		if (rc == 0)
			rc = pass_shared(&p,
					 list_entry(link, struct shared, link));
	}
	for (unsigned i = 0; rc == 0 && (e = inherit_at(i)) != NULL; i++) {
		if (e->given)
			rc = pass(&p, e->fd,
				  &(struct listen_pass){ .name = e->name });
	}
	pthread_mutex_unlock(&lock);
	if (rc == 0)
		return (int)p.count;
	while (p.count > 0)
		close(list[--p.count].fd);
	return rc;
}

void listen_share_passed(unsigned id)
{
	pthread_mutex_lock(&lock);
	list_foreach(link, &all) {
		struct shared *s = list_entry(link, struct shared, link);

		if (s->id == id)
			s->passed = true;
		list_foreach(other, &s->holds) {
			struct listen_hold *h =
				list_entry(other, struct listen_hold, link);

			if (h->id == id)
				h->passed = true;
		}
	}
	pthread_mutex_unlock(&lock);
}

unsigned listen_share_close_untaken(char *marks)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = inherit_close_untaken(marks);
	pthread_mutex_unlock(&lock);
	return n;
}

void listen_share_commit(void)
{
	pthread_mutex_lock(&lock);
	inherit_commit();
	pthread_mutex_unlock(&lock);
}

/*
 * Addresses on which several workers of this process listen. Who asks first
 * binds the address for the process, so that another program's listener is
 * found as ever; the others join. Over TCP each has a socket of its own
 * (SO_REUSEPORT) and the system spreads the connections over them; of a unix
 * socket all have the same one.
 *
 * A reload has two sets of workers for a while, generations: who is of the younger one
 * takes over the socket of one of the older, if there is one whose socket nobody has
 * taken over, so that whoever waits in its queue is served, and nobody is refused when
 * the older one closes.
 *
 * Port 0 takes a free port: the first such listener of a worker has the port of
 * the first of the others, its second theirs, and so on.
 *
 * A socket that the process was started with (inherit.h) is taken before one is bound. One
 * that a service manager has given is the same for all, and nothing is left undone or
 * undone behind it: it is only closed. Of several of one address whoever listens there as
 * often has each.
 */
#pragma once

#include <stdbool.h>

struct listen_address;
struct listen_hold;
struct inherited;

/** Binds a new socket: a descriptor, or a negative UV_E*. @a joins: others of
 * this process, or of the one that it replaces, are bound there already. */
typedef int (*listen_bind_f)(const struct listen_address *addr, bool joins,
			     void *arg);

/**
 * A descriptor bound to @a addr for @a owner, whom its address tells from
 * others; NULL: it shares with nobody. @a name: of the listener, for who watches; NULL:
 * none. *ret_hold is to be given to listen_share_leave() in the end. Returns
 * a negative UV_E* otherwise; UV_EADDRINUSE also when the owner holds the
 * address already.
 */
int listen_share_join(const struct listen_address *addr, const char *name,
		      const void *owner, listen_bind_f bind, void *arg,
		      struct listen_hold **ret_hold);

/**
 * Have @a fn told, on any thread, when this process begins to have an address and when
 * nobody in it has it any more: a reload that keeps it is neither. NULL: nobody. The name
 * may be NULL.
 */
typedef void (*listen_watch_f)(bool opened, const char *name,
			       const struct listen_address *bound);
void listen_share_set_watch(listen_watch_f fn);

/** What this thread joins from now on is of generation @a number; at first 0. */
void listen_share_set_generation(unsigned number);

/** Over TCP: who comes there is refused from now on, until the descriptor is closed. So
 * others do not take it over, but have sockets of their own beside it. Returns false:
 * somebody has it already, it need only be left and closed. */
bool listen_share_refuse(struct listen_hold *hold);

/** Give up the address; the descriptor is the caller's to close. Returns true
 * when nobody has it any more: then @a remove has removed what it leaves behind,
 * before another one can bind it; if it is not somebody's outside. *ret_succeeded: its
 * socket is that of somebody else, too, younger, older or outside: it only need be
 * closed. Of two who leave one after the other the second one is told no. */
bool listen_share_leave(struct listen_hold *hold, void (*remove)(void *arg),
			void *arg, bool *ret_succeeded);

/** As inherit_count_given(). */
unsigned listen_share_count_given(const struct listen_address *wanted);

/** Tell @a fn of each given socket that nobody of generation @a number has taken. */
void listen_share_each_unused(unsigned number,
			      void (*fn)(const struct inherited *e, void *arg),
			      void *arg);

/* --- a process that replaces this one, or that this one replaces --- */

/** A socket for it. */
struct listen_pass {
	int fd;
	unsigned id;      /* 0: given */
	bool any_port;    /* it was asked for with port 0 */
	const char *name; /* of a given one; NULL: it is our own */
};

/** Duplicates of all that this process has, the caller's to close. Returns how many, or
 * UV_E*; UV_E2BIG: more than @a max. */
int listen_share_pass(struct listen_pass *list, unsigned max);

/** That one is the other process's from now on: it only need be closed. */
void listen_share_passed(unsigned id);

/** As inherit_close_untaken(), inherit_commit(). */
unsigned listen_share_close_untaken(char *marks);
void listen_share_commit(void);

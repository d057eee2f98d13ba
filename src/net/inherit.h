/*
 * Listening sockets that the process was started with. *Given* ones are a service
 * manager's (systemd's LISTEN_FDS): it keeps them and gives them to who comes next, so
 * nothing is done to them that would outlast this process. *Handed* ones are those of the
 * process that this one is to replace: they stay its alone until inherit_commit().
 *
 * A listener takes them by its address, see listen_share.h. The table is made before there
 * are threads and kept to the end; what is taken is told under the lock of listen_share.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/listener.h"

enum { INHERIT_MAX = 1024 };

struct inherited {
	int fd; /* negative: no more */
	bool given;
	bool any_port;   /* it was asked for with port 0 */
	bool dual_stack; /* of all addresses of IPv6, and of IPv4 with them */
	bool taken;      /* handed: by somebody */
	bool claimed;    /* the address has been found here */
	unsigned
		used; /* given: generation that had it last, and one; 0: none */
	char *name;   /* the manager's; NULL: none */
	struct listen_address bound;
};

/** What LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say, which are taken out of the
 * environment. Returns 0, or -1 with diag set: one of them is no listening socket. */
int inherit_read_given(void);

/** One more. The descriptor is the table's, @a name is copied. Returns 0, or -1 with diag set. */
int inherit_add(int fd, const char *name, bool given, bool any_port);

/** All are closed and forgotten: at the end of the process. */
void inherit_end(void);

/** Number @a i of the table, from 0; NULL: there are not so many. */
struct inherited *inherit_at(unsigned i);

/** One whose address is @a wanted, for who has it first: a given one alone, of those handed
 * all of the same address. NULL: none. */
struct inherited *inherit_claim(const struct listen_address *wanted);

/** Is there a given one that could be claimed so? */
bool inherit_has_given(const struct listen_address *wanted);

/** How many there are that were given for @a wanted: whoever listens there must have all
 * of them, for the system spreads connections over them. */
unsigned inherit_count_given(const struct listen_address *wanted);

/** Nobody had taken those of @a wanted when this process came to serve, and the process
 * that it replaces, which listens there for a moment more, is still alive. */
bool inherit_is_left(const struct listen_address *wanted);

/** Another one handed with the address @a bound that nobody has taken; NULL: none. */
struct inherited *inherit_next(const struct listen_address *bound);

/** A given one is nobody's any more, and may be claimed again. */
void inherit_release(struct inherited *e);

/** Those handed that nobody has taken are closed. A mark for each of the table, '1' or '0',
 * into @a marks: has it been taken? Returns how many. Under the lock: listen_share_close_untaken(). */
unsigned inherit_close_untaken(char marks[static INHERIT_MAX]);

/** Who was handed them has them alone from now on. */
void inherit_commit(void);
bool inherit_is_committed(void);

/** "unix:/run/x", "127.0.0.1:80", "[::1]:80", as a configuration has it. */
void inherit_format(const struct inherited *e, char *text, size_t size);

/*
 * Names of hosts to addresses, as the C library finds them (/etc/hosts, DNS
 * with its search list, whatever nsswitch.conf says), which blocks: so threads
 * of the pool do it, at most half of them at once, that other work finds one
 * when no name server answers. Who comes later waits in a queue with a limit.
 *
 * Each thread with a loop remembers answers for a few seconds, up to a limit.
 * Those who ask the same at the same time get the same answer.
 *
 *	rc = resolve_ask(self, key, &answer)   UV_EAGAIN: it is not known
 *	     resolve_wait(answer, self, ..)  .. the fiber goes on with 0
 *	rc = resolve_ask(self, key, &answer)   once more
 */
#pragma once

#include <netdb.h>
#include <stdint.h>

struct fiber;

enum {
	RESOLVE_KNOWN_MAX = 256,     /* answers that are remembered */
	RESOLVE_PENDING_MAX = 1024,  /* questions that wait, of a thread */
	RESOLVE_NAME_MAX = 1024,     /* bytes of a host, or of a service */
	RESOLVE_TTL_MS = 10000,      /* of an answer */
	RESOLVE_FAILED_TTL_MS = 1000 /* of one that there is none */
};

struct resolve_key {
	const char *host;    /* NULL: any */
	const char *service; /* NULL: none */
	int family, type, protocol, flags;
};

struct resolve_answer;

/**
 * What is known of @a key; numbers are always. Returns 0, and the answer is
 * good until the next call; UV_EAGAIN: it is being looked up; UV_ENOBUFS: too
 * many are; UV_ENAMETOOLONG; UV_ENOMEM.
 */
int resolve_ask(struct fiber *self, const struct resolve_key *key,
		struct resolve_answer **ret_answer);

/** The running fiber begins to wait for one that is being looked up. As
 * fiber_park(). */
void resolve_wait(struct resolve_answer *a, struct fiber *self,
		  uint64_t timeout_ns);

/** How it went: 0, or EAI_*; then errno, when that is EAI_SYSTEM. */
int resolve_status(const struct resolve_answer *a, int *ret_errno);

/** NULL when it failed. */
const struct addrinfo *resolve_found(const struct resolve_answer *a);

/** Forget what is known; who waits goes on waiting. */
void resolve_forget(void);

/** The end of this thread's loop; nobody waits any more. */
void resolve_end(void);

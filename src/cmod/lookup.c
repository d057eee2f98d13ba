/* Looking up addresses. See lookup.h. */
#include "cmod/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"

struct lookup {
	struct cmod_job job;
	char *node;            /* or NULL */
	char *service;         /* or NULL */
	struct addrinfo hints; /* its pointers are NULL */
	bool has_hints;
	int rc;                /* UV_E* */
	struct addrinfo *list; /* that was found, or NULL */
};

static struct lookup *lookup_of(struct cmod_job *job)
{
	return (struct lookup *)job; /* job comes first */
}

/* What libuv calls an error of getaddrinfo(). */
static int error_of(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case EAI_SYSTEM:
		return -errno;
	case EAI_MEMORY:
		return UV_EAI_MEMORY;
	case EAI_AGAIN:
		return UV_EAI_AGAIN;
	case EAI_BADFLAGS:
		return UV_EAI_BADFLAGS;
	case EAI_FAMILY:
		return UV_EAI_FAMILY;
	case EAI_SERVICE:
		return UV_EAI_SERVICE;
	case EAI_SOCKTYPE:
		return UV_EAI_SOCKTYPE;
	case EAI_FAIL:
		return UV_EAI_FAIL;
	default:
		return UV_EAI_NONAME;
	}
}

static void run(struct cmod_job *job)
{
	struct lookup *l = lookup_of(job);

	l->rc = error_of(getaddrinfo(l->node, l->service,
				     l->has_hints ? &l->hints : NULL,
				     &l->list));
}

static void drop(struct cmod_job *job)
{
	lookup_delete(lookup_of(job));
}

/* Returns 0, or -1 with diag set. */
static int copy(char **to, const char *text)
{
	if (text == NULL)
		return 0;
	*to = mem_strdup(text);
	if (*to != NULL)
		return 0;
	diag_set_oom(strlen(text) + 1, "a lookup of addresses");
	return -1;
}

struct lookup *lookup_new(const char *node, const char *service,
			  const struct addrinfo *hints)
{
	struct lookup *l = mem_zalloc(sizeof *l);

	if (l == NULL) {
		diag_set_oom(sizeof *l, "a lookup of addresses");
		return NULL;
	}
	l->job.run = run;
	l->job.drop = drop;
	l->has_hints = hints != NULL;
	if (hints != NULL) {
		l->hints.ai_flags = hints->ai_flags;
		l->hints.ai_family = hints->ai_family;
		l->hints.ai_socktype = hints->ai_socktype;
		l->hints.ai_protocol = hints->ai_protocol;
	}
	if (copy(&l->node, node) == 0 && copy(&l->service, service) == 0)
		return l;
	lookup_delete(l);
	return NULL;
}

void lookup_delete(struct lookup *l)
{
	if (l == NULL)
		return;
	if (l->list != NULL)
		freeaddrinfo(l->list);
	mem_free(l->node);
	mem_free(l->service);
	mem_free(l);
}

struct cmod_job *lookup_job(struct lookup *l)
{
	return &l->job;
}

int lookup_take(struct lookup *l, struct addrinfo **ret_list)
{
	if (l->rc != 0) {
		diag_set_system(l->rc, "cannot look up the addresses of '%s'",
				l->node != NULL ? l->node : "");
		return -1;
	}
	*ret_list = l->list;
	l->list = NULL;
	return 0;
}

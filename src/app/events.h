/*
 * Events of the process's life: whoever causes one publishes it, on any thread, and each
 * subscription, in whichever state, gets them one by one in its state's thread.
 *
 *	events_publish(EVENT_.., ..)       any thread
 *	    -> the queue of each subscription that wants it -> mail ->
 *	        on_event()                  the subscriber's thread
 *	        events_take()
 *
 * A subscription with EVENTS_UNREAD_MAX events that were not taken is paused: what comes is
 * counted and lost, until all are taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "runtime/mailbox.h"

struct worker;

enum {
	EVENTS_UNREAD_MAX = 100,
	EVENTS_SUBSCRIPTIONS_MAX = 4096, /* of the process */
	EVENTS_DATA_MAX = 65536,         /* bytes of an event */
	EVENTS_TYPES_MAX = 32,           /* of a subscription */
};

/** What there is; the part before the last '_' is a family, which stands for all of
 * its types. */
#define EVENTS(X)                                                          \
	X(WORKER_START)     /* serves: worker, generation */               \
	X(WORKER_STOP)      /* begins to end: and reason */                \
	X(WORKER_STUCK)     /* does not turn: and seconds */               \
	X(RELOAD_BEGIN)     /* is checked aside: generation */             \
	X(RELOAD_DONE)      /* it serves now: generation */                \
	X(RELOAD_FAILED)    /* it does not: generation, error */           \
	X(LISTENER_ADD)     /* listens: name, address */                   \
	X(LISTENER_DEL)     /* does no more: name, address */              \
	X(CERTIFICATE_NEW)  /* was replaced: name, fingerprint */          \
	X(CERTIFICATE_FAIL) /* could not be: name, error */                \
	X(MODULE_LOAD)      /* a C module: path */                         \
	X(MODULE_REPLACE)   /* by a newer file: path */                    \
	X(MODULE_UNLOAD)    /* nobody uses it any more: path */            \
	X(PAT_REF_ADD)      /* of a map or ACL: only to who asks for it */ \
	X(PAT_REF_DEL)                                                     \
	X(PAT_REF_SET)                                                     \
	X(PAT_REF_CLEAR)                                                   \
	X(PAT_REF_COMMIT)

enum event_type {
#define X(name) EVENT_##name,
	EVENTS(X)
#undef X
		EVENT_TYPES,
};

extern const char *const event_names[EVENT_TYPES];

/** The types of a name or a family, as bits; 0: there is none. */
uint64_t event_types_parse(const char *name);

/** Something that is told of an event. */
struct event_field {
	const char *name;
	const char *text; /* NULL: a number */
	double number;
};

/**
 * Publish an event with @a fields, @a count of them. No lock of the caller's is taken, and
 * nobody is waited for; without memory it is lost, which is logged. Any thread.
 */
void events_publish(enum event_type type, const struct event_field *fields,
		    unsigned count);

/** The same with @a data, msgpack of one value; and @a source, of which thing it is: then
 * only those who asked for that get it. NULL: none. */
void events_publish_packed(enum event_type type, const char *source,
			   const void *data, size_t size);

/** One that was published. */
struct event {
	unsigned refs; /* atomic */
	enum event_type type;
	double time; /* seconds since 1970 */
	size_t size;
	char data[]; /* msgpack; none: nothing is told */
};

struct events_sub;

/** On the subscriber's thread: there are events to take. */
typedef void (*events_f)(struct events_sub *s);

struct events_sub {
	struct list link; /* in the list of all, which has a reference */
	unsigned refs;    /* atomic */
	uint64_t types;
	char *source;            /* NULL: any */
	struct mailbox *mailbox; /* of its thread */
	struct mail mail;
	events_f on_event;
	void *arg; /* the subscriber's */
	/* Under the lock of all. */
	struct list unread;
	unsigned count;
	bool posted;
	bool paused;
	bool over;
	uint64_t lost;      /* since it was made */
	uint64_t lost_then; /* when it was paused */
};

/** Subscribe. Returns it with a reference, or NULL with diag set: too many, no memory. */
struct events_sub *events_subscribe(uint64_t types, const char *source,
				    struct mailbox *mailbox, events_f on_event,
				    void *arg);

/** The next event, with a reference; NULL: none. */
struct event *events_take(struct events_sub *s);
void event_unref(struct event *e);

/** No more events: those that were not taken are dropped. Twice is fine. */
void events_unsubscribe(struct events_sub *s);
void events_sub_unref(struct events_sub *s);

/** Events that were lost to it. */
uint64_t events_lost(struct events_sub *s);

/* Events of the process's life. See events.h. */
#include "app/events.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "port/mp_pack.h"

struct unread {
	struct list link;
	struct event *event;
};

const char *const event_names[EVENT_TYPES] = {
#define X(name) [EVENT_##name] = #name,
	EVENTS(X)
#undef X
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list subs = { &subs, &subs };
static unsigned sub_count; /* of them; read without the lock */

uint64_t event_types_parse(const char *name)
{
	size_t size = strlen(name);
	uint64_t types = 0;

	for (int i = 0; i < EVENT_TYPES; i++) {
		const char *tail = event_names[i] + size;

		if (strncmp(event_names[i], name, size) == 0 &&
		    (*tail == '\0' ||
		     (*tail == '_' && strchr(tail + 1, '_') == NULL)))
			types |= (uint64_t)1 << i;
	}
	return types;
}

void event_unref(struct event *e)
{
	if (e != NULL && __atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) == 0)
		mem_free(e);
}

void events_sub_unref(struct events_sub *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	mem_free(s->source);
	mem_free(s);
}

static void ref(struct events_sub *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
}

/* --- on the subscriber's thread --- */

static void arrive(struct mail *m, bool delivered)
{
	struct events_sub *s =
		list_entry(&m->link, struct events_sub, mail.link);
	bool over;

	pthread_mutex_lock(&lock);
	s->posted = false;
	over = s->over;
	pthread_mutex_unlock(&lock);
	if (delivered && !over)
		s->on_event(s);
	events_sub_unref(s);
}

struct event *events_take(struct events_sub *s)
{
	struct event *e = NULL;
	struct list *link;
	uint64_t lost = 0;

	pthread_mutex_lock(&lock);
	link = list_shift(&s->unread);
	if (link != NULL) {
		struct unread *u = list_entry(link, struct unread, link);

		e = u->event;
		mem_free(u);
		s->count--;
	}
	if (s->paused && s->count == 0) {
		s->paused = false;
		lost = s->lost - s->lost_then;
	}
	pthread_mutex_unlock(&lock);
	if (lost > 0)
		log_warn("a subscription of events goes on: %llu were lost",
			 (unsigned long long)lost);
	return e;
}

static void drop_unread(struct list *unread)
{
	struct list *link;

	while ((link = list_shift(unread)) != NULL) {
		struct unread *u = list_entry(link, struct unread, link);

		event_unref(u->event);
		mem_free(u);
	}
}

struct events_sub *events_subscribe(uint64_t types, const char *source,
				    struct mailbox *mailbox, events_f on_event,
				    void *arg)
{
	struct events_sub *s = mem_zalloc(sizeof *s);
	bool full;

	if (s == NULL)
		goto fail;
	s->refs = 1;
	if (source != NULL) {
		s->source = mem_strdup(source);
		if (s->source == NULL)
			goto fail;
	}
	s->types = types;
	s->mailbox = mailbox;
	s->mail.run = arrive;
	s->on_event = on_event;
	s->arg = arg;
	list_init(&s->unread);
	list_init(&s->link);
	pthread_mutex_lock(&lock);
	full = sub_count >= EVENTS_SUBSCRIPTIONS_MAX;
	if (!full) {
		ref(s);
		list_add_tail(&subs, &s->link);
		__atomic_fetch_add(&sub_count, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&lock);
	if (!full)
		return s;
	events_sub_unref(s);
	diag_set(ClientError,
		 "there are %d subscriptions of events, which is the most",
		 EVENTS_SUBSCRIPTIONS_MAX);
	return NULL;
fail:
	mem_free(s);
	diag_set_oom(sizeof *s, "a subscription of events");
	return NULL;
}

void events_unsubscribe(struct events_sub *s)
{
	struct list unread;
	bool was;

	list_init(&unread);
	pthread_mutex_lock(&lock);
	was = !s->over;
	s->over = true;
	list_splice_tail(&unread, &s->unread);
	s->count = 0;
	if (was) {
		list_del(&s->link);
		__atomic_fetch_sub(&sub_count, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&lock);
	drop_unread(&unread);
	if (was)
		events_sub_unref(s);
}

uint64_t events_lost(struct events_sub *s)
{
	uint64_t lost;

	pthread_mutex_lock(&lock);
	lost = s->lost;
	pthread_mutex_unlock(&lock);
	return lost;
}

/* --- publishing --- */

static bool wants(const struct events_sub *s, enum event_type type,
		  const char *source)
{
	if (!(s->types >> type & 1))
		return false;
	if (source == NULL || s->source == NULL)
		return source == s->source;
	return strcmp(source, s->source) == 0;
}

/* With the lock. Returns false: it is lost, and the subscription paused now. */
static bool put(struct events_sub *s, struct event *e)
{
	struct unread *u = NULL;

	if (!s->paused && s->count < EVENTS_UNREAD_MAX)
		u = mem_alloc(sizeof *u);
	if (u == NULL) {
		bool begins = !s->paused;

		if (begins)
			s->lost_then = s->lost;
		s->paused = s->count > 0;
		s->lost++;
		return !begins;
	}
	__atomic_fetch_add(&e->refs, 1, __ATOMIC_RELAXED);
	u->event = e;
	list_add_tail(&s->unread, &u->link);
	s->count++;
	if (!s->posted) {
		s->posted = true;
		ref(s);
		if (mailbox_post(s->mailbox, &s->mail, 0) != 0) {
			s->posted = false; /* its thread is going */
			events_sub_unref(s);
		}
	}
	return true;
}

void events_publish_packed(enum event_type type, const char *source,
			   const void *data, size_t size)
{
	struct timespec now;
	unsigned paused = 0;
	struct event *e = NULL;

	if (__atomic_load_n(&sub_count, __ATOMIC_RELAXED) == 0)
		return;
	if (size <= EVENTS_DATA_MAX)
		e = mem_alloc(sizeof *e + size);
	if (e == NULL) {
		log_error("event %s is lost: %s", event_names[type],
			  size > EVENTS_DATA_MAX ? "it tells too much"
						 : "not enough memory");
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	e->refs = 1;
	e->type = type;
	e->time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	e->size = size;
	if (size > 0)
		memcpy(e->data, data, size);
	pthread_mutex_lock(&lock);
	list_foreach(link, &subs) {
		struct events_sub *s =
			list_entry(link, struct events_sub, link);

		if (wants(s, type, source) && !put(s, e))
			paused++;
	}
	pthread_mutex_unlock(&lock);
	event_unref(e);
	if (paused > 0)
		log_warn(
			"event %s: %u subscriptions have %d events that were "
			"not read: they are paused, and lose what comes, until "
			"those are",
			event_names[type], paused, EVENTS_UNREAD_MAX);
}

void events_publish(enum event_type type, const struct event_field *fields,
		    unsigned count)
{
	struct buf b = { .limit = EVENTS_DATA_MAX };

	if (__atomic_load_n(&sub_count, __ATOMIC_RELAXED) == 0)
		return;
	mp_pack_map(&b, count);
	for (unsigned i = 0; i < count; i++) {
		const struct event_field *f = &fields[i];
		size_t size = strlen(f->name);

		mp_pack_str(&b, size);
		mp_pack_str_body(&b, f->name, size);
		if (f->text == NULL) {
			mp_pack_double(&b, f->number);
		} else {
			size = strlen(f->text);
			mp_pack_str(&b, size);
			if (mp_pack_str_body(&b, f->text, size) != 0) {
				b.size = 0; /* told without it */
				break;
			}
		}
	}
	events_publish_packed(type, NULL, b.data, b.size);
	buf_destroy(&b);
}

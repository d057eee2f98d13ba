/*
 * Channels between threads. See shared_channel.h.
 *
 * While readers wait nothing is inside; while writers wait there is no room for
 * the first of them.
 */
#include "runtime/shared_channel.h"

#include <assert.h>
#include <uv.h>

#include "base/inject.h"

static struct shared_object *channel_make(const void *options)
{
	struct shared_channel *ch = mem_zalloc(sizeof *ch);

	if (ch == NULL)
		return NULL;
	ch->options = *(const struct shared_channel_options *)options;
	list_init(&ch->messages);
	list_init(&ch->readers);
	list_init(&ch->writers);
	return &ch->base;
}

static void drop_messages(struct list *messages)
{
	struct list *link;

	while ((link = list_shift(messages)) != NULL)
		shared_message_unref(
			list_entry(link, struct shared_message, link));
}

static void channel_destroy(struct shared_object *o)
{
	struct shared_channel *ch = (struct shared_channel *)o;

	assert(list_empty(&ch->readers) && list_empty(&ch->writers));
	drop_messages(&ch->messages);
	mem_free(ch);
}

const struct shared_kind shared_channel_kind = {
	"channel",
	channel_make,
	channel_destroy,
};

static void lock(struct shared_channel *ch)
{
	pthread_mutex_lock(&ch->base.lock);
}

static void unlock(struct shared_channel *ch)
{
	pthread_mutex_unlock(&ch->base.lock);
}

static bool has_room(const struct shared_channel *ch,
		     const struct shared_message *m)
{
	return ch->count < ch->options.capacity &&
	       ch->bytes + shared_message_cost(m) <= ch->options.bytes;
}

static void enter(struct shared_channel *ch, struct shared_message *m,
		  bool first)
{
	if (first)
		list_add(&ch->messages, &m->link);
	else
		list_add_tail(&ch->messages, &m->link);
	ch->count++;
	ch->bytes += shared_message_cost(m);
}

/* To the reader that has waited longest. False: none waits. */
static bool hand_over(struct shared_channel *ch, struct shared_message *m)
{
	struct shared_wait *reader = shared_wait_shift(&ch->readers);

	if (reader == NULL)
		return false;
	reader->message = m;
	wake_post(&reader->wake, 0);
	return true;
}

/* From the writer that has waited longest, who is woken. */
static struct shared_message *take_over(struct shared_channel *ch)
{
	struct shared_wait *writer = shared_wait_shift(&ch->writers);
	struct shared_message *m = writer->message;

	writer->message = NULL;
	wake_post(&writer->wake, 0);
	return m;
}

static void admit_writers(struct shared_channel *ch)
{
	while (!list_empty(&ch->writers)) {
		struct shared_wait *first =
			list_entry(ch->writers.next, struct shared_wait, link);

		if (!has_room(ch, first->message))
			return;
		enter(ch, take_over(ch), false);
	}
}

/* A message that is too large for what is left no longer bars the others. */
static void on_writer_left(struct shared_object *o)
{
	admit_writers((struct shared_channel *)o);
}

static int put(struct shared_channel *ch, struct shared_message *m,
	       struct shared_wait *w, struct fiber *self)
{
	if (ch->closed)
		return UV_EPIPE;
	if (hand_over(ch, m))
		return 0;
	if (list_empty(&ch->writers) && has_room(ch, m)) {
		enter(ch, m, false);
		return 0;
	}
	if (w == NULL)
		return UV_EAGAIN;
	w->message = m;
	w->on_leave = on_writer_left;
	shared_wait_queue(w, &ch->base, &ch->writers, self);
	return UV_EAGAIN;
}

int shared_channel_put(struct shared_channel *ch, struct shared_message *m,
		       struct shared_wait *w, struct fiber *self)
{
	int rc;

	if (shared_message_cost(m) > ch->options.bytes)
		return UV_E2BIG;
	lock(ch);
	rc = put(ch, m, w, self);
	unlock(ch);
	return rc;
}

static int get(struct shared_channel *ch, struct shared_message **ret,
	       struct shared_wait *w, struct fiber *self)
{
	struct list *link;

	if (ch->closed)
		return UV_EPIPE;
	link = list_shift(&ch->messages);
	if (link != NULL) {
		*ret = list_entry(link, struct shared_message, link);
		ch->count--;
		ch->bytes -= shared_message_cost(*ret);
		admit_writers(ch);
		return 0;
	}
	if (!list_empty(&ch->writers)) { /* of capacity 0 */
		*ret = take_over(ch);
		return 0;
	}
	if (w != NULL) {
		w->on_leave = NULL;
		shared_wait_queue(w, &ch->base, &ch->readers, self);
	}
	return UV_EAGAIN;
}

int shared_channel_get(struct shared_channel *ch, struct shared_message **ret,
		       struct shared_wait *w, struct fiber *self)
{
	int rc;

	lock(ch);
	rc = get(ch, ret, w, self);
	unlock(ch);
	return rc;
}

void shared_channel_give_back(struct shared_channel *ch,
			      struct shared_message *m)
{
	bool closed;

	lock(ch);
	closed = ch->closed;
	/* There may be no room: for a moment it is one more. */
	if (!closed && !hand_over(ch, m))
		enter(ch, m, true);
	unlock(ch);
	if (closed)
		shared_message_unref(m);
}

void shared_channel_close(struct shared_channel *ch)
{
	struct list dropped;

	list_init(&dropped);
	lock(ch);
	ch->closed = true;
	list_splice_tail(&dropped, &ch->messages);
	ch->count = 0;
	ch->bytes = 0;
	shared_wait_wake_all(&ch->readers, UV_EPIPE);
	shared_wait_wake_all(&ch->writers, UV_EPIPE);
	unlock(ch);
	drop_messages(&dropped);
	shared_object_forget(&ch->base);
}

void shared_channel_info(struct shared_channel *ch,
			 struct shared_channel_info *ret)
{
	lock(ch);
	*ret = (struct shared_channel_info){
		.count = ch->count,
		.bytes = ch->bytes,
		.has_readers = !list_empty(&ch->readers),
		.has_writers = !list_empty(&ch->writers),
		.closed = ch->closed,
		.full = ch->count >= ch->options.capacity,
	};
	unlock(ch);
}

/* Broadcasts between threads. See shared_broadcast.h. */
#include "runtime/shared_broadcast.h"

#include <assert.h>
#include <uv.h>

#include "base/inject.h"

static struct shared_object *broadcast_make(const void *options)
{
	const struct shared_broadcast_options *o = options;
	struct shared_broadcast *b =
		mem_zalloc(sizeof *b + o->history * sizeof b->ring[0]);

	if (b == NULL)
		return NULL;
	b->options = *o;
	b->next = 1;
	list_init(&b->readers);
	return &b->base;
}

static struct shared_message **at(struct shared_broadcast *b, uint64_t sequence)
{
	return &b->ring[sequence % b->options.history];
}

/* Move the oldest to @a dropped. */
static void drop_oldest(struct shared_broadcast *b, struct list *dropped)
{
	struct shared_message **oldest = at(b, b->next - b->count);

	b->count--;
	b->bytes -= shared_message_cost(*oldest);
	list_add_tail(dropped, &(*oldest)->link);
	*oldest = NULL;
}

static void unref_all(struct list *messages)
{
	struct list *link;

	while ((link = list_shift(messages)) != NULL)
		shared_message_unref(
			list_entry(link, struct shared_message, link));
}

static void broadcast_destroy(struct shared_object *o)
{
	struct shared_broadcast *b = (struct shared_broadcast *)o;
	struct list dropped;

	assert(list_empty(&b->readers));
	list_init(&dropped);
	while (b->count > 0)
		drop_oldest(b, &dropped);
	unref_all(&dropped);
	mem_free(b);
}

const struct shared_kind shared_broadcast_kind = {
	"broadcast",
	broadcast_make,
	broadcast_destroy,
};

int shared_broadcast_publish(struct shared_broadcast *b,
			     struct shared_message *m, uint64_t *ret_sequence)
{
	size_t cost = shared_message_cost(m);
	struct list dropped;

	if (cost > b->options.bytes)
		return UV_E2BIG;
	list_init(&dropped);
	pthread_mutex_lock(&b->base.lock);
	while (b->count > 0 && (b->count == b->options.history ||
				b->bytes + cost > b->options.bytes))
		drop_oldest(b, &dropped);
	m->sequence = *ret_sequence = b->next++;
	*at(b, m->sequence) = m;
	b->count++;
	b->bytes += cost;
	shared_wait_wake_all(&b->readers, 0);
	pthread_mutex_unlock(&b->base.lock);
	unref_all(&dropped);
	return 0;
}

int shared_broadcast_read(struct shared_broadcast *b, uint64_t sequence,
			  struct shared_message **ret, uint64_t *ret_oldest,
			  struct shared_wait *w, struct fiber *self)
{
	int rc = 0;

	pthread_mutex_lock(&b->base.lock);
	if (sequence >= b->next) {
		rc = UV_EAGAIN;
		if (w != NULL)
			shared_wait_queue(w, &b->base, &b->readers, self);
	} else if (sequence < b->next - b->count) {
		rc = UV_ERANGE;
		*ret_oldest = b->next - b->count;
	} else {
		*ret = *at(b, sequence);
		shared_message_ref(*ret);
	}
	pthread_mutex_unlock(&b->base.lock);
	return rc;
}

void shared_broadcast_info(struct shared_broadcast *b,
			   struct shared_broadcast_info *ret)
{
	pthread_mutex_lock(&b->base.lock);
	*ret = (struct shared_broadcast_info){
		.next = b->next,
		.oldest = b->next - b->count,
		.count = b->count,
		.bytes = b->bytes,
	};
	pthread_mutex_unlock(&b->base.lock);
}

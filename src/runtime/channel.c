/* Channels between fibers of one worker. See channel.h. */
#include "runtime/channel.h"

#include <assert.h>
#include <stddef.h>
#include <uv.h>

#include "runtime/fiber.h"

void channel_create(struct channel *ch, uint32_t size)
{
	ch->size = size;
	ch->head = ch->count = 0;
	ch->closed = false;
	list_init(&ch->readers);
	list_init(&ch->writers);
}

void channel_destroy(struct channel *ch)
{
	assert(list_empty(&ch->readers) && list_empty(&ch->writers));
	(void)ch;
}

static struct fiber *wake_first(struct list *queue)
{
	struct fiber *f;

	if (list_empty(queue))
		return NULL;
	f = list_entry(queue->next, struct fiber, link);
	fiber_wakeup(f, 0);
	return f;
}

static uint32_t slot_at(const struct channel *ch, uint32_t n)
{
	uint64_t slot = (uint64_t)ch->head + n;

	return slot >= ch->size ? slot - ch->size : slot;
}

enum channel_result channel_put(struct channel *ch, uint32_t *ret_slot,
				struct fiber **ret_peer)
{
	struct fiber *reader;

	if (ch->closed)
		return CHANNEL_CLOSED;
	reader = wake_first(&ch->readers);
	if (reader != NULL) {
		*ret_peer = reader;
		return CHANNEL_PEER;
	}
	if (ch->count == ch->size)
		return CHANNEL_WAIT;
	*ret_slot = slot_at(ch, ch->count++);
	return CHANNEL_RING;
}

enum channel_result channel_get(struct channel *ch, uint32_t *ret_slot,
				struct fiber **ret_peer, uint32_t *ret_refill)
{
	*ret_peer = NULL;
	if (ch->closed)
		return CHANNEL_CLOSED;
	if (ch->count > 0) {
		*ret_slot = ch->head;
		ch->head = slot_at(ch, 1);
		ch->count--;
		*ret_peer = wake_first(&ch->writers);
		if (*ret_peer != NULL)
			*ret_refill = slot_at(ch, ch->count++);
		return CHANNEL_RING;
	}
	*ret_peer = wake_first(&ch->writers);
	return *ret_peer != NULL ? CHANNEL_PEER : CHANNEL_WAIT;
}

static void wake_all(struct list *queue)
{
	while (!list_empty(queue))
		fiber_wakeup(list_entry(queue->next, struct fiber, link),
			     UV_EPIPE);
}

void channel_close(struct channel *ch)
{
	if (ch->closed)
		return;
	ch->closed = true;
	ch->count = 0;
	wake_all(&ch->readers);
	wake_all(&ch->writers);
}

/*
 * Channels against a reference: random puts, gets, cancels, timeouts and
 * closes by a crowd of fibers, for several sizes. The reference is a plain
 * queue of values and two queues of names.
 *
 * test: timeout 60
 */
#include "fake_fiber.h"

#include <stdlib.h>

#include "runtime/channel.h"

enum { CROWD = 24, SIZE_MAX_TESTED = 7 };

static struct channel ch;
static struct fake crowd[CROWD];
static bool stopping;

/* Where the layer above keeps values: ring slots, and a place a fiber. */
static int ring[SIZE_MAX_TESTED], place[CROWD];

/* The reference. */
static struct {
	int size;
	bool closed;
	int values[SIZE_MAX_TESTED], count;
	int readers[CROWD], reader_count;
	int writers[CROWD], writer_count, writing[CROWD];
	int status[CROWD]; /* with which it must wake; 1: it waits */
	int value[CROWD];  /* what a reader must have got */
} model;

static int shift(int *queue, int *count)
{
	int first = queue[0];

	memmove(queue, queue + 1, sizeof(int) * --*count);
	return first;
}

static void leave(int *queue, int *count, int who)
{
	for (int i = 0; i < *count; i++) {
		if (queue[i] == who) {
			memmove(queue + i, queue + i + 1,
				sizeof(int) * (--*count - i));
			return;
		}
	}
}

/* What a put must give: -1 wait, 0 closed, 1 done. */
static int model_put(int who, int value)
{
	int reader;

	if (model.closed)
		return 0;
	if (model.reader_count > 0) {
		reader = shift(model.readers, &model.reader_count);
		model.status[reader] = 0;
		model.value[reader] = value;
		return 1;
	}
	if (model.count < model.size) {
		model.values[model.count++] = value;
		return 1;
	}
	model.writers[model.writer_count++] = who;
	model.writing[who] = value;
	model.status[who] = 1;
	return -1;
}

static int model_get(int who, int *value)
{
	int writer;

	if (model.closed)
		return 0;
	if (model.count > 0) {
		*value = shift(model.values, &model.count);
		if (model.writer_count > 0) {
			writer = shift(model.writers, &model.writer_count);
			model.status[writer] = 0;
			model.values[model.count++] = model.writing[writer];
		}
		return 1;
	}
	if (model.writer_count > 0) {
		writer = shift(model.writers, &model.writer_count);
		model.status[writer] = 0;
		*value = model.writing[writer];
		return 1;
	}
	model.readers[model.reader_count++] = who;
	model.status[who] = 1;
	return -1;
}

static void model_end(int who, int status)
{
	leave(model.readers, &model.reader_count, who);
	leave(model.writers, &model.writer_count, who);
	model.status[who] = status;
}

static void compare(void)
{
	int readers = 0, writers = 0;

	assert_int_equal(ch.count, model.count);
	assert_int_equal(ch.closed, model.closed);
	for (uint32_t i = 0; i < ch.count; i++)
		assert_int_equal(ring[(ch.head + i) % ch.size],
				 model.values[i]);
	list_foreach(link, &ch.readers) {
		struct fiber *f = list_entry(link, struct fiber, link);

		assert_int_equal(fake_of(f) - crowd, model.readers[readers++]);
	}
	list_foreach(link, &ch.writers) {
		struct fiber *f = list_entry(link, struct fiber, link);

		assert_int_equal(fake_of(f) - crowd, model.writers[writers++]);
	}
	assert_int_equal(readers, model.reader_count);
	assert_int_equal(writers, model.writer_count);
}

static int next_value;

/* One put; true when it waits. */
static bool put(struct fake *f)
{
	int who = (int)(f - crowd), value = ++next_value;
	struct fiber *peer = NULL;
	uint32_t slot = 999;

	switch (channel_put(&ch, &slot, &peer)) {
	case CHANNEL_RING:
		assert_true(slot < ch.size);
		ring[slot] = value;
		assert_int_equal(model_put(who, value), 1);
		break;
	case CHANNEL_PEER:
		place[fake_of(peer) - crowd] = value;
		assert_int_equal(peer->state, FIBER_READY);
		assert_int_equal(model_put(who, value), 1);
		break;
	case CHANNEL_CLOSED:
		assert_int_equal(model_put(who, value), 0);
		break;
	case CHANNEL_WAIT:
		assert_int_equal(model_put(who, value), -1);
		place[who] = value;
		channel_put_wait_begin(&ch, &f->base, UINT64_MAX);
		return true;
	}
	return false;
}

static bool get(struct fake *f)
{
	int who = (int)(f - crowd), value = -1, want = -2;
	uint32_t slot = 999, refill = 999;
	struct fiber *peer;

	switch (channel_get(&ch, &slot, &peer, &refill)) {
	case CHANNEL_RING:
		value = ring[slot];
		if (peer != NULL)
			ring[refill] = place[fake_of(peer) - crowd];
		assert_int_equal(model_get(who, &want), 1);
		assert_int_equal(value, want);
		break;
	case CHANNEL_PEER:
		value = place[fake_of(peer) - crowd];
		assert_int_equal(model_get(who, &want), 1);
		assert_int_equal(value, want);
		break;
	case CHANNEL_CLOSED:
		assert_int_equal(model_get(who, &want), 0);
		break;
	case CHANNEL_WAIT:
		assert_int_equal(model_get(who, &want), -1);
		f->tag = 'r';
		channel_get_wait_begin(&ch, &f->base, UINT64_MAX);
		return true;
	}
	return false;
}

static void body(struct fake *f)
{
	int who = (int)(f - crowd);
	bool waits;

	if (f->step > 1) {
		assert_int_equal(f->last_status, model.status[who]);
		if (f->tag == 'r' && f->last_status == 0)
			assert_int_equal(place[who], model.value[who]);
	}
	f->tag = 'w';
	model.status[who] = 0;
	if (stopping) {
		fiber_finish(&f->base, false);
		return;
	}
	waits = (rand() % 2 + who) % 2 ? put(f) : get(f);
	if (!waits)
		fiber_yield_begin(&f->base);
	compare();
}

static void disturb(int chance_of_close)
{
	int who = rand() % CROWD;
	struct fake *f = &crowd[who];
	bool waits = f->base.state == FIBER_WAITING;

	if (rand() % 2) {
		if (!waits)
			return; /* a yielding one would be told of it */
		fiber_cancel(&f->base);
		model_end(who, UV_ECANCELED);
	} else if (fiber_interrupt(&f->base, UV_ETIMEDOUT)) {
		assert_true(waits);
		model_end(who, UV_ETIMEDOUT);
	}
	assert_false(fiber_interrupt(&f->base, 0));
	if (rand() % chance_of_close != 0)
		return;
	for (int i = 0; i < model.reader_count; i++)
		model.status[model.readers[i]] = UV_EPIPE;
	for (int i = 0; i < model.writer_count; i++)
		model.status[model.writers[i]] = UV_EPIPE;
	model.reader_count = model.writer_count = model.count = 0;
	model.closed = true;
	channel_close(&ch);
	channel_close(&ch);
	compare();
}

static void play(uint32_t size, int turns)
{
	stopping = false;
	memset(&model, 0, sizeof model);
	model.size = (int)size;
	channel_create(&ch, size);
	for (int i = 0; i < CROWD; i++) {
		fake_init(&crowd[i], body);
		fiber_start_later(&crowd[i].base);
	}
	for (int n = 0; n < turns; n++) {
		sched_run_ready(&fake_sched);
		disturb(turns);
		compare();
	}
	stopping = true;
	if (!model.closed) {
		for (int i = 0; i < CROWD; i++) {
			if (crowd[i].base.state == FIBER_WAITING)
				model.status[i] = UV_EPIPE;
		}
		channel_close(&ch);
	}
	while (fake_sched.count > 0)
		sched_run_ready(&fake_sched);
	channel_destroy(&ch);
}

static void random_crowd(void **state)
{
	(void)state;
	srand(21);
	for (uint32_t size = 0; size <= SIZE_MAX_TESTED; size++)
		play(size, 800);
	for (int i = 0; i < 200; i++)
		play((uint32_t)(rand() % (SIZE_MAX_TESTED + 1)), 30);
}

static void real_body(struct fake *f)
{
	if (f->step == 1) {
		if (f->tag == 'r')
			channel_get_wait_begin(&ch, &f->base, 1000000);
		else
			channel_put_wait_begin(&ch, &f->base, 0);
	} else {
		assert_int_equal(f->last_status, UV_ETIMEDOUT);
		fiber_finish(&f->base, false);
	}
}

/* Timeouts by the clock leave empty queues behind. */
static void timeouts(void **state)
{
	struct fake f[6];

	(void)state;
	channel_create(&ch, 0);
	for (int i = 0; i < 6; i++) {
		fake_init(&f[i], real_body);
		f[i].tag = i % 2 ? 'r' : 'w';
		fiber_start(&f[i].base);
	}
	loop_run(&fake_loop, UV_RUN_DEFAULT);
	assert_true(list_empty(&ch.readers));
	assert_true(list_empty(&ch.writers));
	channel_destroy(&ch);
}

/* The ring's end: slots of the largest channel do not overflow. */
static void largest_ring(void **state)
{
	uint32_t slot, refill;
	struct fiber *peer;

	(void)state;
	channel_create(&ch, UINT32_MAX);
	ch.head = UINT32_MAX - 2;
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(channel_put(&ch, &slot, &peer), CHANNEL_RING);
		assert_int_equal(slot, i < 2 ? UINT32_MAX - 2 + i : i - 2);
	}
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(channel_get(&ch, &slot, &peer, &refill),
				 CHANNEL_RING);
		assert_int_equal(slot, i < 2 ? UINT32_MAX - 2 + i : i - 2);
		assert_null(peer);
	}
	assert_int_equal(channel_get(&ch, &slot, &peer, &refill), CHANNEL_WAIT);
	channel_destroy(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scheduled(random_crowd),
		scheduled(timeouts),
		scheduled(largest_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

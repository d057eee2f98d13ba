/*
 * The last lines of the log. See log_ring.h.
 *
 * A ring of bytes: each line has a head, and stands in one piece or, at the end of the
 * memory, in two.
 */
#include "base/log_ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { LEVELS = 16, LINE_MAX_SIZE = LOG_RING_SIZE / 4 };

struct head {
	uint32_t size; /* of the line, without this */
	uint32_t level;
};

static struct {
	pthread_mutex_t lock;
	char bytes[LOG_RING_SIZE];
	uint64_t begin, end; /* of what is kept, among all bytes there were */
	uint64_t first;      /* number of the oldest; 0: none yet */
	uint64_t last;
	uint64_t counts[LEVELS];
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void copy_in(uint64_t at, const void *from, size_t size)
{
	size_t part = LOG_RING_SIZE - at % LOG_RING_SIZE;

	part = part < size ? part : size;
	memcpy(ring.bytes + at % LOG_RING_SIZE, from, part);
	memcpy(ring.bytes, (const char *)from + part, size - part);
}

static void copy_out(uint64_t at, void *to, size_t size)
{
	size_t part = LOG_RING_SIZE - at % LOG_RING_SIZE;

	part = part < size ? part : size;
	memcpy(to, ring.bytes + at % LOG_RING_SIZE, part);
	memcpy((char *)to + part, ring.bytes, size - part);
}

static void drop_oldest(void)
{
	struct head h;

	copy_out(ring.begin, &h, sizeof(h));
	ring.begin += sizeof(h) + h.size;
	ring.first++;
}

void log_ring_put(unsigned level, const char *line, size_t size)
{
	struct head h = { .level = level };

	h.size = (uint32_t)(size < LINE_MAX_SIZE ? size : LINE_MAX_SIZE);
	pthread_mutex_lock(&ring.lock);
	while (LOG_RING_SIZE - (ring.end - ring.begin) < sizeof(h) + h.size)
		drop_oldest();
	copy_in(ring.end, &h, sizeof(h));
	copy_in(ring.end + sizeof(h), line, h.size);
	ring.end += sizeof(h) + h.size;
	ring.last++;
	if (ring.first == 0)
		ring.first = 1;
	if (level < LEVELS)
		ring.counts[level]++;
	pthread_mutex_unlock(&ring.lock);
}

uint64_t log_ring_read(struct log_ring_cursor *c, unsigned level, char *to,
		       size_t room, size_t *ret_size, unsigned *ret_level)
{
	uint64_t found = 0;
	struct head h;

	pthread_mutex_lock(&ring.lock);
	if (c->place < ring.begin) {
		if (c->place > 0)
			c->lost += ring.first - 1 - c->number;
		c->place = ring.begin;
		c->number = ring.first - 1;
	}
	while (found == 0 && c->place < ring.end) {
		copy_out(c->place, &h, sizeof(h));
		c->number++;
		if (h.level <= level) {
			*ret_size = h.size < room ? h.size : room;
			*ret_level = h.level;
			copy_out(c->place + sizeof(h), to, *ret_size);
			found = c->number;
		}
		c->place += sizeof(h) + h.size;
	}
	pthread_mutex_unlock(&ring.lock);
	return found;
}

struct log_ring_cursor log_ring_end(void)
{
	struct log_ring_cursor end = { .lost = 0 };

	pthread_mutex_lock(&ring.lock);
	end.number = ring.last;
	end.place = ring.end;
	pthread_mutex_unlock(&ring.lock);
	return end;
}

uint64_t log_ring_count(unsigned level)
{
	uint64_t count = 0;

	pthread_mutex_lock(&ring.lock);
	if (level < LEVELS)
		count = ring.counts[level];
	pthread_mutex_unlock(&ring.lock);
	return count;
}

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
	size_t begin, size; /* of what is kept; begin: in bytes */
	uint64_t first;     /* number of the oldest; 0: none yet */
	uint64_t last;
	uint64_t counts[LEVELS];
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void copy_in(size_t at, const void *from, size_t size)
{
	size_t part = LOG_RING_SIZE - at % LOG_RING_SIZE;

	part = part < size ? part : size;
	memcpy(ring.bytes + at % LOG_RING_SIZE, from, part);
	memcpy(ring.bytes, (const char *)from + part, size - part);
}

static void copy_out(size_t at, void *to, size_t size)
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
	ring.begin = (ring.begin + sizeof(h) + h.size) % LOG_RING_SIZE;
	ring.size -= sizeof(h) + h.size;
	ring.first++;
}

void log_ring_put(unsigned level, const char *line, size_t size)
{
	struct head h = { .level = level };
	size_t at;

	h.size = (uint32_t)(size < LINE_MAX_SIZE ? size : LINE_MAX_SIZE);
	pthread_mutex_lock(&ring.lock);
	while (LOG_RING_SIZE - ring.size < sizeof(h) + h.size)
		drop_oldest();
	at = ring.begin + ring.size;
	copy_in(at, &h, sizeof(h));
	copy_in(at + sizeof(h), line, h.size);
	ring.size += sizeof(h) + h.size;
	ring.last++;
	if (ring.first == 0)
		ring.first = 1;
	if (level < LEVELS)
		ring.counts[level]++;
	pthread_mutex_unlock(&ring.lock);
}

uint64_t log_ring_read(uint64_t after, unsigned level, char *to, size_t room,
		       size_t *ret_size, unsigned *ret_level)
{
	uint64_t number, found = 0;
	size_t at = 0;
	struct head h;

	pthread_mutex_lock(&ring.lock);
	number = ring.first;
	while (at < ring.size) {
		copy_out(ring.begin + at, &h, sizeof(h));
		if (number > after && h.level <= level) {
			found = number;
			break;
		}
		at += sizeof(h) + h.size;
		number++;
	}
	if (found != 0) {
		*ret_size = h.size < room ? h.size : room;
		*ret_level = h.level;
		copy_out(ring.begin + at + sizeof(h), to, *ret_size);
	}
	pthread_mutex_unlock(&ring.lock);
	return found;
}

uint64_t log_ring_last(void)
{
	uint64_t last;

	pthread_mutex_lock(&ring.lock);
	last = ring.last;
	pthread_mutex_unlock(&ring.lock);
	return last;
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

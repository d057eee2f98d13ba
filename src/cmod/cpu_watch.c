/* The watcher: looks whether threads are inside functions. See cpu.h. */
#include "cmod/cpu_watch.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/thread.h"
#include "cmod/cpu.h"

/* Looks without a hot call, until it rests. */
enum { REST = 100 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct list threads = { &threads, &threads }; /* under the lock */
static bool running, resting;                        /* so are these */
static bool wanted; /* somebody was hot since the last look; atomic */

/* Under the lock, which keeps them alive. */
static void look(void)
{
	list_foreach(link, &threads) {
		struct cpu_thread *t =
			list_entry(link, struct cpu_thread, link);
		const void *inside =
			__atomic_load_n(&t->inside, __ATOMIC_RELAXED);
		uint64_t now = cpu_ticks();

		if (inside == NULL) {
			t->outside = now;
			continue;
		}
		if (inside != t->seen || t->outside > t->seen_last)
			t->seen_first = now;
		t->seen = inside;
		t->seen_last = now;
	}
}

static void *run(void *arg)
{
	const struct timespec pause = { .tv_nsec = CPU_WATCH_NS };
	int idle = 0;

	pthread_mutex_lock(&lock);
	while (!list_empty(&threads)) {
		idle = __atomic_exchange_n(&wanted, false, __ATOMIC_RELAXED)
			       ? 0
			       : idle + 1;
		if (idle > REST) {
			resting = true;
			pthread_cond_wait(&wake, &lock);
			resting = false;
			idle = 0;
			continue;
		}
		look();
		pthread_mutex_unlock(&lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&lock);
	}
	running = false;
	pthread_mutex_unlock(&lock);
	(void)arg;
	return NULL;
}

static bool start(void)
{
	pthread_t watcher;

	running = thread_start_helper(&watcher, "neap-cpu", run, NULL) == 0;
	if (running)
		pthread_detach(watcher);
	return running;
}

bool cpu_watch(void)
{
	struct cpu_thread *t = &cpu_thread;
	bool ok = true;

	/* It looks on for a while after it was told last. */
	if (t->watched && __atomic_load_n(&wanted, __ATOMIC_RELAXED))
		return true;
	pthread_mutex_lock(&lock);
	__atomic_store_n(&wanted, true, __ATOMIC_RELAXED);
	if (!t->watched) {
		list_add_tail(&threads, &t->link);
		t->watched = true;
	}
	if (resting)
		pthread_cond_signal(&wake);
	ok = running || start();
	pthread_mutex_unlock(&lock);
	return ok;
}

struct cpu_sight cpu_watch_sight(void)
{
	const struct cpu_thread *t = &cpu_thread;
	struct cpu_sight sight;

	pthread_mutex_lock(&lock);
	sight = (struct cpu_sight){ t->seen, t->seen_first, t->seen_last,
				    t->outside };
	pthread_mutex_unlock(&lock);
	return sight;
}

void cpu_end_thread(void)
{
	struct cpu_thread *t = &cpu_thread;

	if (!t->watched)
		return;
	pthread_mutex_lock(&lock);
	list_del(&t->link);
	t->watched = false;
	if (list_empty(&threads))
		pthread_cond_signal(&wake); /* it ends */
	pthread_mutex_unlock(&lock);
}

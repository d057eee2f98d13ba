/*
 * The pool of threads: where jobs run and are done, its limits, jobs that are
 * abandoned, loops and processes that end meanwhile, and many loops at once.
 * test: timeout 120, threads
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/inject.h"
#include "runtime/loop.h"
#include "runtime/pool.h"

enum { SECOND = 1000000000 };

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int gate_inside;

struct work {
	struct pool_job job;
	pthread_t ran_on, done_on;
	atomic_int runs, dones;
};

static struct work *work_of(struct pool_job *job)
{
	return (struct work *)job; /* job comes first */
}

static void on_run(struct pool_job *job)
{
	struct work *w = work_of(job);

	w->ran_on = pthread_self();
	atomic_fetch_add(&w->runs, 1);
}

static void on_gate(struct pool_job *job)
{
	on_run(job);
	pthread_mutex_lock(&gate);
	gate_inside++;
	pthread_cond_broadcast(&gate_changed);
	while (!gate_open)
		pthread_cond_wait(&gate_changed, &gate);
	gate_inside--;
	pthread_mutex_unlock(&gate);
}

static void set_gate(bool open)
{
	pthread_mutex_lock(&gate);
	gate_open = open;
	pthread_cond_broadcast(&gate_changed);
	pthread_mutex_unlock(&gate);
}

static void wait_inside(int count)
{
	pthread_mutex_lock(&gate);
	while (gate_inside != count)
		pthread_cond_wait(&gate_changed, &gate);
	pthread_mutex_unlock(&gate);
}

static void on_done(struct pool_job *job)
{
	struct work *w = work_of(job);

	w->done_on = pthread_self();
	atomic_fetch_add(&w->dones, 1);
}

static void describe(struct pool_job *job, char *buf, size_t size)
{
	snprintf(buf, size, "work that ran %d times",
		 atomic_load(&work_of(job)->runs));
}

static void work_init(struct work *w, pool_job_f run)
{
	*w = (struct work){
		.job = { .run = run, .done = on_done, .describe = describe },
	};
}

static int submit(struct loop *loop, struct work *w)
{
	return pool_submit(&loop->port, &loop->uv, &w->job);
}

static int set_up(void **state)
{
	const struct pool_limits limits = { 2, 3, 10ull * SECOND };

	(void)state;
	pool_set_limits(&limits);
	set_gate(false);
	return 0;
}

static void end(struct loop *loop)
{
	assert_int_equal(loop_destroy(loop, NULL, NULL), 0);
	assert_int_equal(pool_stop(30ull * SECOND, NULL, NULL), 0);
	assert_int_equal(pool_threads(), 0);
	assert_int_equal(pool_queued(), 0);
}

static void test_there_and_back(void **state)
{
	struct loop loop;
	struct work w;
	int fds;

	(void)state;
	/* libuv's own pipe for signals comes with the first loop. */
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	fds = unit_open_fds();
	work_init(&w, on_run);
	assert_int_equal(loop_create(&loop), 0);
	for (int i = 1; i <= 100; i++) {
		assert_int_equal(submit(&loop, &w), 0);
		/* It lives as long as the job. */
		assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
		assert_int_equal(atomic_load(&w.runs), i);
		assert_int_equal(atomic_load(&w.dones), i);
		assert_false(pthread_equal(w.ran_on, pthread_self()));
		assert_true(pthread_equal(w.done_on, pthread_self()));
	}
	assert_int_equal(pool_threads(), 1);
	end(&loop);
	assert_int_equal(unit_open_fds(), fds);
}

static void test_limits(void **state)
{
	struct work w[6];
	struct loop loop;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	for (int i = 0; i < 6; i++)
		work_init(&w[i], on_gate);
	/* Two threads, three in the queue, whether they have begun or not. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(submit(&loop, &w[i]), 0);
	assert_int_equal(submit(&loop, &w[5]), UV_ENOBUFS);
	wait_inside(2);
	assert_int_equal(pool_threads(), 2);
	assert_int_equal(pool_queued(), 3);
	assert_int_equal(submit(&loop, &w[5]), UV_ENOBUFS);
	/* One that is taken back makes room. */
	assert_true(pool_abandon(&w[3].job));
	assert_int_equal(submit(&loop, &w[5]), 0);
	assert_int_equal(submit(&loop, &w[3]), UV_ENOBUFS);
	set_gate(true);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(atomic_load(&w[i].runs), i != 3);
		assert_int_equal(atomic_load(&w[i].dones), i != 3);
	}
	end(&loop);
}

static void test_abandoned_while_it_runs(void **state)
{
	struct work w, other;
	struct loop loop;

	(void)state;
	work_init(&w, on_gate);
	work_init(&other, on_run);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(submit(&loop, &w), 0);
	wait_inside(1);
	assert_false(pool_abandon(&w.job));
	/* The loop does not wait for it. */
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(atomic_load(&w.dones), 0);
	set_gate(true);
	/* It is done by the way, while the loop lives for something else. */
	while (atomic_load(&w.dones) == 0) {
		assert_int_equal(submit(&loop, &other), 0);
		assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	}
	assert_true(pthread_equal(w.done_on, pthread_self()));
	end(&loop);
}

/* Each is done once, by whoever can. */
static void test_end_of_a_loop(void **state)
{
	struct work ended, running[2], queued;
	struct loop loop;

	(void)state;
	work_init(&ended, on_run);
	work_init(&running[0], on_gate);
	work_init(&running[1], on_gate);
	work_init(&queued, on_run);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(submit(&loop, &ended), 0);
	while (atomic_load(&ended.runs) == 0)
		usleep(100);
	assert_int_equal(submit(&loop, &running[0]), 0);
	assert_int_equal(submit(&loop, &running[1]), 0);
	wait_inside(2);
	assert_int_equal(submit(&loop, &queued), 0);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	assert_int_equal(atomic_load(&ended.dones), 1);
	assert_int_equal(atomic_load(&queued.runs), 0);
	assert_int_equal(atomic_load(&queued.dones), 1);
	assert_int_equal(atomic_load(&running[0].dones), 0);
	set_gate(true);
	assert_int_equal(pool_stop(30ull * SECOND, NULL, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(atomic_load(&running[i].dones), 1);
		assert_true(
			pthread_equal(running[i].done_on, running[i].ran_on));
	}
}

static void test_idle_threads_end(void **state)
{
	const struct pool_limits limits = { 4, 10, SECOND / 1000 };
	struct work w[4];
	struct loop loop;

	(void)state;
	pool_set_limits(&limits);
	assert_int_equal(loop_create(&loop), 0);
	for (int round = 0; round < 10; round++) {
		set_gate(false);
		for (int i = 0; i < 4; i++) {
			work_init(&w[i], on_gate);
			assert_int_equal(submit(&loop, &w[i]), 0);
		}
		wait_inside(4);
		set_gate(true);
		assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
		while (pool_threads() > 0)
			usleep(1000);
	}
	end(&loop);
}

static char told[256];

static void on_stuck(const char *what, void *arg)
{
	assert_ptr_equal(arg, told);
	snprintf(told, sizeof told, "%s", what);
}

static void test_stuck(void **state)
{
	struct work stuck, late;
	struct loop loop;

	(void)state;
	work_init(&stuck, on_gate);
	work_init(&late, on_run);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(submit(&loop, &stuck), 0);
	wait_inside(1);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	assert_int_equal(pool_stop(1000000, on_stuck, told), 1);
	assert_string_equal(told, "work that ran 1 times");
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(submit(&loop, &late), UV_ECANCELED);
	set_gate(true);
	end(&loop);
	assert_int_equal(atomic_load(&stuck.dones), 1);
}

static void test_failures(void **state)
{
	struct work a, b;
	struct loop loop;

	(void)state;
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	work_init(&a, on_gate);
	work_init(&b, on_run);
	assert_int_equal(loop_create(&loop), 0);
	inject_arm("pool.port", 0, 1);
	assert_int_equal(submit(&loop, &a), UV_EMFILE);
	inject_reset();
	inject_arm("pool.thread", 0, -1);
	assert_int_equal(submit(&loop, &a), UV_EAGAIN);
	inject_reset();
	assert_int_equal(submit(&loop, &a), 0);
	wait_inside(1);
	/* Without another thread the one will come to it. */
	inject_arm("pool.thread", 0, -1);
	assert_int_equal(submit(&loop, &b), 0);
	inject_reset();
	set_gate(true);
	assert_int_equal(loop_run(&loop, UV_RUN_DEFAULT), 0);
	assert_true(pthread_equal(a.ran_on, b.ran_on));
	end(&loop);
}

enum { LOOPS = 6, ROUNDS = 300, BATCH = 20 };

static pthread_mutex_t loops = PTHREAD_MUTEX_INITIALIZER;
static atomic_int made, freed;

static void free_work(struct pool_job *job)
{
	free(work_of(job));
	atomic_fetch_add(&freed, 1);
}

static void burst(struct loop *loop, unsigned *seed)
{
	struct work *w[BATCH];

	for (int i = 0; i < BATCH; i++) {
		w[i] = malloc(sizeof *w[i]);
		work_init(w[i], on_run);
		w[i]->job.done = free_work;
		atomic_fetch_add(&made, 1);
		if (submit(loop, w[i]) != 0) {
			free_work(&w[i]->job);
			w[i] = NULL;
		}
	}
	for (int i = 0; i < BATCH; i++) {
		if (w[i] != NULL && rand_r(seed) % 3 == 0 &&
		    pool_abandon(&w[i]->job))
			free_work(&w[i]->job);
	}
}

static void *loop_main(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		struct loop loop;

		/* The thread sanitizer does not see how libuv's own pipes,
		 * made and closed here, are kept apart. */
		pthread_mutex_lock(&loops);
		assert_int_equal(loop_create(&loop), 0);
		pthread_mutex_unlock(&loops);
		burst(&loop, &seed);
		if (rand_r(&seed) % 2 == 0)
			loop_run(&loop, UV_RUN_DEFAULT);
		pthread_mutex_lock(&loops);
		assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
		pthread_mutex_unlock(&loops);
	}
	return NULL;
}

static void test_many_loops(void **state)
{
	const struct pool_limits limits = { 4, 40, 1000000 };
	pthread_t threads[LOOPS];

	(void)state;
	pool_set_limits(&limits);
	for (uintptr_t i = 0; i < LOOPS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, loop_main,
						(void *)(i + 1)),
				 0);
	for (int i = 0; i < LOOPS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(pool_stop(30ull * SECOND, NULL, NULL), 0);
	assert_int_equal(atomic_load(&made), LOOPS * ROUNDS * BATCH);
	assert_int_equal(atomic_load(&freed), atomic_load(&made));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, set_up),
		cmocka_unit_test_setup(test_limits, set_up),
		cmocka_unit_test_setup(test_abandoned_while_it_runs, set_up),
		cmocka_unit_test_setup(test_end_of_a_loop, set_up),
		cmocka_unit_test_setup(test_idle_threads_end, set_up),
		cmocka_unit_test_setup(test_stuck, set_up),
		cmocka_unit_test_setup(test_failures, set_up),
		cmocka_unit_test_setup(test_many_loops, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

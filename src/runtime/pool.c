/*
 * The pool of threads. See pool.h.
 *
 * One lock guards all of it. A thread that ends joins the one that ended before
 * it, so that no loop ever waits for one, and pool_stop() has one to join.
 */
#include "runtime/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/inject.h"

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	pthread_cond_t work; /* there is a job, or the end; monotonic */
	pthread_cond_t gone; /* a thread has ended; monotonic */
	struct pool_limits limits;
	struct list queue;
	struct list running;
	unsigned queued;
	unsigned threads;
	unsigned idle;
	bool stopping;
	bool has_last; /* a thread that has ended and is not joined */
	pthread_t last;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.once = PTHREAD_ONCE_INIT,
	.limits = { 16, 4096, 10000000000u },
	.queue = { &pool.queue, &pool.queue },
	.running = { &pool.running, &pool.running },
};

static void init_conds(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.work, &attr);
	pthread_cond_init(&pool.gone, &attr);
	pthread_condattr_destroy(&attr);
}

static void lock(void)
{
	pthread_once(&pool.once, init_conds);
	pthread_mutex_lock(&pool.lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&pool.lock);
}

/* That much later; at most some centuries. */
static struct timespec after(clockid_t clock, uint64_t ns)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += (time_t)(ns / 1000000000u);
	t.tv_nsec += (long)(ns % 1000000000u);
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

void pool_set_limits(const struct pool_limits *limits)
{
	assert(limits->threads > 0 && limits->threads <= POOL_THREADS_MAX);
	lock();
	pool.limits = *limits;
	unlock();
}

struct pool_limits pool_get_limits(void)
{
	struct pool_limits limits;

	lock();
	limits = pool.limits;
	unlock();
	return limits;
}

/* A job out of its port, with the lock held. */
static void leave_port(struct pool_job *job)
{
	struct pool_port *port = job->port;

	job->state = POOL_JOB_IDLE;
	list_del(&job->all);
	job->port = NULL;
	if (!job->abandoned && --port->wanted == 0)
		uv_unref((uv_handle_t *)&port->async);
}

/* With the lock held, but not while the job runs. */
static void run_one(struct pool_job *job)
{
	struct pool_port *port;
	bool first;

	pool.queued--;
	job->state = POOL_JOB_RUNNING;
	list_add_tail(&pool.running, &job->link);
	unlock();
	job->run(job);
	lock();
	list_del(&job->link);
	port = job->port;
	if (port == NULL) {
		unlock();
		job->done(job);
		lock();
		return;
	}
	job->state = POOL_JOB_ENDED;
	first = list_empty(&port->ended);
	list_add_tail(&port->ended, &job->link);
	/* Under the lock: the port cannot be closed meanwhile. */
	if (first)
		uv_async_send(&port->async);
}

/* Wait for a job, with the lock held. False: the thread is not needed. */
static bool wait_for_work(void)
{
	struct timespec end = after(CLOCK_MONOTONIC, pool.limits.idle_ns);
	int rc = 0;

	pool.idle++;
	while (list_empty(&pool.queue) && !pool.stopping && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&pool.work, &pool.lock, &end);
	pool.idle--;
	return !list_empty(&pool.queue);
}

static void *thread_main(void *arg)
{
	pthread_t before;
	bool has_before;

	(void)arg;
	pthread_setname_np(pthread_self(), "neap-pool");
	lock();
	pool.idle--;
	do {
		struct list *link;

		while ((link = list_shift(&pool.queue)) != NULL)
			run_one(list_entry(link, struct pool_job, link));
	} while (wait_for_work());
	before = pool.last;
	has_before = pool.has_last;
	pool.last = pthread_self();
	pool.has_last = true;
	pool.threads--;
	pthread_cond_broadcast(&pool.gone);
	unlock();
	if (has_before)
		pthread_join(before, NULL);
	return NULL;
}

/* With the lock held. Returns 0 or UV_E*. */
static int start_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (inject("pool.thread"))
		return UV_EAGAIN;
	rc = pthread_attr_init(&attr);
	if (rc != 0)
		return -rc;
	pthread_attr_setstacksize(&attr, POOL_STACK_SIZE + POOL_GUARD_SIZE);
	pthread_attr_setguardsize(&attr, POOL_GUARD_SIZE);
	rc = pthread_create(&thread, &attr, thread_main, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0) {
		pool.threads++;
		pool.idle++; /* until it has begun, too */
	}
	return -rc;
}

static void on_async(uv_async_t *async)
{
	struct pool_port *port = async->data;
	struct list ended, *link;

	list_init(&ended);
	lock();
	list_splice_tail(&ended, &port->ended);
	list_foreach(l, &ended)
		leave_port(list_entry(l, struct pool_job, link));
	unlock();
	while ((link = list_shift(&ended)) != NULL) {
		struct pool_job *job = list_entry(link, struct pool_job, link);

		job->done(job);
	}
}

static int open_port(struct pool_port *port, uv_loop_t *loop)
{
	int rc = inject("pool.port")
			 ? UV_EMFILE
			 : uv_async_init(loop, &port->async, on_async);

	if (rc != 0)
		return rc;
	port->async.data = port;
	uv_unref((uv_handle_t *)&port->async);
	list_init(&port->jobs);
	list_init(&port->ended);
	port->wanted = 0;
	port->open = true;
	return 0;
}

/* Somebody to run one more job, now or later; with the lock held. */
static int find_thread(void)
{
	int rc;

	if (pool.queued < pool.idle) {
		pthread_cond_signal(&pool.work);
		return 0;
	}
	if (pool.threads < pool.limits.threads) {
		rc = start_thread();
		if (rc == 0 || pool.threads == 0)
			return rc;
	}
	return pool.queued - pool.idle < pool.limits.queue ? 0 : UV_ENOBUFS;
}

static int enqueue(struct pool_port *port, struct pool_job *job)
{
	int rc;

	if (pool.stopping)
		return UV_ECANCELED;
	rc = find_thread();
	if (rc != 0)
		return rc;
	list_add_tail(&pool.queue, &job->link);
	pool.queued++;
	list_add_tail(&port->jobs, &job->all);
	job->port = port;
	job->state = POOL_JOB_QUEUED;
	job->abandoned = false;
	if (port->wanted++ == 0)
		uv_ref((uv_handle_t *)&port->async);
	return 0;
}

int pool_submit(struct pool_port *port, uv_loop_t *loop, struct pool_job *job)
{
	int rc;

	assert(job->state == POOL_JOB_IDLE);
	if (!port->open) {
		rc = open_port(port, loop);
		if (rc != 0)
			return rc;
	}
	lock();
	rc = enqueue(port, job);
	unlock();
	return rc;
}

bool pool_abandon(struct pool_job *job)
{
	bool queued;

	assert(job->port != NULL);
	lock();
	queued = job->state == POOL_JOB_QUEUED;
	if (queued) {
		list_del(&job->link);
		pool.queued--;
		leave_port(job);
	} else if (!job->abandoned) {
		job->abandoned = true;
		if (--job->port->wanted == 0)
			uv_unref((uv_handle_t *)&job->port->async);
	}
	unlock();
	return queued;
}

void pool_port_close(struct pool_port *port)
{
	struct list done, *link;

	if (!port->open)
		return;
	list_init(&done);
	lock();
	list_foreach_safe(all, next, &port->jobs) {
		struct pool_job *job = list_entry(all, struct pool_job, all);

		if (job->state == POOL_JOB_RUNNING) {
			list_del(&job->all);
			job->port = NULL;
			continue;
		}
		if (job->state == POOL_JOB_QUEUED)
			pool.queued--;
		list_del(&job->link);
		leave_port(job);
		list_add_tail(&done, &job->link);
	}
	port->open = false;
	unlock();
	while ((link = list_shift(&done)) != NULL) {
		struct pool_job *job = list_entry(link, struct pool_job, link);

		job->done(job);
	}
	uv_close((uv_handle_t *)&port->async, NULL);
}

/* The last thread has ended, or is about to. False: it is not in time. */
static bool join_last(uint64_t end_ns)
{
	uint64_t now = uv_hrtime();
	struct timespec end =
		after(CLOCK_REALTIME, end_ns > now ? end_ns - now : 0);

	return !pool.has_last ||
	       pthread_timedjoin_np(pool.last, NULL, &end) == 0;
}

unsigned pool_stop(uint64_t timeout_ns, pool_stuck_f on_stuck, void *arg)
{
	enum { SLACK_NS = 1000000000 }; /* for a thread to go */
	uint64_t end_ns = uv_hrtime() + timeout_ns + SLACK_NS;
	struct timespec end = after(CLOCK_MONOTONIC, timeout_ns);
	char what[512];
	unsigned left;
	int rc = 0;

	lock();
	pool.stopping = true;
	pthread_cond_broadcast(&pool.work);
	while (pool.threads > 0 && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&pool.gone, &pool.lock, &end);
	left = pool.threads;
	list_foreach(link, &pool.running) {
		struct pool_job *job = list_entry(link, struct pool_job, link);

		job->describe(job, what, sizeof what);
		if (on_stuck != NULL)
			on_stuck(what, arg);
	}
	unlock();
	if (left > 0)
		return left;
	/* Nobody else touches it now. */
	if (!join_last(end_ns))
		return 1;
	pool.has_last = false;
	pool.stopping = false;
	return 0;
}

unsigned pool_threads(void)
{
	unsigned n;

	lock();
	n = pool.threads;
	unlock();
	return n;
}

unsigned pool_queued(void)
{
	unsigned n;

	lock();
	n = pool.queued;
	unlock();
	return n;
}

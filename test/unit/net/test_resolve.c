/*
 * Names of hosts, with a name server that answers when it is told to: what is
 * remembered and for how long, questions that are asked once, the pool that is
 * never used up, queues, cancels, and loops that end meanwhile.
 *
 * test: timeout 120, threads
 */
#include "fake_fiber.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/inject.h"
#include "net/resolve.h"
#include "runtime/pool.h"

/* --- the name server --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool slow_may_go;
static unsigned asked, inside, most_inside;

/* In place of the C library's, which look-ups of numbers use. */
int getaddrinfo(const char *host, const char *service,
		const struct addrinfo *hints, struct addrinfo **ret)
{
	struct sockaddr_in *in;

	(void)service;
	*ret = NULL;
	if (hints->ai_flags & AI_NUMERICHOST) {
		if (strcmp(host, "1.2.3.4") != 0)
			return EAI_NONAME;
	} else {
		pthread_mutex_lock(&lock);
		asked++;
		if (++inside > most_inside)
			most_inside = inside;
		pthread_cond_broadcast(&changed);
		while (strncmp(host, "slow", 4) == 0 && !slow_may_go)
			pthread_cond_wait(&changed, &lock);
		inside--;
		pthread_mutex_unlock(&lock);
	}
	if (strncmp(host, "none", 4) == 0)
		return EAI_NONAME;
	if (strncmp(host, "broken", 6) == 0) {
		errno = EMFILE;
		return EAI_SYSTEM;
	}
	*ret = calloc(1, sizeof **ret + sizeof *in);
	assert_non_null(*ret);
	in = (struct sockaddr_in *)(*ret + 1);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, "1.2.3.4", &in->sin_addr);
	(*ret)->ai_family = AF_INET;
	(*ret)->ai_addr = (struct sockaddr *)in;
	(*ret)->ai_addrlen = sizeof *in;
	return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
	free(found);
}

static void let_slow_go(bool go)
{
	pthread_mutex_lock(&lock);
	slow_may_go = go;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static unsigned count_inside(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = inside;
	pthread_mutex_unlock(&lock);
	return n;
}

/* --- who asks --- */

struct asker {
	struct fake fake;
	char host[32];
	uint64_t timeout_ns;
	int rc;     /* of the last call */
	int status; /* of the answer; -1: none */
	unsigned waits;
};

static void body(struct fake *f)
{
	struct asker *k = (struct asker *)f; /* fake comes first */
	struct resolve_key key = { .host = k->host, .service = "80" };
	struct resolve_answer *a;
	int err;

	if (f->step > 1 && f->last_status != 0) {
		k->rc = f->last_status;
		fiber_finish(&f->base, false);
		return;
	}
	k->rc = resolve_ask(&f->base, &key, &a);
	if (k->rc == UV_EAGAIN) {
		k->waits++;
		resolve_wait(a, &f->base, k->timeout_ns);
		return;
	}
	if (k->rc == 0) {
		k->status = resolve_status(a, &err);
		assert_int_equal(k->status == 0, resolve_found(a) != NULL);
		assert_int_equal(k->status == EAI_SYSTEM, err != 0);
	}
	fiber_finish(&f->base, false);
}

static void ask(struct asker *k, const char *host)
{
	memset(k, 0, sizeof *k);
	snprintf(k->host, sizeof k->host, "%s", host);
	k->timeout_ns = UINT64_MAX;
	k->status = -1;
	fake_init(&k->fake, body);
	fiber_start(&k->fake.base);
}

static bool is_over(const struct asker *k)
{
	return k->fake.base.state == FIBER_DEAD;
}

static void finish(const struct asker *k)
{
	while (!is_over(k))
		loop_run(&fake_loop, UV_RUN_ONCE);
}

static int setup(void **state)
{
	asked = most_inside = 0;
	let_slow_go(false);
	pool_set_limits(&(struct pool_limits){ 6, 4096, 10000000000u });
	return fake_set_up(state);
}

static int teardown(void **state)
{
	int rc;

	inject_reset();
	let_slow_go(true);
	resolve_end();
	rc = fake_tear_down(state);
	assert_int_equal(pool_stop(10000000000u, NULL, NULL), 0);
	return rc;
}

static void answers(void **state)
{
	struct asker k;

	(void)state;
	ask(&k, "host");
	assert_false(is_over(&k));
	finish(&k);
	assert_int_equal(k.status, 0);
	assert_int_equal(k.waits, 1);
	assert_int_equal(asked, 1);
	ask(&k, "host"); /* it is known */
	assert_true(is_over(&k));
	assert_int_equal(k.status, 0);
	ask(&k, "none");
	finish(&k);
	assert_int_equal(k.status, EAI_NONAME);
	ask(&k, "broken");
	finish(&k);
	assert_int_equal(k.status, EAI_SYSTEM);
	ask(&k, "none"); /* that is known, too */
	assert_true(is_over(&k));
	assert_int_equal(asked, 3);
	resolve_forget();
	ask(&k, "host");
	finish(&k);
	assert_int_equal(asked, 4);
}

static void numbers_ask_nobody(void **state)
{
	struct asker k;

	(void)state;
	ask(&k, "1.2.3.4");
	assert_true(is_over(&k));
	assert_int_equal(k.status, 0);
	assert_int_equal(asked, 0);
	assert_int_equal(pool_threads(), 0);
}

static void one_question_for_many(void **state)
{
	static struct asker k[50];

	(void)state;
	for (int i = 0; i < 50; i++)
		ask(&k[i], "slow");
	let_slow_go(true);
	for (int i = 0; i < 50; i++) {
		finish(&k[i]);
		assert_int_equal(k[i].status, 0);
	}
	assert_int_equal(asked, 1);
}

struct plain_job {
	struct pool_job job;
	bool done;
};

static void plain_run(struct pool_job *job)
{
	(void)job;
}

static void plain_done(struct pool_job *job)
{
	((struct plain_job *)job)->done = true; /* job comes first */
}

static void plain_describe(struct pool_job *job, char *buf, size_t size)
{
	(void)job;
	snprintf(buf, size, "a plain job");
}

/* A name server that does not answer keeps half of the threads, whoever asks. */
static void leaves_threads_to_others(void **state)
{
	static struct asker k[40];
	struct plain_job plain = { .job = { .run = plain_run,
					    .done = plain_done,
					    .describe = plain_describe } };
	char host[32];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(host, sizeof host, "slow%d", i);
		ask(&k[i], host);
	}
	while (count_inside() < 3)
		loop_run(&fake_loop, UV_RUN_NOWAIT);
	assert_int_equal(
		pool_submit(&fake_loop.port, &fake_loop.uv, &plain.job), 0);
	while (!plain.done)
		loop_run(&fake_loop, UV_RUN_ONCE);
	assert_int_equal(count_inside(), 3);
	/* Those that are given up do not make room: the threads are taken. */
	for (int i = 0; i < 20; i++)
		fiber_cancel(&k[i].fake.base);
	for (int i = 0; i < 50; i++)
		loop_run(&fake_loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 20; i++)
		assert_true(is_over(&k[i]));
	assert_int_equal(count_inside(), 3);
	let_slow_go(true);
	for (int i = 20; i < 40; i++) {
		finish(&k[i]);
		assert_int_equal(k[i].status, 0);
	}
	assert_int_equal(most_inside, 3);
	/* Those nobody waited for were not asked. */
	assert_int_equal(asked, 23);
}

static void limits(void **state)
{
	static struct asker k[RESOLVE_PENDING_MAX + 10];
	struct asker more;
	char host[32];
	unsigned refused = 0;

	(void)state;
	for (int i = 0; i < RESOLVE_PENDING_MAX + 10; i++) {
		snprintf(host, sizeof host, "slow%d", i);
		ask(&k[i], host);
		refused += is_over(&k[i]) && k[i].rc == UV_ENOBUFS;
	}
	assert_int_equal(refused, 10 - 3);
	ask(&more, "1.2.3.4"); /* that is known without asking */
	assert_int_equal(more.status, 0);
	let_slow_go(true);
	for (int i = 0; i < RESOLVE_PENDING_MAX + 3; i++) {
		finish(&k[i]);
		assert_int_equal(k[i].status, 0);
	}
	/* The oldest are forgotten. */
	asked = 0;
	ask(&more, "slow0");
	finish(&more);
	assert_int_equal(asked, 1);
	snprintf(host, sizeof host, "slow%d", RESOLVE_PENDING_MAX + 2);
	ask(&more, host);
	assert_true(is_over(&more));
}

static void ends_from_outside(void **state)
{
	struct asker k, l;

	(void)state;
	ask(&k, "slow");
	ask(&l, "slow");
	/* One of two leaves: the other has its answer. */
	fiber_cancel(&k.fake.base);
	finish(&k);
	assert_int_equal(k.rc, UV_ECANCELED);
	assert_false(is_over(&l));
	let_slow_go(true);
	finish(&l);
	assert_int_equal(l.status, 0);
	assert_int_equal(asked, 1);
	/* Both leave; who comes then asks anew. */
	let_slow_go(false);
	ask(&k, "slow2");
	while (count_inside() < 1)
		;
	fiber_cancel(&k.fake.base);
	finish(&k);
	/* The loop does not live for it. */
	assert_int_equal(loop_run(&fake_loop, UV_RUN_DEFAULT), 0);
	ask(&k, "slow2");
	let_slow_go(true);
	finish(&k);
	assert_int_equal(k.status, 0);
	assert_int_equal(asked, 3);
}

static void *release_later(void *arg)
{
	usleep(50000);
	let_slow_go(true);
	return arg;
}

/* All threads that may ask are taken, and by none of ours: the one that waits is
 * tried again, and the loop lives for it. */
static void others_have_all_threads(void **state)
{
	struct asker slow[3], k;
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 3; i++) {
		char host[32];

		snprintf(host, sizeof host, "slow%d", i);
		ask(&slow[i], host);
	}
	while (count_inside() < 3)
		loop_run(&fake_loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 3; i++) {
		fiber_cancel(&slow[i].fake.base);
		finish(&slow[i]);
	}
	ask(&k, "host");
	assert_false(is_over(&k));
	assert_int_equal(pthread_create(&thread, NULL, release_later, NULL), 0);
	assert_int_equal(loop_run(&fake_loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(is_over(&k));
	assert_int_equal(k.status, 0);
}

/* The loop ends while threads are still asking. */
static void a_loop_that_ends(void **state)
{
	static struct asker k[10];
	char host[32];

	for (int i = 0; i < 10; i++) {
		snprintf(host, sizeof host, "slow%d", i);
		ask(&k[i], host);
	}
	while (count_inside() < 3)
		loop_run(&fake_loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 10; i++) {
		fiber_cancel(&k[i].fake.base);
		finish(&k[i]);
	}
	resolve_end();
	fake_tear_down(state);
	let_slow_go(true);
	fake_set_up(state);
	while (count_inside() > 0)
		;
}

static void failures(void **state)
{
	struct asker k;

	(void)state;
	if (inject_arm("resolve.submit", 0, 1) != 0)
		skip();
	ask(&k, "host");
	assert_true(is_over(&k));
	assert_int_equal(k.status, EAI_SYSTEM);
	for (long after = 0;; after++) {
		resolve_forget();
		assert_int_equal(inject_arm("malloc", after, 1), 0);
		ask(&k, "host");
		finish(&k);
		if (k.rc == 0)
			break;
		assert_int_equal(k.rc, UV_ENOMEM);
	}
	inject_reset();
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(answers),
		with_server(numbers_ask_nobody),
		with_server(one_question_for_many),
		with_server(leaves_threads_to_others),
		with_server(limits),
		with_server(ends_from_outside),
		with_server(others_have_all_threads),
		with_server(a_loop_that_ends),
		with_server(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

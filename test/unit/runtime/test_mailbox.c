/*
 * Work for another thread: order, limits, the end, and that a loop which waits
 * for an answer stays alive.
 *
 * test: threads
 */
#include "unit.h"

#include <stdlib.h>

#include "base/inject.h"
#include "runtime/loop.h"
#include "runtime/mailbox.h"

enum { MAILS = 1000, THREADS = 4 };

struct note {
	struct mail mail;
	int number;
};

static struct loop loop;
static struct mailbox box;
static int delivered, dropped, last;

static int set_up(void **state)
{
	(void)state;
	delivered = dropped = 0;
	last = -1;
	assert_int_equal(loop_create(&loop), 0);
	mailbox_create(&box);
	assert_int_equal(mailbox_open(&box, &loop), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	mailbox_close(&box);
	mailbox_destroy(&box);
	assert_int_equal(loop_destroy(&loop, NULL, NULL), 0);
	return 0;
}

static void on_note(struct mail *m, bool is_delivered)
{
	struct note *n = (struct note *)m;

	if (!is_delivered) {
		dropped++;
		return;
	}
	delivered++;
	assert_true(n->number > last);
	last = n->number;
}

static struct note *make_notes(int count)
{
	struct note *notes = calloc((size_t)count, sizeof *notes);

	for (int i = 0; i < count; i++) {
		notes[i].mail.run = on_note;
		notes[i].number = i;
	}
	return notes;
}

/* A loop that waits for nothing does not look. */
static void look(void)
{
	mailbox_hold(&box);
	loop_run(&loop, UV_RUN_NOWAIT);
	mailbox_release(&box);
}

static void test_order(void **state)
{
	struct note *notes = make_notes(MAILS);

	(void)state;
	for (int i = 0; i < MAILS; i++)
		assert_int_equal(mailbox_post(&box, &notes[i].mail, 0), 0);
	assert_int_equal(delivered, 0);
	for (int i = 0; i < MAILS && delivered < MAILS; i++)
		look();
	assert_int_equal(delivered, MAILS);
	free(notes);
}

static void test_limit(void **state)
{
	struct note *notes = make_notes(4);

	(void)state;
	assert_int_equal(mailbox_post(&box, &notes[0].mail, 2), 0);
	assert_int_equal(mailbox_post(&box, &notes[1].mail, 2), 0);
	assert_int_equal(mailbox_post(&box, &notes[2].mail, 2), UV_EAGAIN);
	assert_int_equal(mailbox_post(&box, &notes[2].mail, 0), 0);
	look();
	assert_int_equal(delivered, 3);
	assert_int_equal(mailbox_post(&box, &notes[3].mail, 1), 0);
	look();
	assert_int_equal(delivered, 4);
	free(notes);
}

static void test_close(void **state)
{
	struct note *notes = make_notes(3);

	(void)state;
	assert_int_equal(mailbox_post(&box, &notes[0].mail, 0), 0);
	assert_int_equal(mailbox_post(&box, &notes[1].mail, 0), 0);
	mailbox_close(&box);
	assert_int_equal(dropped, 2);
	assert_int_equal(delivered, 0);
	assert_int_equal(mailbox_post(&box, &notes[2].mail, 0), UV_EPIPE);
	mailbox_close(&box);
	assert_int_equal(dropped, 2);
	free(notes);
}

static void test_never_open(void **state)
{
	struct note note = { { .run = on_note }, 0 };
	struct mailbox other;

	(void)state;
	mailbox_create(&other);
	assert_int_equal(mailbox_post(&other, &note.mail, 0), UV_EPIPE);
	if (inject_arm("mailbox", 0, 1) == 0) {
		assert_int_equal(mailbox_open(&other, &loop), UV_EMFILE);
		assert_int_equal(mailbox_post(&other, &note.mail, 0), UV_EPIPE);
	}
	mailbox_close(&other);
	mailbox_destroy(&other);
}

struct sender {
	pthread_t thread;
	struct note *notes;
	int count;
};

static void on_any(struct mail *m, bool is_delivered)
{
	(void)m;
	assert_true(is_delivered);
	if (++delivered == THREADS * MAILS)
		mailbox_release(&box);
}

static void *send_all(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < s->count; i++) {
		s->notes[i].mail.run = on_any;
		if (mailbox_post(&box, &s->notes[i].mail, 0) != 0)
			abort();
	}
	return NULL;
}

/* None is lost, and the loop does not end before the last has come. */
static void test_threads(void **state)
{
	struct sender senders[THREADS];

	(void)state;
	mailbox_hold(&box);
	for (int i = 0; i < THREADS; i++) {
		senders[i].notes = make_notes(MAILS);
		senders[i].count = MAILS;
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
						send_all, &senders[i]),
				 0);
	}
	loop_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(delivered, THREADS * MAILS);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(senders[i].thread, NULL);
		free(senders[i].notes);
	}
}

#define mailbox_test(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		mailbox_test(test_order),   mailbox_test(test_limit),
		mailbox_test(test_close),   mailbox_test(test_never_open),
		mailbox_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Fibers for tests of the scheduler: what they run is a C function that is
 * called again at each resume, and looks at its step to know where it was.
 */
#pragma once

#include "unit.h"

#include "runtime/fiber.h"
#include "runtime/loop.h"

struct fake {
	struct fiber base;
	void (*body)(struct fake *f); /* parks, yields or finishes */
	int step;                     /* how often the body was called */
	int last_status;              /* base.status at the last resume */
	int undone;                   /* calls of fake_undo() */
	struct list *undo_list;       /* taken out of by fake_undo() */
	void *arg;
	int tag;
};

static struct loop fake_loop;
static struct sched fake_sched;

static inline struct fake *fake_of(struct fiber *f)
{
	return (struct fake *)f;
}

static inline void fake_resume(struct fiber *base)
{
	struct fake *f = fake_of(base);

	assert_int_equal(base->state, FIBER_RUNNING);
	assert_ptr_equal(base->sched->current, base);
	f->last_status = base->status;
	f->step++;
	f->body(f);
}

static inline void fake_init(struct fake *f, void (*body)(struct fake *f))
{
	memset(f, 0, sizeof *f);
	f->body = body;
	fiber_init(&fake_sched, &f->base, fake_resume);
}

/** An undo function that counts. */
static inline void fake_undo(struct fiber *base, void *arg)
{
	assert_int_equal(base->state, FIBER_WAITING);
	assert_ptr_equal(arg, base);
	fake_of(base)->undone++;
}

static inline int fake_set_up(void **state)
{
	(void)state;
	assert_int_equal(loop_create(&fake_loop), 0);
	assert_int_equal(sched_create(&fake_sched, &fake_loop), 0);
	assert_ptr_equal(sched_self, &fake_sched);
	return 0;
}

static inline void fake_stuck(const char *kind, const char *detail, void *arg)
{
	(void)arg;
	fail_msg("stuck: %s, %s", kind, detail);
}

static inline int fake_tear_down(void **state)
{
	(void)state;
	assert_int_equal(fake_sched.count, 0);
	assert_int_equal(fake_sched.waiting, 0);
	assert_int_equal(fake_sched.depth, 0);
	assert_null(fake_sched.current);
	assert_null(fake_sched.timers.root);
	/* Nothing is left that keeps the loop up. */
	assert_int_equal(loop_run(&fake_loop, UV_RUN_DEFAULT), 0);
	sched_close(&fake_sched);
	assert_null(sched_self);
	assert_int_equal(loop_destroy(&fake_loop, fake_stuck, NULL), 0);
	return 0;
}

#define scheduled(test) \
	cmocka_unit_test_setup_teardown(test, fake_set_up, fake_tear_down)

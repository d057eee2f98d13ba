/*
 * Fibers and the scheduler of one worker, without a word about what a fiber
 * runs: the layer above gives each a resume function.
 *
 * State machine:
 *
 *   NEW --start--> RUNNING --park--> WAITING --wakeup--> READY --> RUNNING
 *                     |                ^ cancel, timeout: wakeup with a code
 *                     +--finish--> DEAD (joinable: kept until it is joined)
 *
 * A wait is begun with fiber_park(): it registers how to undo the wait before
 * anything switches. Whoever ends it calls fiber_wakeup() with a status; the
 * first one wins, and the undo function has run by then. The resume function
 * gets the status to its fiber.
 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "runtime/fiber_top.h"
#include "runtime/ticker.h"
#include "runtime/timer.h"

struct loop;
struct fiber;
struct sched;

enum fiber_state {
	FIBER_NEW,
	FIBER_READY,   /* in the ready queue */
	FIBER_RUNNING, /* also while it waits inside a fiber it has started */
	FIBER_WAITING,
	FIBER_DEAD,
};

enum {
	FIBER_CANCELLED = 1 << 0, /* fiber_cancel() was called */
	FIBER_JOINABLE = 1 << 1,  /* stays after its end until joined */
	FIBER_FAILED = 1 << 2,    /* ended by an error */
	FIBER_WAKEABLE = 1 << 3,  /* the wait ends on a bare fiber_wakeup() */
	FIBER_UNCANCELLABLE = 1 << 4, /* this wait: cancel only sets the flag */
	FIBER_YIELDED = 1 << 5, /* ready because it yielded: cancel tells it */
	FIBER_CANCEL_TOLD = 1 << 6, /* it has heard of its cancel */
	FIBER_PUT_ASIDE = 1 << 7,   /* it was made to give way */
};

/** Which limit a fiber is over; it must end. */
enum fiber_over {
	FIBER_OVER_NONE,
	FIBER_OVER_BURST,  /* since it last waited */
	FIBER_OVER_TOTAL,  /* since it began */
	FIBER_OVER_CANCEL, /* since it was cancelled */
	FIBER_OVER_MEMORY, /* the layer above finds it */
	FIBER_OVER_COUNT,
};

/** CPU time that fibers of one kind may use; 0: any. */
struct fiber_limits {
	const char *group; /* for messages */
	uint64_t burst_ns;
	uint64_t total_ns;
};

/** The status of a wait that the deadline of its fiber has ended. */
enum { FIBER_EDEADLINE = -ETIME };

/** In deadline_ns: it was told that this is over while it computed. */
enum { FIBER_DEADLINE_TOLD = 1 };

/** Run @a f until it parks, yields or ends. Never called re-entrantly for one
 * fiber; may nest for different ones. */
typedef void (*fiber_resume_f)(struct fiber *f);

/** Undo a wait: take the fiber out of what it waits in. Must not run Lua, and
 * must not wake the fiber. */
typedef void (*fiber_undo_f)(struct fiber *f, void *arg);

/** Of a scheduler's first fiber: the peer's first free id, low ones read as codes. */
enum { SCHED_FIRST_ID = 101 };

/** What ages of fibers are counted in: an eighth of a second, about. */
enum { FIBER_BORN_BITS = 7 };

struct fiber {
	struct list link;   /* ready queue or the queue it waits in */
	struct list all;    /* every live fiber of the scheduler */
	struct timer timer; /* ends the wait */
	struct sched *sched;
	fiber_resume_f resume;
	fiber_undo_f undo; /* of the current wait; may be NULL */
	void *undo_arg;
	struct list joiners; /* fibers waiting for this one's end */
	uint64_t id;         /* never repeats in a scheduler; 0: pooled */
	uint64_t switches;   /* how often it was resumed */
	/* CPU time, as ticks have found it: a share of many, exact to a tick
	 * for one that runs long. */
	uint64_t burst_ns;  /* since it last waited */
	uint64_t total_ns;  /* since it began */
	uint64_t cancel_ns; /* total_ns when it was cancelled, or told of it */
	struct fiber_top top;
	const struct fiber_limits *limits; /* NULL: none */
	/* On uv_hrtime()'s clock, whole microseconds, and FIBER_DEADLINE_TOLD;
	 * 0: none. */
	uint64_t deadline_ns;
	uint64_t due_ns;    /* of the wait alone; UINT64_MAX: none */
	uint32_t preempted; /* how often it was made to give way */
	/* When it is to be told that its slice is over, for this burst alone;
	 * the layer above sets and reads them. 0: as that has it. */
	uint32_t slice_warn;
	uint32_t slice_err;
	int status;    /* why the last wait ended: 0 or UV_E* */
	uint8_t state; /* enum fiber_state */
	uint8_t flags;
	volatile uint8_t over; /* enum fiber_over; set in a signal handler */
	/* Since it last waited: 0: it has made no fibers that start later, or 1
	 * and how often it was made to give way. */
	uint8_t made;
	uint32_t born; /* see fiber_age() */
};

struct sched {
	struct loop *loop;
	struct timers timers;
	struct ticker *ticker; /* NULL: nobody is made to give way */
	struct list ready;
	struct list late;  /* ready, but one ahead of them used up a slice */
	struct list spent; /* ready, but had their slice: behind the others */
	struct list held;  /* ready, but whose maker is among the spent */
	struct list all;   /* by age */
	struct fiber *current; /* NULL: the loop itself runs */
	struct sched_top top;
	uint64_t next_id;
	uint64_t switches;
	uint64_t turns;     /* resumes that were not inside others */
	uint64_t rounds;    /* of the loop: polls, and what they have brought */
	uint64_t preempted; /* how often a fiber was made to give way */
	uint64_t polled;    /* preempted, when the loop polled last */
	uint64_t
		cancel_grace_ns; /* CPU time between a cancel and a forced end */
	_Atomic uint64_t end_id;   /* see sched_end_computing(); 0: none */
	uint64_t ending_id;        /* the same, when it was seen to compute */
	unsigned count;            /* live fibers */
	unsigned depth;            /* resumes inside resumes */
	unsigned waiting;          /* parked fibers */
	bool idling;               /* the idle handle is on */
	bool in_round;             /* sched_run_ready() runs */
	volatile sig_atomic_t far; /* the next tick is: see sched_changed() */
	bool late_turn;   /* this round late ones run whatever came before */
	uv_idle_t idle;   /* keeps the poll from blocking while ready */
	uv_check_t check; /* runs the ready queue after the poll */
};

/** Something has changed of what a tick looks at while a fiber runs. */
static inline void sched_changed(struct sched *s)
{
	if (__builtin_expect(s->far, 0))
		ticker_near(s->ticker);
}

/** The scheduler of this thread, or NULL. */
extern __thread struct sched *sched_self;

/** Returns 0 or UV_E*. Becomes this thread's scheduler. */
int sched_create(struct sched *s, struct loop *loop);

/** Close the handles; all fibers must have ended. */
void sched_close(struct sched *s);

/** Run what is ready now, as the loop does after each poll. */
void sched_run_ready(struct sched *s);

/** Give @a f (caller's memory) an id and enter it. State NEW. */
void fiber_init(struct sched *s, struct fiber *f, fiber_resume_f resume);

/** Run it at once, inside the caller, until it waits or ends. Nests up to a
 * limit, beyond which it starts in the next round; so does one that the loop
 * starts when another has used up a slice since the poll. */
void fiber_start(struct fiber *f);

/** The same however deep it nests, for who has a stack of its own. */
void fiber_start_now(struct fiber *f);

/** Start it in the next round of the ready queue, when the running fiber has
 * waited. (That it is made to give way between making a fiber and saying what
 * the fiber is to be must not show; but one that computes for several slices
 * does not keep those it made.) */
void fiber_start_later(struct fiber *f);

/** Of fiber_park() alone: its timer. */
void fiber_park_until(struct fiber *f, uint64_t timeout_ns);

/**
 * The running fiber begins a wait. @a undo (may be NULL) takes it out again
 * when a cancel, a timeout or a bare wakeup ends the wait. With @a timeout_ns
 * other than UINT64_MAX a timer ends it with UV_ETIMEDOUT, or with
 * FIBER_EDEADLINE when the fiber has a deadline that comes first. The caller then
 * returns to the resume function, which returns.
 */
static inline void fiber_park(struct fiber *f, fiber_undo_f undo,
			      void *undo_arg, uint64_t timeout_ns)
{
	assert(f->state == FIBER_RUNNING && f->sched->current == f);
	sched_changed(f->sched);
	f->state = FIBER_WAITING;
	f->flags &= ~(FIBER_WAKEABLE | FIBER_UNCANCELLABLE | FIBER_YIELDED);
	f->undo = undo;
	f->undo_arg = undo_arg;
	f->burst_ns = 0;
	f->made = 0;
	f->slice_warn = f->slice_err = 0;
	f->sched->waiting++;
	if (timeout_ns != UINT64_MAX || f->deadline_ns != 0)
		fiber_park_until(f, timeout_ns);
}

/** The running fiber goes to the end of the ready queue. */
void fiber_yield_begin(struct fiber *f);

/** The running fiber has had its slice: it goes on when those that are ready now
 * have run and the loop has polled. */
void fiber_preempt_begin(struct fiber *f);

/** @a f has used @a ns of CPU time. In a signal handler. */
void fiber_charge(struct fiber *f, uint64_t ns);

/**
 * The fiber @a id is wanted to end. If it computes, and goes on with that where a
 * cancel cannot reach it, for the loop does not turn, it is ended like one that
 * was cancelled. On any thread, also in a signal handler.
 */
void sched_end_computing(struct sched *s, uint64_t id);

/** @a f learns of its cancel. */
void fiber_tell_cancel(struct fiber *f);

/** Is a cancel to be told that @a f has not heard of while it computes? */
static inline bool fiber_has_news(const struct fiber *f)
{
	return (f->flags & (FIBER_CANCELLED | FIBER_CANCEL_TOLD)) ==
	       FIBER_CANCELLED;
}

/** Is its deadline over, at @a now of uv_hrtime()'s clock, and has it not heard
 * of that while it computes? */
static inline bool fiber_is_late(const struct fiber *f, uint64_t now)
{
	return f->deadline_ns != 0 && now >= f->deadline_ns &&
	       !(f->deadline_ns & FIBER_DEADLINE_TOLD);
}

/**
 * End the wait of @a f with @a status: it becomes ready. Not waiting: nothing
 * happens and false is returned. The undo function is *not* run: it is for
 * those who end a wait from outside; the owner of the wait knows it ended.
 */
bool fiber_wakeup(struct fiber *f, int status);

/**
 * Take back a wait that was begun: undo, and the state is RUNNING again, as if
 * fiber_park() or fiber_yield_begin() had not been called.
 */
void fiber_unpark(struct fiber *f);

/** End the wait from outside: undo, then wake. Only if the wait allows it. */
bool fiber_interrupt(struct fiber *f, int status);

/** Ask @a f to end: its wait ends with UV_ECANCELED. When it does not wait, who
 * begins its next wait calls this again at once, as lua_wait(). */
void fiber_cancel(struct fiber *f);

/**
 * The running fiber's body has ended (or a NEW one is given up). Takes it out
 * of the scheduler and wakes the joiners. The memory is the caller's again;
 * it keeps it while somebody may still ask for the results.
 */
void fiber_finish(struct fiber *f, bool failed);

/** Wait in @a f's queue of joiners (begun, as fiber_park()). */
void fiber_join_begin(struct fiber *self, struct fiber *f, uint64_t timeout_ns);

/** Is there anybody whom the running fiber keeps from running: other fibers, or
 * what the loop waits for? */
bool sched_has_others(const struct sched *s);

/**
 * Does anybody wait for the running fiber to give way: other fibers, or what the
 * loop has to do? *ret_timer_in: if not, in how many nanoseconds the next timer
 * will. May be called in a signal handler of the thread.
 */
bool sched_is_wanted(const struct sched *s, uint64_t *ret_timer_in);

/** The live fiber with this id, or NULL. Linear. */
struct fiber *fiber_find(struct sched *s, uint64_t id);

/** The place in sched.all behind the fiber @a id, also when that has ended: they
 * stand by age. &sched.all: there is none. Linear. */
struct list *sched_behind(struct sched *s, uint64_t id);

/** "new", "ready", "running", "waiting", "ended". */
const char *fiber_state_name(const struct fiber *f);

/** How long ago it was made, in seconds, to about an eighth. On its thread. */
double fiber_age(const struct fiber *f);

static inline bool fiber_is_dead(const struct fiber *f)
{
	return f->state == FIBER_DEAD;
}

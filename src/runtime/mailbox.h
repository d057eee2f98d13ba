/*
 * Work for another thread: mails posted to a loop from any thread, which that
 * thread takes in the order they came. Each is somebody's struct with what is
 * to be done in it; posting allocates nothing.
 *
 *	mailbox_create -> mailbox_open -> mailbox_close -> mailbox_destroy
 *
 * It is created before any thread can post and destroyed after all have ended;
 * in between its owner opens and closes it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

struct loop;
struct mail;

/** Do it, on the owner's thread; or, when @a delivered is false, let go of it:
 * the owner is closing. @a m is the callee's from here on. */
typedef void (*mail_f)(struct mail *m, bool delivered);

struct mail {
	struct list link;
	mail_f run;
};

struct mailbox {
	pthread_mutex_t lock; /* of the three below */
	struct list due;
	unsigned count; /* of them */
	bool open;
	uv_async_t async;
	uint64_t taken;   /* the owner's: mails done so far */
	unsigned waiting; /* the owner's: reasons to stay alive */
};

void mailbox_create(struct mailbox *box);
void mailbox_destroy(struct mailbox *box);

/** On the owner's thread, with its loop. Returns 0 or UV_E*. */
int mailbox_open(struct mailbox *box, struct loop *loop);

/** How many mails wait. Any thread. */
unsigned mailbox_count(struct mailbox *box);

/** How many were done; on the owner's thread. */
static inline uint64_t mailbox_taken(const struct mailbox *box)
{
	return box->taken;
}

/** The end: nothing is taken any more, and what is there is not delivered.
 * Closed already, or never open, is fine. */
void mailbox_close(struct mailbox *box);

/**
 * Post @a m, on any thread. Returns 0; UV_EPIPE, the mailbox is closed; UV_EAGAIN,
 * @a limit mails are there already (0: no limit).
 */
int mailbox_post(struct mailbox *box, struct mail *m, unsigned limit);

/** On the owner's thread: something is to come, the loop stays alive until as
 * many calls of mailbox_release(). */
void mailbox_hold(struct mailbox *box);
void mailbox_release(struct mailbox *box);

/*
 * Rows of all workers. See admin_gather.h.
 *
 * A batch goes to a worker as a mail, has rows added there, and comes back. It is
 * touched by one thread at a time. When nobody waits any more, while it is away, it
 * is freed as it comes back; one that is late is left alone in the same way, and what
 * follows has a new one.
 */
#include "console/admin_gather.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "app/app.h"
#include "app/stuck.h"
#include "app/worker.h"
#include "base/inject.h"
#include "lua/lua_preempt.h"
#include "runtime/mailbox.h"

enum {
	ROOM = 64 << 10,
	LATE_MS = 2000, /* to wait for a worker */
	LOOK_MS = 200,  /* before that it is asked where it stands */
};

struct batch {
	struct mail mail;
	struct worker *from, *to;
	const struct admin_command *command;
	struct admin_gather *gather; /* from's; NULL: nobody waits */
	struct admin_rows rows;
	bool more;
	bool closed; /* the worker is ending */
	_Alignas(16) char cursor[ADMIN_CURSOR_MAX];
};

struct admin_gather {
	struct admin_run *run;
	const struct admin_command *command;
	const void *cursor;        /* at the beginning */
	struct batch *batch;       /* NULL: to be made */
	struct worker *worker;     /* whose rows these are */
	const struct worker *last; /* behind it in the list of all */
	bool away;                 /* the batch */
	bool looked;               /* it was asked where it stands */
	uint64_t late_ns;
	char error[LUA_BUSY_TEXT + 128];
};

static void batch_free(struct batch *b)
{
	buf_destroy(&b->rows.bytes);
	mem_free(b);
}

static struct batch *batch_new(struct admin_gather *g)
{
	struct batch *b = mem_zalloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->from = admin_worker(g->run);
	b->to = g->worker;
	b->command = g->command;
	b->gather = g;
	b->rows.room = ROOM;
	b->rows.columns = admin_column_count(g->command->columns);
	b->more = true;
	memcpy(b->cursor, g->cursor, sizeof(b->cursor));
	return b;
}

/* Back, on the thread of the session. */
static void on_back(struct mail *m, bool delivered)
{
	struct batch *b = list_entry(m, struct batch, mail);
	struct admin_gather *g = b->gather;

	if (delivered)
		mailbox_release(&b->from->mailbox);
	if (g == NULL) {
		batch_free(b);
		return;
	}
	g->away = false;
	b->closed |= !delivered;
	admin_wake(g->run);
}

/* On the thread of the worker that is asked. */
static void on_there(struct mail *m, bool delivered)
{
	struct batch *b = list_entry(m, struct batch, mail);

	b->closed = !delivered;
	b->more = delivered && b->command->collect(b->to, b->cursor, &b->rows);
	m->run = on_back;
	if (mailbox_post(&b->from->mailbox, m, 0) != 0)
		batch_free(b); /* that one has ended, and its session */
}

/* Have the batch filled. False: it is away. */
static bool fill(struct admin_gather *g)
{
	struct batch *b = g->batch;

	admin_rows_reset(&b->rows);
	if (b->to == b->from) {
		b->more = b->command->collect(b->to, b->cursor, &b->rows);
		return true;
	}
	b->mail.run = on_there;
	mailbox_hold(&b->from->mailbox);
	if (mailbox_post(&b->to->mailbox, &b->mail, 0) != 0) {
		mailbox_release(&b->from->mailbox);
		b->closed = true;
		return true;
	}
	g->away = true;
	g->looked = false;
	g->late_ns = uv_hrtime() + LATE_MS * 1000000ull;
	return false;
}

static void drop_batch(struct admin_gather *g)
{
	if (g->batch == NULL)
		return;
	if (g->away)
		g->batch->gather = NULL;
	else
		batch_free(g->batch);
	g->batch = NULL;
	g->away = false;
}

struct admin_gather *admin_gather_new(struct admin_run *run,
				      const struct admin_command *command,
				      struct worker *only, const void *cursor)
{
	struct admin_gather *g = mem_zalloc(sizeof(*g));
	const struct app *app = admin_worker(run)->app;

	if (g == NULL)
		return NULL;
	g->run = run;
	g->command = command;
	g->cursor = cursor;
	g->worker = only != NULL ? only : app->workers;
	g->last = only != NULL ? only : &app->workers[app->threads - 1];
	return g;
}

static uint64_t asked_ns(const struct admin_gather *g)
{
	return g->late_ns - LATE_MS * 1000000ull;
}

/* What keeps the worker from answering, as far as that was found. */
static void say_late(struct admin_gather *g)
{
	struct worker *own = admin_worker(g->run);
	char in[LUA_BUSY_TEXT];
	uint64_t since_ns;
	struct lua_busy busy;

	lua_preempt_look(&g->worker->vm, &busy);
	since_ns = busy.since_ns != 0 ? busy.since_ns : asked_ns(g);
	if (busy.seen_ns < asked_ns(g)) {
		snprintf(g->error, sizeof(g->error), "does not answer");
	} else {
		lua_preempt_text(&busy, &own->vm, in, sizeof(in));
		snprintf(g->error, sizeof(g->error),
			 "does not answer: fiber %llu '%s' has kept it for "
			 "%.1f s%s%s",
			 (unsigned long long)busy.fiber, busy.name,
			 (double)(uv_hrtime() - since_ns) / 1e9,
			 *in != '\0' ? ", in " : "", in);
	}
}

/* Shortly before it is late it is asked where it stands, unless ticks have found it. */
static enum admin_step wait_for(struct admin_gather *g)
{
	const struct worker *w = g->worker;
	uint64_t look_ns = g->late_ns - LOOK_MS * 1000000ull;
	struct lua_busy busy;

	if (!g->looked && uv_hrtime() >= look_ns) {
		g->looked = true;
		lua_preempt_look(&w->vm, &busy);
		if (busy.seen_ns < asked_ns(g))
			stuck_note(w);
	}
	admin_wake_at(g->run, g->looked ? g->late_ns : look_ns);
	return ADMIN_WAIT;
}

static enum admin_step give_up(struct admin_gather *g, const char *why,
			       const struct worker **ret_worker,
			       const char **ret_error)
{
	if (why != NULL) {
		snprintf(g->error, sizeof(g->error), "%s", why);
	} else {
		taint_set(TAINT_WORKER_STUCK);
		say_late(g);
	}
	*ret_error = g->error;
	*ret_worker = g->worker++;
	drop_batch(g);
	return ADMIN_MORE;
}

enum admin_step admin_gather_next(struct admin_gather *g,
				  struct admin_cell *cells,
				  const struct worker **ret_worker,
				  const char **ret_error)
{
	*ret_error = NULL;
	while (g->worker <= g->last) {
		if (g->batch == NULL) {
			g->batch = batch_new(g);
			if (g->batch == NULL)
				return admin_fail(g->run, "not enough memory");
			if (!fill(g))
				return wait_for(g);
		}
		if (g->away) {
			if (uv_hrtime() >= g->late_ns)
				return give_up(g, NULL, ret_worker, ret_error);
			return wait_for(g);
		}
		*ret_worker = g->worker;
		if (admin_rows_take(&g->batch->rows, cells))
			return ADMIN_MORE;
		if (g->batch->closed)
			return give_up(g, "is ending", ret_worker, ret_error);
		if (g->batch->more && g->batch->rows.bytes.size == 0)
			return give_up(g, "has not enough memory", ret_worker,
				       ret_error);
		if (!g->batch->more) {
			drop_batch(g);
			g->worker++;
		} else if (!fill(g)) {
			return wait_for(g);
		}
	}
	return ADMIN_DONE;
}

void admin_gather_free(struct admin_gather *g)
{
	if (g == NULL)
		return;
	drop_batch(g);
	mem_free(g);
}

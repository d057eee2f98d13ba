/*
 * What SIGQUIT has the log told. See dump.h.
 *
 * It is a session of admin commands whose client is the log. One that reads slowly is
 * not waited for: the log drops what it cannot write, and counts it.
 */
#include "console/dump.h"

#include <stdatomic.h>
#include <string.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "console/admin_session.h"
#include "runtime/mailbox.h"
#include "runtime/signals.h"

enum { DUMP_MAX = 4 << 20 };

static const char commands[] = "show info; show workers; show listeners; "
			       "show requests; show modules; dump state";

/* One at a time: it belongs to who has set `taken`, then to the thread of worker 1. */
static struct {
	atomic_bool taken;
	atomic_bool begun; /* worker 1 has heard of it */
	struct app *app;
	struct mail mail;
	struct admin_session *session;
	struct timer timer; /* frees it, out of its own calls */
	struct timers *timers;
	size_t size;
	bool over;
} dump;

static void end(void)
{
	timer_stop(dump.timers, &dump.timer);
	admin_session_free(dump.session);
	dump.session = NULL;
	dump.begun = false;
	dump.taken = false;
}

static void on_over(struct timer *t)
{
	(void)t;
	end();
}

static void finish(void *arg)
{
	(void)arg;
	if (dump.over)
		return;
	dump.over = true;
	timer_start(dump.timers, &dump.timer, uv_hrtime(), on_over);
}

static void write_text(void *arg, const char *data, size_t size)
{
	(void)arg;
	if (dump.size >= DUMP_MAX)
		return;
	dump.size += size;
	while (size > 0 && data[size - 1] == '\n')
		size--;
	if (size > 0)
		log_write(LOG_WARN, NULL, 0, "state: %.*s", (int)size, data);
	if (dump.size < DUMP_MAX)
		return;
	log_warn("state: more than %d MiB: the rest is left out",
		 DUMP_MAX >> 20);
	finish(NULL);
}

/* On the thread of worker 1. */
static void begin(struct worker *w)
{
	static const struct admin_ops ops = {
		.write = write_text,
		.ready = finish,
		.leave = finish,
	};
	struct error *e;

	signals_heard_quit();
	dump.begun = true;
	dump.timers = &w->sched.timers;
	dump.size = 0;
	dump.over = false;
	dump.session = admin_session_new(w, ADMIN_OPERATOR, &ops, NULL);
	if (dump.session != NULL) {
		admin_session_feed(dump.session, commands,
				   sizeof(commands) - 1);
		return;
	}
	e = diag_take();
	log_error("SIGQUIT: %s", e->message);
	error_unref(e);
	end();
}

static void on_mail(struct mail *m, bool delivered)
{
	(void)m;
	if (delivered)
		begin(&dump.app->workers[0]);
	else
		dump.taken = false;
}

void dump_begin(struct app *app)
{
	struct worker *w = &app->workers[0];

	if (atomic_exchange(&dump.taken, true)) {
		if (dump.begun)
			signals_heard_quit();
		return;
	}
	dump.app = app;
	if (worker_self() == w) {
		begin(w);
		return;
	}
	dump.mail.run = on_mail;
	if (mailbox_post(&w->mailbox, &dump.mail, 0) != 0)
		dump.taken = false;
}

void dump_end(const struct app *app)
{
	if (dump.begun && dump.app == app)
		end();
}

/*
 * What SIGQUIT has the log told. See dump.h.
 *
 * It is a session of admin commands whose client is the log. One that reads slowly is
 * not waited for: the log drops what it cannot write, and counts it.
 */
#include "console/dump.h"

#include <string.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/log.h"
#include "console/admin_session.h"

enum { DUMP_MAX = 4 << 20 };

static const char commands[] = "show info; show workers; show listeners; "
			       "show requests; show modules; dump state";

static struct {
	struct admin_session *session; /* NULL: none is under way */
	struct timer timer;            /* frees it, out of its own calls */
	struct timers *timers;
	size_t size;
	bool over;
} dump;

static void on_over(struct timer *t)
{
	(void)t;
	dump_end();
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

void dump_begin(struct app *app)
{
	static const struct admin_ops ops = {
		.write = write_text,
		.ready = finish,
		.leave = finish,
	};
	struct worker *w = &app->workers[0];
	struct error *e;

	if (dump.session != NULL)
		return;
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
}

void dump_end(void)
{
	if (dump.session == NULL)
		return;
	timer_stop(dump.timers, &dump.timer);
	admin_session_free(dump.session);
	dump.session = NULL;
}

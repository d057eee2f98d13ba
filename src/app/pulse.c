/* Do the workers turn? See pulse.h. */
#include "app/pulse.h"

#include <uv.h>

#include "app/app.h"
#include "app/life.h"
#include "app/stuck.h"
#include "app/worker.h"
#include "base/log.h"

/* Also when it is not delivered: a worker that closes is not stuck. */
static void answer(struct mail *m, bool delivered)
{
	struct pulse *p = list_entry(m, struct pulse, mail);

	(void)delivered;
	__atomic_store_n(&p->asked, false, __ATOMIC_RELEASE);
}

static void ask(struct worker *w, uint64_t now)
{
	struct pulse *p = &w->pulse;

	p->mail.run = answer;
	p->asked_ns = now;
	__atomic_store_n(&p->asked, true, __ATOMIC_RELEASE);
	if (mailbox_post(&w->mailbox, &p->mail, 0) != 0) /* not open */
		__atomic_store_n(&p->asked, false, __ATOMIC_RELEASE);
}

/* Returns whether it turns. */
static bool look(struct worker *w, uint64_t now)
{
	struct pulse *p = &w->pulse;
	double seconds = (double)(now - p->asked_ns) / 1e9;
	char name[WORKER_NAME];

	if (!__atomic_load_n(&p->asked, __ATOMIC_ACQUIRE)) {
		if (p->told)
			log_warn("%s turns again", worker_name(w, name));
		p->told = false;
		ask(w, now);
		return true;
	}
	if (p->told)
		return false;
	p->told = true;
	log_error("%s is stuck: it has not turned for %.1f s",
		  worker_name(w, name), seconds);
	stuck_ask(w);
	life_worker_stuck(w, seconds);
	return false;
}

void pulse_ask_stuck(struct app *app)
{
	for (unsigned i = 0; i < app->threads; i++) {
		if (app->workers[i].pulse.told)
			stuck_ask(&app->workers[i]);
	}
}

void pulse_ask_all(struct app *app)
{
	for (unsigned i = 0; i < app->threads; i++)
		stuck_ask(&app->workers[i]);
}

bool pulse_beat(struct app *app)
{
	uint64_t now = uv_hrtime();
	bool all = true;

	for (unsigned i = 0; i < app->threads; i++)
		all &= look(&app->workers[i], now);
	return all;
}

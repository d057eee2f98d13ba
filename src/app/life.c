/*
 * Events of the server's own life. See life.h.
 *
 * Each worker loads the same certificates, and a reload loads all of them again: what is
 * told is that a file has another certificate than before, once for the process. What a
 * generation loads before it serves is told when it does: if it never does, nothing has
 * changed.
 */
#include "app/life.h"

#include <pthread.h>
#include <string.h>

#include "app/app.h"
#include "app/taint.h"
#include "app/worker.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "net/listen_share.h"
#include "net/listener.h"
#include "net/tls_context.h"

enum {
	CERTIFICATES_MAX = 1024, /* of more files nothing is told */
	ADDRESS_SIZE = 200,
	FIELDS_MAX = 4,
};

struct certificate {
	char *file;
	char fingerprint[65]; /* of what serves; empty: nothing yet */
	char loaded[65];      /* by a generation that does not serve yet: */
	unsigned loaded_by;   /* 0: none */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct certificate certificates[CERTIFICATES_MAX];
static unsigned certificate_count;
static unsigned serving = 1; /* the youngest generation that does */

static struct event_field text_field(const char *name, const char *text)
{
	return (struct event_field){ .name = name, .text = text };
}

static struct event_field number_field(const char *name, double number)
{
	return (struct event_field){ .name = name, .number = number };
}

/* --- what layers below tell --- */

static void on_listener(bool opened, const char *name,
			const struct listen_address *bound)
{
	struct event_field fields[FIELDS_MAX];
	char address[ADDRESS_SIZE];
	unsigned n = 0;

	listen_address_format(bound, address, sizeof address);
	fields[n++] = text_field("address", address);
	if (name != NULL)
		fields[n++] = text_field("name", name);
	events_publish(opened ? EVENT_LISTENER_ADD : EVENT_LISTENER_DEL, fields,
		       n);
}

/* That of @a file, a new one if there is none; NULL: there is no room. */
static struct certificate *certificate_of(const char *file)
{
	struct certificate *c = certificates;
	struct certificate *end = c + certificate_count;

	while (c < end && strcmp(c->file, file) != 0)
		c++;
	if (c < end)
		return c;
	if (certificate_count == CERTIFICATES_MAX)
		return NULL;
	memset(c, 0, sizeof *c);
	c->file = mem_strdup(file);
	if (c->file == NULL)
		return NULL;
	certificate_count++;
	return c;
}

static void tell_certificate(const struct certificate *c)
{
	struct event_field fields[] = {
		text_field("name", c->file),
		text_field("fingerprint", c->fingerprint),
	};

	events_publish(EVENT_CERTIFICATE_NEW, fields, 2);
}

/* It serves. Told is another one than the file had before. */
static void set_certificate(struct certificate *c, const char *fingerprint)
{
	bool changed = c->fingerprint[0] != '\0' &&
		       strcmp(c->fingerprint, fingerprint) != 0;

	memcpy(c->fingerprint, fingerprint, sizeof c->fingerprint);
	if (changed)
		tell_certificate(c);
}

/* Generation @a number serves. */
static void commit_certificates(unsigned number)
{
	pthread_mutex_lock(&lock);
	serving = number;
	for (unsigned i = 0; i < certificate_count; i++) {
		struct certificate *c = &certificates[i];

		if (c->loaded_by == number)
			set_certificate(c, c->loaded);
	}
	pthread_mutex_unlock(&lock);
}

static void note_certificate(const char *file, const char *fingerprint)
{
	const struct worker *w = worker_self();
	unsigned generation = w == NULL ? 0 : w->app->generation;
	struct certificate *c;
	char text[65] = "";

	strncpy(text, fingerprint, sizeof text - 1);
	pthread_mutex_lock(&lock);
	c = certificate_of(file);
	if (c != NULL && generation > serving) {
		memcpy(c->loaded, text, sizeof text);
		c->loaded_by = generation;
	} else if (c != NULL) {
		set_certificate(c, text);
	}
	pthread_mutex_unlock(&lock);
}

static void on_certificate(const char *file, const char *fingerprint,
			   const char *why)
{
	struct event_field fields[] = {
		text_field("name", file),
		text_field("error", why),
	};

	if (why == NULL)
		note_certificate(file, fingerprint);
	else
		events_publish(EVENT_CERTIFICATE_FAIL, fields, 2);
}

static void on_module(enum cmod_change change, const char *file)
{
	static const enum event_type types[] = {
		[CMOD_LOADED] = EVENT_MODULE_LOAD,
		[CMOD_REPLACED] = EVENT_MODULE_REPLACE,
		[CMOD_UNLOADED] = EVENT_MODULE_UNLOAD,
	};
	struct event_field field = text_field("path", file);

	if (change == CMOD_REPLACED)
		taint_set(TAINT_MODULE_REPLACED);
	events_publish(types[change], &field, 1);
}

void life_watch(void)
{
	listen_share_set_watch(on_listener);
	tls_context_set_watch(on_certificate);
	cmod_set_watch(on_module);
}

void life_end(void)
{
	listen_share_set_watch(NULL);
	tls_context_set_watch(NULL);
	cmod_set_watch(NULL);
	while (certificate_count > 0)
		mem_free(certificates[--certificate_count].file);
	memset(certificates, 0, sizeof certificates);
	serving = 1;
}

/* --- what the application tells --- */

static unsigned worker_fields(const struct worker *w,
			      struct event_field fields[static FIELDS_MAX])
{
	fields[0] = number_field("worker", w->id);
	fields[1] = number_field("generation", w->app->generation);
	return 2;
}

void life_worker_started(struct worker *w)
{
	struct event_field fields[FIELDS_MAX];

	if (w->told)
		return;
	w->told = true;
	events_publish(EVENT_WORKER_START, fields, worker_fields(w, fields));
}

void life_worker_stops(const struct worker *w)
{
	struct event_field fields[FIELDS_MAX];
	unsigned n = worker_fields(w, fields);
	bool replaced = app_end_reason(w->app) == APP_END_REPLACED;

	if (!w->told)
		return;
	fields[n++] = text_field("reason", replaced ? "reload" : "end");
	events_publish(EVENT_WORKER_STOP, fields, n);
}

void life_worker_stuck(const struct worker *w, double seconds)
{
	struct event_field fields[FIELDS_MAX];
	unsigned n = worker_fields(w, fields);

	fields[n++] = number_field("seconds", seconds);
	taint_set(TAINT_WORKER_STUCK);
	events_publish(EVENT_WORKER_STUCK, fields, n);
}

void life_reload(enum event_type type, unsigned generation, const char *why)
{
	struct event_field fields[FIELDS_MAX];
	unsigned n = 0;

	if (type == EVENT_RELOAD_FAILED)
		taint_set(TAINT_RELOAD_FAILED);
	if (type == EVENT_RELOAD_DONE)
		commit_certificates(generation);
	fields[n++] = number_field("generation", generation);
	if (why != NULL)
		fields[n++] = text_field("error", why);
	events_publish(type, fields, n);
}

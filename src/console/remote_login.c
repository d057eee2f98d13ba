/*
 * Who may speak on a connection of a remote console, and for how long: the password,
 * and the time until it is told; and how long a client may be silent. See
 * remote_parts.h.
 */
#include <string.h>

#include "app/worker.h"
#include "base/log.h"
#include "console/remote_parts.h"

enum {
	LOGIN_MS = 10000, /* for the handshake of TLS and the password */
	DENY_MS = 1000,   /* until a wrong password is told */
	ATTEMPTS_MAX = 3, /* of a connection */
};

static void on_silent(struct timer *t)
{
	struct connection *c = list_entry(t, struct connection, patience);

	if (session_is_busy(&c->session))
		return; /* on_ready() begins to count again */
	if (!c->stranger)
		log_info("console '%s': %s: idle for too long", c->remote->path,
			 c->who);
	remote__close(c);
}

static void expect_within(struct connection *c, uint64_t ns)
{
	if (ns != 0)
		timer_start(&c->remote->worker->sched.timers, &c->patience,
			    uv_hrtime() + ns, on_silent);
}

void remote__expect_login(struct connection *c)
{
	expect_within(c, LOGIN_MS * 1000000ull);
}

void remote__note_activity(struct connection *c)
{
	if (!c->stranger && !c->closing)
		expect_within(c, c->idle_ns);
}

static void on_denied(struct timer *t)
{
	struct connection *c = list_entry(t, struct connection, timer);

	c->denied = false;
	remote__write_error(c, "wrong password");
	if (++c->attempts >= ATTEMPTS_MAX)
		remote__leave(c);
	else
		remote__work(c);
}

/* The password that the line tells; NULL: it tells none. Where admin commands are spoken
 * they have no backslash, and may have one. */
static const char *password_in(const struct connection *c, const char *line,
			       size_t *size)
{
	static const char word[] = "\\login ";
	bool bare = c->remote->admin && *size > 0 && *line != *word;
	size_t n = sizeof word - 1 - bare;

	if (*size < n || memcmp(line, word + bare, n) != 0)
		return NULL;
	*size -= n;
	return line + n;
}

void remote__log_in(struct connection *c, const char *line, size_t size)
{
	const char *good = c->remote->admin ? "\n" : "---\n- true\n...\n";
	const char *password;

	if (session_is_protocol(&c->session, line, size))
		return; /* a program that has not read who it talks to */
	password = password_in(c, line, &size);
	if (password != NULL &&
	    remote_secret_is(c->remote->password, password, size)) {
		c->stranger = false;
		c->remote->strangers--;
		timer_stop(&c->remote->worker->sched.timers, &c->patience);
		remote__note_activity(c);
		log_info("console '%s': %s has logged in", c->remote->path,
			 c->who);
		remote__write(c, good, strlen(good));
		remote__begin_session(c);
		return;
	}
	log_warn("console '%s': %s: wrong password", c->remote->path, c->who);
	c->denied = true;
	timer_start(&c->remote->worker->sched.timers, &c->timer,
		    uv_hrtime() + DENY_MS * 1000000ull, on_denied);
}

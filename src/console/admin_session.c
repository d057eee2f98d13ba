/* A session of admin commands. See admin_session.h. */
#include "console/admin_session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/list.h"
#include "base/siphash.h"
#include "console/admin_run.h"

enum {
	LINE_MAX_SIZE = 16 << 10,
	PAYLOAD_MAX = 128 << 10,
	OUT_KEPT = 32 << 10, /* memory, between answers */
	TURN_NS = 1000000,   /* then others come first */
};

struct admin_session {
	const struct admin_ops *ops;
	void *arg;
	struct list link; /* all */
	uint64_t id;
	uint64_t since_ns;
	enum admin_level level;
	enum admin_prompt mode;
	struct buf line;    /* the one that runs, cut into words */
	struct buf shown;   /* and whole */
	char *at;           /* what of it is to be run */
	struct buf payload; /* lines behind "<<" */
	struct buf mark;    /* what ends them */
	bool collecting;    /* those lines */
	bool too_long;      /* they were */
	bool lost; /* the line was not understood, and may have asked for such */
	bool has_payload;
	bool busy;  /* a line runs */
	bool going; /* inside go() */
	bool full;  /* the client's */
	bool leaving;
	bool to_lua;
	struct admin_run run;
	char prompt[48];
};

/* Of the thread that serves them: while a server reloads there are two. */
static __thread struct list all_here;

static struct list *all(void)
{
	if (all_here.next == NULL)
		list_init(&all_here);
	return &all_here;
}

static void hand_on(struct admin_session *a)
{
	struct buf *out = &a->run.out;

	if (out->size == 0)
		return;
	a->ops->write(a->arg, out->data, out->size);
	buf_reset(out, OUT_KEPT);
	a->full = a->ops->is_full != NULL && a->ops->is_full(a->arg);
}

/* --- one line --- */

/* Its answers are all handed on. The session may be gone behind this. */
static void finish_line(struct admin_session *a)
{
	a->busy = a->has_payload = false;
	a->leaving |= a->mode == ADMIN_PROMPT_ONCE;
	buf_reset(&a->line, 0);
	buf_reset(&a->shown, 0);
	buf_reset(&a->payload, 0);
	if (a->leaving) {
		a->ops->leave(a->arg);
	} else if (a->to_lua) {
		a->to_lua = false;
		a->ops->lua(a->arg);
	} else {
		a->ops->ready(a->arg);
	}
}

static bool is_last(const struct admin_session *a)
{
	return a->at[strspn(a->at, " \t;")] == '\0';
}

/* Lines belong to the command that asked for them, at the end of the line. Returns 0,
 * or -1 with diag set. */
static int take_payload(struct admin_session *a)
{
	const char *mark;

	a->run.payload = NULL;
	if (!admin_line_wants_payload(&a->run.words, &mark))
		return 0;
	if (strlen(mark) > ADMIN_MARK_MAX) {
		diag_set(IllegalParams,
			 "what ends the lines behind \"<<\" has at most %d "
			 "bytes",
			 ADMIN_MARK_MAX);
		return -1;
	}
	if (a->has_payload && is_last(a)) {
		a->run.payload = &a->payload;
		return 0;
	}
	diag_set(IllegalParams,
		 "only the last command of a line takes lines behind \"<<\"");
	return -1;
}

/*
 * The answer is a failure: @a why, or diag. When the line may have asked for more, those
 * are not to be run as if they were commands: the session ends.
 */
static void refuse(struct admin_session *a, const char *why)
{
	struct error *e = why == NULL ? diag_take() : NULL;
	char text[1024];

	snprintf(text, sizeof(text), "%s%s", e != NULL ? e->message : why,
		 a->lost ? "; the session ends: what follows may be lines "
			   "behind \"<<\""
			 : "");
	if (e != NULL)
		error_unref(e);
	admin_run_refuse(&a->run, text);
	a->leaving |= a->lost;
	hand_on(a);
}

/* The next command of the line. False: there is none. */
static bool next_command(struct admin_session *a)
{
	int rc;

	do {
		if (a->leaving || a->to_lua)
			return false;
		rc = admin_line_next(&a->at, &a->run.words);
		if (rc > 0 && take_payload(a) != 0)
			rc = -1;
		if (rc < 0) {
			refuse(a, NULL);
			return false;
		}
	} while (rc > 0 && a->run.words.count == 0);
	return rc > 0;
}

/* Run what there is, until it waits, the client has to read, or others come first. */
static void go(struct admin_session *a)
{
	uint64_t end_ns = uv_hrtime() + TURN_NS;
	struct admin_run *run = &a->run;

	if (a->going || !a->busy || a->full || (run->waiting && !run->woken))
		return;
	a->going = true;
	while (!a->full) {
		bool on;

		if (run->command == NULL) {
			if (!next_command(a)) {
				a->going = false;
				finish_line(a);
				return;
			}
			on = admin_run_begin(run, a->level);
		} else {
			on = admin_run_step(run);
		}
		hand_on(a);
		if (run->command != NULL && !on)
			break; /* it waits */
		if (run->command == NULL || uv_hrtime() > end_ns) {
			admin_run_later(run); /* each command lets others run */
			break;
		}
	}
	a->going = false;
}

static void go_on(struct admin_run *run)
{
	go(run->session);
}

static void start_line(struct admin_session *a)
{
	a->busy = true;
	a->at = a->line.data;
	a->full = a->ops->is_full != NULL && a->ops->is_full(a->arg);
	go(a);
}

static void fail_line(struct admin_session *a, const char *why)
{
	a->run.json = false;
	refuse(a, why);
	finish_line(a);
}

/* --- lines come --- */

static void tell(struct admin_session *a, const char *line, size_t size,
		 size_t payload)
{
	if (a->ops->begin != NULL)
		a->ops->begin(a->arg, line, size, payload);
}

/* The line that waited for others has them, or will never have. */
static void tell_collected(struct admin_session *a)
{
	tell(a, a->shown.data, a->shown.size - 1, a->payload.size);
}

/* Does the last command ask for more lines? Returns 0 or -1: no memory. */
static int find_mark(struct admin_session *a)
{
	struct buf copy = { 0 };
	struct admin_words w;
	const char *mark = "";
	bool found = false;
	int rc;

	if (buf_append(&copy, a->line.data, a->line.size) != 0)
		return -1;
	for (char *at = copy.data; (rc = admin_line_next(&at, &w)) > 0;)
		if (w.count > 0)
			found = admin_line_wants_payload(&w, &mark);
	diag_clear(); /* what is wrong is told when it runs */
	a->lost = a->lost && rc != 0;
	found = found && rc == 0;
	buf_reset(&a->mark, ADMIN_MARK_MAX + 1);
	rc = found ? buf_append(&a->mark, mark, strlen(mark) + 1) : 0;
	a->collecting = found && rc == 0;
	buf_destroy(&copy);
	return rc;
}

static void feed_payload(struct admin_session *a, const char *line, size_t size)
{
	bool ends = size + 1 == a->mark.size &&
		    memcmp(line, a->mark.data, size) == 0;

	if (!ends) {
		a->too_long |= a->payload.size + size + 1 > PAYLOAD_MAX ||
			       buf_append(&a->payload, line, size) != 0 ||
			       buf_putc(&a->payload, '\n') != 0;
		a->ops->ready(a->arg);
		return;
	}
	a->collecting = false;
	tell_collected(a);
	if (a->too_long) {
		fail_line(a, "the lines behind \"<<\" are more than 128 KiB");
		return;
	}
	a->has_payload = true;
	start_line(a);
}

/* Why the line cannot be kept, or NULL. */
static const char *keep_line(struct admin_session *a, const char *line,
			     size_t size)
{
	a->line.size = a->shown.size = 0;
	a->lost = admin_line_may_want_payload(line, size);
	if (size > LINE_MAX_SIZE)
		return "a line of more than 16 KiB";
	if (memchr(line, '\0', size) != NULL)
		return "a line with a zero byte";
	if (buf_append(&a->line, line, size) != 0 ||
	    buf_putc(&a->line, '\0') != 0 ||
	    buf_append(&a->shown, line, size) != 0 ||
	    buf_putc(&a->shown, '\0') != 0 || find_mark(a) != 0)
		return "not enough memory";
	return NULL;
}

void admin_session_feed(struct admin_session *a, const char *line, size_t size)
{
	const char *why;

	assert(!a->busy);
	if (line == NULL) {
		a->leaving = true;
		if (!a->collecting) {
			finish_line(a);
			return;
		}
		a->collecting = false;
		tell_collected(a);
		fail_line(a, "the lines behind \"<<\" have no end");
		return;
	}
	if (a->collecting) {
		feed_payload(a, line, size);
		return;
	}
	why = keep_line(a, line, size);
	if (why != NULL || !a->collecting)
		tell(a, line, size, SIZE_MAX);
	if (why != NULL) {
		fail_line(a, why);
		return;
	}
	a->too_long = false;
	if (a->collecting)
		a->ops->ready(a->arg);
	else
		start_line(a);
}

bool admin_session_take_failed(struct admin_session *a)
{
	bool failed = a->run.failed;

	a->run.failed = false;
	return failed;
}

bool admin_session_is_busy(const struct admin_session *a)
{
	return a->busy;
}

bool admin_session_is_collecting(const struct admin_session *a)
{
	return a->collecting;
}

void admin_session_drained(struct admin_session *a)
{
	if (!a->full)
		return;
	a->full = a->ops->is_full(a->arg);
	go(a);
}

void admin_session_typed(struct admin_session *a)
{
	a->run.interrupted = true;
	admin_wake(&a->run);
}

void admin_session_interrupt(struct admin_session *a)
{
	if (a->collecting) {
		a->collecting = false;
		tell_collected(a);
		buf_reset(&a->payload, 0);
		return;
	}
	if (!a->busy)
		return;
	a->run.interrupted = true;
	a->at = a->line.data + a->line.size - 1; /* nothing follows */
	if (a->going)
		return; /* it looks by itself */
	if (a->run.command != NULL) {
		admin_run_abort(&a->run, "interrupted");
		hand_on(a);
	}
	a->run.waiting = false;
	admin_run_later(&a->run);
}

/* --- the session itself --- */

struct admin_session *admin_session_new(struct worker *w,
					enum admin_level level,
					const struct admin_ops *ops, void *arg)
{
	static _Atomic uint64_t last_id;
	struct admin_session *a = mem_zalloc(sizeof(*a));

	if (a == NULL) {
		diag_set_oom(sizeof(*a), "a session of the console");
		return NULL;
	}
	a->ops = ops;
	a->arg = arg;
	a->level = level;
	a->mode = ADMIN_PROMPT_SILENT;
	a->id = ++last_id;
	a->since_ns = uv_hrtime();
	admin_run_create(&a->run, a, w, go_on);
	list_add_tail(all(), &a->link);
	return a;
}

void admin_session_free(struct admin_session *a)
{
	if (a == NULL)
		return;
	a->busy = false;
	admin_run_destroy(&a->run);
	list_del(&a->link);
	buf_destroy(&a->line);
	buf_destroy(&a->shown);
	buf_destroy(&a->payload);
	buf_destroy(&a->mark);
	mem_free(a);
}

static void put_time(char *to, size_t room, uint64_t seconds)
{
	snprintf(to, room, "[%u:%02u:%02u:%02u]> ", (unsigned)(seconds / 86400),
		 (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
		 (unsigned)(seconds % 60));
}

const char *admin_session_prompt(struct admin_session *a)
{
	if (a->mode < ADMIN_PROMPT_SHOWN)
		return "";
	if (a->collecting)
		return "+ ";
	if (a->mode == ADMIN_PROMPT_SHOWN)
		return "> ";
	put_time(a->prompt, sizeof(a->prompt),
		 (uv_hrtime() - a->since_ns) / 1000000000);
	return a->prompt;
}

void admin_session_set_mode(struct admin_session *a, enum admin_prompt mode)
{
	a->mode = mode;
}

enum admin_prompt admin_session_mode(const struct admin_session *a)
{
	return a->mode;
}

void admin_session_set_severity(struct admin_session *a, enum admin_severity s)
{
	a->run.severity = s;
}

void admin_session_set_level(struct admin_session *a, enum admin_level level)
{
	a->level = level;
}

int admin_session_set_anon(struct admin_session *a, const char *key)
{
	static const struct siphash_key first = { 0x6e656170, 1 },
					second = { 0x6e656170, 2 };
	struct siphash_key *to = &a->run.anon_key;

	a->run.anon = key != NULL;
	if (key != NULL && *key == '\0')
		*to = siphash_random_key();
	else if (key != NULL)
		*to = (struct siphash_key){
			siphash24(&first, key, strlen(key)),
			siphash24(&second, key, strlen(key)),
		};
	return 0;
}

bool admin_session_set_idle(struct admin_session *a, uint64_t ns)
{
	return a->ops->set_idle != NULL && a->ops->set_idle(a->arg, ns);
}

void admin_session_leave(struct admin_session *a)
{
	a->leaving = true;
}

void admin_session_to_lua(struct admin_session *a)
{
	a->to_lua = true;
}

enum admin_level admin_session_level(const struct admin_session *a)
{
	return a->level;
}

bool admin_session_has_lua(const struct admin_session *a)
{
	return a->ops->lua != NULL && a->level == ADMIN_ADMIN;
}

uint64_t admin_session_id(const struct admin_session *a)
{
	return a->id;
}

void admin_session_each(bool (*fn)(struct admin_session *a, void *arg),
			void *arg)
{
	list_foreach(link, all())
		if (!fn(list_entry(link, struct admin_session, link), arg))
			return;
}

void admin_session_look(const struct admin_session *a,
			struct admin_session_info *ret)
{
	*ret = (struct admin_session_info){
		.id = a->id,
		.level = a->level,
		.command = a->run.command != NULL ? a->run.command->words
						  : NULL,
		.commands = a->run.commands,
		.since_ns = a->since_ns,
	};
}

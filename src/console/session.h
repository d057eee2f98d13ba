/*
 * A console session, whatever carries it: lines in, text out. Each line is
 * evaluated in a fiber of its own, so it may wait; the carrier gives the next
 * one when the session is ready again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "console/admin_session.h"
#include "console/scan.h"

struct lua_State;
struct lua_fiber;
struct lua_vm;
struct session;

enum {
	/* Lines of one input, together: what is longer is refused. */
	SESSION_INPUT_MAX = 1024 * 1024,
	/* An input of at most so many bytes is compiled at each line. */
	SESSION_SMALL_MAX = 4096,
	/* How often a larger one is, although that was in vain. */
	SESSION_VAIN_MAX = 16,
	SESSION_MARKER_MAX = 64, /* bytes of what ends an input, if not Lua */
	SESSION_PROMPT_MAX = 64,
};

/** Each of the @a candidates with a NUL behind, for the text from @a start on. @a arg
 * is the carrier's. */
typedef void (*session_candidates_f)(void *arg, size_t start,
				     const struct buf *candidates);

struct session_line {
	const char *text;
	size_t size;
	bool admin; /* of admin commands; else of Lua, or with a backslash */
	size_t payload; /* as in admin_ops */
};

struct session_ops {
	/** Text for the user; valid during the call. */
	void (*write)(struct session *s, const char *data, size_t size);
	/**
	 * The line is dealt with; the next one may be fed, also from here.
	 * @a entry is the whole input when one was complete (for a history),
	 * else NULL.
	 */
	void (*ready)(struct session *s, const char *entry);
	/** The user wants to leave; the session takes no more lines. */
	void (*leave)(struct session *s);
	/** Is so much unread that no more is to be written for now? Then
	 * session_drained() follows. NULL: never. */
	bool (*is_full)(struct session *s);
	/** A fiber, s->fiber_id, is about to evaluate. May be NULL. */
	void (*begin)(struct session *s);
	/** See admin_ops. */
	bool (*set_idle)(struct session *s, uint64_t ns);
	/** A line of the user's is about to be evaluated. May be NULL. */
	void (*line)(struct session *s, const struct session_line *line);
};

struct session {
	struct lua_vm *vm;
	const struct session_ops *ops;
	void *arg;               /* the carrier's */
	int state_ref;           /* registry: the Lua half's state */
	struct lua_fiber *fiber; /* evaluates now; NULL: none */
	uint64_t fiber_id;       /* its id: one abandoned at the end is gone */
	bool continuing;         /* an input has begun and wants more lines */
	struct buf input;        /* its lines so far */
	struct scan scan;        /* what is open at their end */
	size_t tried_size;       /* how much there was when last compiled */
	size_t tried_tokens;     /* the same in tokens */
	unsigned vain; /* compiled with nothing open, and found unfinished */
	struct admin_session *admin;        /* NULL: was never asked for */
	bool in_admin;                      /* lines are admin commands */
	char frame[SESSION_MARKER_MAX + 1]; /* a line that ends inputs, and
					     * answers, too; "": none does */
	struct buf question; /* a "\\complete" that is not yet answered */
	struct lua_fiber *completer; /* asks for candidates; NULL: none */
	uint64_t completer_id;
	size_t complete_size; /* of the text it asks for */
	session_candidates_f on_candidates;
	/* What the Lua half has asked for: */
	char marker[SESSION_MARKER_MAX + 1]; /* "": Lua itself ends an input */
	bool elsewhere;       /* lines are evaluated by another process .. */
	bool admin_elsewhere; /* .. which takes them for admin commands */
	bool in_part;         /* what is written is not the whole answer */
	char prompt[SESSION_PROMPT_MAX + 1]; /* "": the carrier's own */
};

/** What a person in front of a screen gets. */
struct session_screen {
	bool colours;
	const char *history; /* its file, for a look into it; NULL: none */
};

/** Returns 0, or -1 with diag set. The memory is the caller's. */
int session_create(struct session *s, struct lua_vm *vm,
		   const struct session_ops *ops, void *arg);

/**
 * A person reads the answers: large values are cut, errors come with where they
 * happened. Without, they are whole and nothing else. Returns 0, or -1 with diag
 * set.
 */
int session_set_screen(struct session *s, const struct session_screen *screen);

/**
 * Run the Lua file @a init (NULL: none) and what scripts want run at the start of
 * a session; ready or leave follows as for a line. Returns 0, or -1 with diag set.
 */
int session_begin(struct session *s, const char *init);

/**
 * Forget the session. A fiber that evaluates is cancelled, and nobody hears
 * of its end.
 */
void session_destroy(struct session *s);

/**
 * Evaluate a line, without its newline (text with newlines is several lines
 * at once). NULL is the end of the input: lines begun are not complete and are
 * told as an error. The session must not be busy. ops->ready or ops->leave
 * follows, perhaps from inside. Returns 0, or -1 with diag set: the line and
 * those begun are lost.
 *
 * A large input is not compiled at each of its lines: only when nothing is open
 * at its end, and each time it has doubled, so that what is wrong inside is
 * told before the end. All lines together cost as much as a few compiles of
 * the whole.
 */
int session_feed(struct session *s, const char *line, size_t size);

/** Is the line no text of the user's, but what his program says to ours? */
bool session_is_protocol(const struct session *s, const char *line,
			 size_t size);

/** Cancel what is evaluated, or else forget the lines begun. */
void session_interrupt(struct session *s);

static inline bool session_is_busy(const struct session *s)
{
	return s->fiber != NULL ||
	       (s->in_admin && admin_session_is_busy(s->admin));
}

/**
 * Lines are admin commands from here on, of level @a level at most. With the level
 * admin, Lua can be had back: by the command `lua`, or as `\\set language lua`.
 * Returns 0, or -1 with diag set.
 */
int session_use_admin(struct session *s, enum admin_level level);

/** Is the line nothing but the end of an input that has been answered? */
bool session_ends_answer(const struct session *s, const char *line,
			 size_t size);

/** The client has sent something, and @a pending is all that has not been fed: what runs
 * until then ends, unless that is only the rest of the input that runs. */
void session_typed(struct session *s, const char *pending, size_t size);

/** What goes on until the client sends something ends. */
void session_end_following(struct session *s);

/** Has an input begun, or lines behind "<<", that the end of all would cut? */
static inline bool session_wants_more(const struct session *s)
{
	return s->in_admin ? admin_session_is_collecting(s->admin)
			   : s->continuing;
}

/** There is room again: see is_full(). */
void session_drained(struct session *s);

/**
 * What could stand in the place of the end of @a text: @a fn is told once, perhaps from
 * inside, and of a session that is destroyed not at all. Runs no Lua code but our own.
 */
void session_complete(struct session *s, const char *text, size_t size,
		      session_candidates_f fn);

/* --- among the parts of a session --- */

/** Write the whole answer to an input. @a status: "ok", "error" or "leave". */
void session__answer(struct session *s, const char *text, size_t size,
		     const char *status);

/** Of Lua: show(text) -> boolean. Writes a part of the answer of the
 * session whose input the running fiber evaluates; false: its client has so much unread that
 * no more is to follow for now. */
int session_lua_show(struct lua_State *L);

/** Is the line the end of a framed input? */
bool session__is_end(const struct session *s, const char *line, size_t size);

/** Is there more in @a pending, what has come and was not fed, than the rest of the input
 * that runs? */
bool session__is_behind(const struct session *s, const char *pending,
			size_t size);

/** Deal with a line that is of the protocol's. Returns 1; 0: it is none, or the end of an
 * input of Lua; -1 with diag set. */
int session__feed_protocol(struct session *s, const char *line, size_t size);

/** Candidates into @a out; returns where they start. Not for lines that go elsewhere. */
size_t session__complete_here(struct session *s, const char *text, size_t size,
			      struct buf *out);

/** Nobody wants candidates any more. */
void session__complete_stop(struct session *s);

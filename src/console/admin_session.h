/*
 * A session of admin commands: lines in, answers out, whatever carries them. An
 * answer ends in an empty line, and has none within. Commands of one line run one
 * after the other, and let the loop turn in between; lines that come meanwhile wait
 * with the carrier.
 */
#pragma once

#include "console/admin_run.h"

struct admin_session;

struct admin_ops {
	/** Text for the client; valid during the call. */
	void (*write)(void *arg, const char *data, size_t size);
	/** Has the client so much unread that it gets no more for now?
	 * admin_session_drained() goes on then. NULL: never. */
	bool (*is_full)(void *arg);
	/** Everything fed is done: the next line may be. */
	void (*ready)(void *arg);
	/** The client wants to leave; no more lines are taken. */
	void (*leave)(void *arg);
	/** Lua from here on (admin level). NULL: there is none here. */
	void (*lua)(void *arg);
	/** The client may be silent for so long from now on. False, or NULL: it
	 * may for ever. */
	bool (*set_idle)(void *arg, uint64_t ns);
	/** A line is about to be run, or refused, with @a payload bytes of lines
	 * behind "<<"; SIZE_MAX: it has asked for none. May be NULL. */
	void (*begin)(void *arg, const char *line, size_t size, size_t payload);
};

/** A session's memory is its own: it is made here, and goes with the last that
 * knows it. */
struct admin_session *admin_session_new(struct worker *w,
					enum admin_level level,
					const struct admin_ops *ops, void *arg);

/** The client has gone: what runs is released. Nothing of ops is called any more.
 * NULL is fine. */
void admin_session_free(struct admin_session *a);

/** A line, without its newline; NULL: no more come. The session is not busy. */
void admin_session_feed(struct admin_session *a, const char *line, size_t size);

/** Has a command failed since this was asked last? */
bool admin_session_take_failed(struct admin_session *a);

bool admin_session_is_busy(const struct admin_session *a);

/** The next line is one behind "<<". */
bool admin_session_is_collecting(const struct admin_session *a);

/** There is room again. */
void admin_session_drained(struct admin_session *a);

/** The client sends something while a line runs: what follows something ends, as
 * admin_is_interrupted() tells it. */
void admin_session_typed(struct admin_session *a);

/** End what runs, or forget the lines that were begun. */
void admin_session_interrupt(struct admin_session *a);

/** Before the next line: "> ", "+ " for lines behind "<<", "" as long as nobody
 * asked for one; valid until the next call. */
const char *admin_session_prompt(struct admin_session *a);

/* --- for the commands of the session itself --- */

enum admin_prompt {
	ADMIN_PROMPT_ONCE,   /* the session ends behind its first line */
	ADMIN_PROMPT_SILENT, /* it goes on, without prompt */
	ADMIN_PROMPT_SHOWN,
	ADMIN_PROMPT_TIMED, /* shown, and how old the session is */
};

struct admin_session *admin_run_session(struct admin_run *run);
void admin_session_set_mode(struct admin_session *a, enum admin_prompt mode);
enum admin_prompt admin_session_mode(const struct admin_session *a);
void admin_session_set_severity(struct admin_session *a, enum admin_severity s);
/** A lower one; there is no way back. */
void admin_session_set_level(struct admin_session *a, enum admin_level level);
/** Hide names behind hashes under @a key, or a new one for ""; NULL: show them. Returns
 * 0. */
int admin_session_set_anon(struct admin_session *a, const char *key);
/** See admin_ops. */
bool admin_session_set_idle(struct admin_session *a, uint64_t ns);
/** Behind this command. */
void admin_session_leave(struct admin_session *a);
void admin_session_to_lua(struct admin_session *a);
enum admin_level admin_session_level(const struct admin_session *a);
bool admin_session_has_lua(const struct admin_session *a);
uint64_t admin_session_id(const struct admin_session *a);

/** Call @a fn with each session of this process; on worker 1's thread. */
void admin_session_each(bool (*fn)(struct admin_session *a, void *arg),
			void *arg);

/** What a session is at: its id, level, the command that runs or NULL, commands so
 * far, and since when it is there, on uv_hrtime()'s clock. */
struct admin_session_info {
	uint64_t id;
	enum admin_level level;
	const char *command;
	uint64_t commands;
	uint64_t since_ns;
};
void admin_session_look(const struct admin_session *a,
			struct admin_session_info *ret);

/*
 * What a program says to a session, and no person: "\frame TOKEN", behind which each input
 * ends with a line TOKEN, whatever is in it, and each answer with a line "TOKEN ok",
 * "TOKEN error" or "TOKEN leave" ("TOKEN ok admin" where lines are admin commands); and
 * then "\complete TEXT", whose answer is how many bytes of its end are replaced, and a
 * candidate a line.
 */
#include <lauxlib.h>
#include <string.h>

#include "base/diag.h"
#include "console/session.h"
#include "lua/lua_call.h"
#include "lua/lua_state.h"

static const char frame_word[] = "\\frame ";
static const char complete_word[] = "\\complete ";

static bool begins_with(const char *line, size_t size, const char *word)
{
	size_t n = strlen(word);

	return size > n && memcmp(line, word, n) == 0;
}

/* Nothing was begun that the line could be a part of. */
static bool is_at_start(const struct session *s)
{
	return !s->continuing && s->question.size == 0 &&
	       !(s->in_admin && admin_session_is_collecting(s->admin));
}

bool session__is_end(const struct session *s, const char *line, size_t size)
{
	size_t n = strlen(s->frame);

	return n > 0 && size == n && memcmp(line, s->frame, n) == 0;
}

bool session_ends_answer(const struct session *s, const char *line, size_t size)
{
	return s->in_admin && !s->continuing && session__is_end(s, line, size);
}

bool session__is_behind(const struct session *s, const char *pending,
			size_t size)
{
	const char *end;

	if (*s->frame == '\0')
		return true;
	while ((end = memchr(pending, '\n', size)) != NULL) {
		size_t n = (size_t)(end - pending);

		size -= n + 1;
		if (session__is_end(s, pending, n))
			return size > 0;
		pending = end + 1;
	}
	return false;
}

static bool asks_for_frames(const struct session *s, const char *line,
			    size_t size)
{
	return *s->frame == '\0' && is_at_start(s) &&
	       begins_with(line, size, frame_word) &&
	       size - strlen(frame_word) <= SESSION_MARKER_MAX &&
	       memchr(line, '\0', size) == NULL;
}

static bool asks_what_follows(const struct session *s, const char *line,
			      size_t size)
{
	return *s->frame != '\0' && is_at_start(s) &&
	       begins_with(line, size, complete_word);
}

bool session_is_protocol(const struct session *s, const char *line, size_t size)
{
	return session__is_end(s, line, size) ||
	       asks_for_frames(s, line, size) ||
	       asks_what_follows(s, line, size);
}

/* The Lua half has no delimiter of its own then. */
static void set_framed(lua_State *L, void *arg)
{
	struct session *s = arg;

	lua_rawgeti(L, LUA_REGISTRYINDEX, s->state_ref);
	lua_pushboolean(L, true);
	lua_setfield(L, -2, "framed");
	lua_pushnil(L);
	lua_setfield(L, -2, "marker");
}

static int begin_frames(struct session *s, const char *token, size_t size)
{
	if (lua_vm_protect(s->vm, set_framed, s) != 0)
		return -1;
	memcpy(s->frame, token, size);
	s->frame[size] = '\0';
	s->marker[0] = '\0';
	session__answer(s, "", 0, "ok");
	return 0;
}

static void answer_question(struct session *s)
{
	struct buf found = { .limit = 1024 * 1024 }, text = { 0 };
	const char *line = s->question.data + strlen(complete_word);
	size_t size = s->question.size - strlen(complete_word), start = size;

	if (!s->elsewhere || s->in_admin)
		start = session__complete_here(s, line, size, &found);
	buf_reset(&s->question, 0);
	buf_printf(&text, "%zu\n", size - start);
	for (size_t i = 0; i < found.size; i += strlen(found.data + i) + 1)
		if (strchr(found.data + i, '\n') == NULL)
			buf_printf(&text, "%s\n", found.data + i);
	session__answer(s, text.data, text.size, "ok");
	buf_destroy(&text);
	buf_destroy(&found);
}

/* An input of admin commands ends; its answers are there already. */
static void end_admin_input(struct session *s)
{
	static const char cut[] =
		"error: the lines behind \"<<\" have no end\n\n";
	bool failed = admin_session_take_failed(s->admin);

	if (admin_session_is_collecting(s->admin)) {
		admin_session_interrupt(s->admin);
		s->ops->write(s, cut, sizeof(cut) - 1);
		failed = true;
	}
	session__answer(s, "", 0, failed ? "error" : "ok");
}

int session__feed_protocol(struct session *s, const char *line, size_t size)
{
	size_t n = strlen(frame_word);

	if (asks_for_frames(s, line, size)) {
		if (begin_frames(s, line + n, size - n) != 0)
			return -1;
	} else if (asks_what_follows(s, line, size)) {
		if (buf_append(&s->question, line, size) != 0) {
			diag_set_oom(size, "a line");
			return -1;
		}
	} else if (s->question.size > 0 && session__is_end(s, line, size)) {
		answer_question(s);
	} else if (session_ends_answer(s, line, size)) {
		end_admin_input(s);
	} else {
		return 0;
	}
	s->ops->ready(s, NULL);
	return 1;
}

/* Admin commands of the session itself: help, prompts, levels, waiting, hashes. */
#include <limits.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "console/admin_commands.h"
#include "console/admin_session.h"

/* --- text that is made at once, and told in pieces --- */

struct text {
	struct buf buf;
	size_t told;
};

static enum admin_step tell_text(struct admin_run *run)
{
	enum { PIECE = 4096 };
	struct text *t = admin_context(run);

	while (t->told < t->buf.size) {
		size_t size = t->buf.size - t->told;

		size = size < PIECE ? size : PIECE;
		if (!admin_print(run, "%.*s", (int)size, t->buf.data + t->told))
			return ADMIN_MORE;
		t->told += size;
	}
	return ADMIN_DONE;
}

static void release_text(struct admin_run *run)
{
	struct text *t = admin_context(run);

	buf_destroy(&t->buf);
}

/* --- help --- */

static int parse_help(struct admin_run *run)
{
	struct text *t = admin_context(run);
	const struct admin_value *name = admin_arg(run, 0);
	char *words[ADMIN_WORDS_MAX], *rest = NULL;
	unsigned count = 0;
	bool json;
	int rc;

	if (name->given) {
		for (char *w = strtok_r((char *)name->text, " ", &rest);
		     w != NULL && count < ADMIN_WORDS_MAX;
		     w = strtok_r(NULL, " ", &rest))
			words[count++] = w;
	}
	json = count > 0 && strcmp(words[count - 1], "json") == 0;
	rc = admin_help(words, count - json, admin_run_level(run), json,
			&t->buf);
	if (rc > 0 || (rc == 0 && json))
		return 0;
	t->buf.size = 0;
	if (rc < 0 || admin_explain(words, count - json, admin_run_level(run),
				    &t->buf) != 0)
		admin_fail(run, "not enough memory");
	else
		admin_fail(run, "%.*s", (int)t->buf.size, t->buf.data);
	buf_destroy(&t->buf);
	return -1;
}

static const struct admin_arg help_args[] = {
	{ "command [json]", ADMIN_COMMAND, true, NULL,
	  "how its name begins; json: all that is declared" },
	{ .name = NULL },
};

static const struct admin_command help = {
	.words = "help",
	.help = "the commands, or those whose name begins so",
	.args = help_args,
	.open = true,
	.context = ADMIN_CONTEXT(struct text),
	.parse = parse_help,
	.io = tell_text,
	.release = release_text,
};

/* --- prompts and marks --- */

static int parse_prompt(struct admin_run *run)
{
	struct admin_session *a = admin_run_session(run);
	const struct admin_value *mode = admin_arg(run, 0);
	char letter = mode->given ? mode->text[0] : '\0';

	switch (letter) {
	case 'n':
		admin_session_set_mode(a, ADMIN_PROMPT_ONCE);
		break;
	case 'i':
		admin_session_set_mode(a, ADMIN_PROMPT_SILENT);
		break;
	case 't':
		admin_session_set_mode(a, ADMIN_PROMPT_TIMED);
		break;
	case 'p':
		admin_session_set_mode(a, ADMIN_PROMPT_SHOWN);
		break;
	default:
		admin_session_set_mode(a, admin_session_mode(a) ==
							  ADMIN_PROMPT_SHOWN
						  ? ADMIN_PROMPT_SILENT
						  : ADMIN_PROMPT_SHOWN);
	}
	return 0;
}

static const struct admin_arg prompt_args[] = {
	{ "mode", ADMIN_TEXT, true, "p|i|timed|n",
	  "p: shown; i: silent; timed: with the session's age; n: the session "
	  "ends behind this line" },
	{ .name = NULL },
};

static const struct admin_command prompt = {
	.words = "prompt",
	.help = "show a prompt, or none",
	.args = prompt_args,
	.parse = parse_prompt,
};

static int parse_severity(struct admin_run *run)
{
	const char *text = admin_arg(run, 0)->text;

	admin_session_set_severity(
		admin_run_session(run),
		strcmp(text, "number") == 0   ? ADMIN_SEVERITY_NUMBER
		: strcmp(text, "string") == 0 ? ADMIN_SEVERITY_STRING
					      : ADMIN_SEVERITY_NONE);
	return 0;
}

static const struct admin_arg severity_args[] = {
	{ "how", ADMIN_TEXT, false, "none|number|string",
	  "\"error: \", \"[3]: \" or \"[error]: \"" },
	{ .name = NULL },
};

static const struct admin_command set_severity = {
	.words = "set severity-output",
	.help = "how failures are marked",
	.args = severity_args,
	.parse = parse_severity,
};

/* --- levels --- */

static int lower(struct admin_run *run, enum admin_level level)
{
	if (admin_run_level(run) < level) {
		admin_fail(run, "there is no way up");
		return -1;
	}
	admin_session_set_level(admin_run_session(run), level);
	return 0;
}

static int parse_operator(struct admin_run *run)
{
	return lower(run, ADMIN_OPERATOR);
}

static int parse_user(struct admin_run *run)
{
	return lower(run, ADMIN_USER);
}

static const struct admin_command to_operator = {
	.words = "operator",
	.help = "lower this session's level to operator",
	.parse = parse_operator,
};

static const struct admin_command to_user = {
	.words = "user",
	.help = "lower this session's level to user",
	.parse = parse_user,
};

/* --- leaving --- */

static int parse_quit(struct admin_run *run)
{
	admin_session_leave(admin_run_session(run));
	return 0;
}

static const struct admin_command quit = {
	.words = "quit",
	.help = "leave",
	.parse = parse_quit,
};

static int parse_lua(struct admin_run *run)
{
	struct admin_session *a = admin_run_session(run);

	if (!admin_session_has_lua(a)) {
		admin_fail(run, "there is no Lua on this connection");
		return -1;
	}
	admin_session_to_lua(a);
	return 0;
}

static const struct admin_command to_lua = {
	.words = "lua",
	.level = ADMIN_ADMIN,
	.help = "Lua from here on; \\set language admin comes back",
	.parse = parse_lua,
};

/* --- small ones --- */

static enum admin_step tell_echo(struct admin_run *run)
{
	const struct admin_value *text = admin_arg(run, 0);

	return admin_print(run, "%s\n", text->given ? text->text : "")
		       ? ADMIN_DONE
		       : ADMIN_MORE;
}

static const struct admin_arg echo_args[] = {
	{ "text", ADMIN_TEXT, true, NULL, "what comes back" },
	{ .name = NULL },
};

static const struct admin_command echo = {
	.words = "echo",
	.help = "says it",
	.args = echo_args,
	.open = true,
	.io = tell_echo,
};

/* --- names that are not told --- */

static int parse_anon(struct admin_run *run)
{
	struct admin_session *a = admin_run_session(run);
	const struct admin_value *key = admin_arg(run, 1);

	if (strcmp(admin_arg(run, 0)->text, "on") == 0)
		return admin_session_set_anon(a, key->given ? key->text : "");
	if (key->given) {
		admin_fail(run, "a key is for \"set anon on\"");
		return -1;
	}
	return admin_session_set_anon(a, NULL);
}

static const struct admin_arg anon_args[] = {
	{ "state", ADMIN_TEXT, false, "on|off", "whether they are hidden" },
	{ "key", ADMIN_TEXT, true, NULL,
	  "the same key gives the same hashes; none: a new one" },
	{ .name = NULL },
};

static const struct admin_command set_anon = {
	.words = "set anon",
	.help = "names, addresses and paths as hashes, to be shown to others",
	.args = anon_args,
	.parse = parse_anon,
};

const struct admin_command *const admin_commands_session[] = {
	&help,    &prompt, &set_severity, &set_anon, &to_operator,
	&to_user, &quit,   &to_lua,       &echo,     NULL,
};

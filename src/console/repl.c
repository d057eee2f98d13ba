/*
 * The console on standard input and output. See repl.h.
 *
 * Answers go to standard output; prompts belong to the terminal, and only
 * appear when standard input is one.
 */
#include "console/repl.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "config/settings.h"
#include "console/history.h"
#include "console/init_file.h"
#include "console/reader.h"
#include "console/repl_output.h"
#include "console/session.h"

static const char prompt_first[] = "neap> ";
static const char prompt_more[] = "    > ";

struct repl {
	struct app *app;
	struct worker *worker;
	struct session session;
	struct reader reader;
	struct repl_output output;
	uv_signal_t resized;   /* SIGWINCH */
	uv_signal_t continued; /* SIGCONT */
	bool on_terminal;      /* standard input is one */
	bool airy;             /* an empty line between answer and prompt */
	bool editing;          /* with the line editor */
	bool leaving;
	bool ended; /* the end of input has come */
	/* What comes when all is written: */
	bool ready_waits, leave_waits;
	char *entry;      /* of on_ready() */
	int handles_open; /* of the reader and the two above */
	repl_left_f on_left;
	void *arg;
};

static struct repl *running;

/* What Ctrl-C is to end, for the signal handler, which may run on any thread. */
static _Atomic(struct sched *) evaluating_sched; /* NULL: nothing */
static _Atomic uint64_t evaluating_id;

/* What the terminal was like, for an end inside a signal handler. */
static struct termios terminal_before;
static bool terminal_known;

static void give_terminal_back(void)
{
	if (terminal_known)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

struct repl *repl_running(void)
{
	return running;
}

static void leave(struct repl *p)
{
	if (p->leaving)
		return;
	p->leaving = true;
	if (p->on_left != NULL)
		p->on_left(p, p->arg);
}

/* Of a terminal there always is one. */
static const char *admin_prompt(struct repl *p)
{
	struct admin_session *a = p->session.admin;

	if (p->on_terminal && admin_session_mode(a) == ADMIN_PROMPT_SILENT)
		admin_session_set_mode(a, ADMIN_PROMPT_SHOWN);
	return p->on_terminal ? admin_session_prompt(a) : "";
}

static void ask(struct repl *p, const char *remember)
{
	const char *prompt = "";

	if (p->leaving || app_is_ending(p->app))
		return;
	if (p->session.in_admin)
		prompt = admin_prompt(p);
	else if (p->on_terminal && p->session.continuing)
		prompt = prompt_more;
	else if (p->on_terminal)
		prompt = *p->session.prompt != '\0' ? p->session.prompt
						    : prompt_first;
	reader_ask(&p->reader, prompt, remember);
}

static void on_write(struct session *s, const char *data, size_t size)
{
	struct repl *p = s->arg;

	repl_output_write(&p->output, data, size);
	if (p->airy && !s->in_part)
		repl_output_write(&p->output, "\n", 1);
}

static bool on_is_full(struct session *s)
{
	struct repl *p = s->arg;

	return repl_output_is_full(&p->output);
}

/* Wait until all is written. Without memory for @a entry the history lacks it. */
static void wait_written(struct repl *p, const char *entry)
{
	p->ready_waits = true;
	mem_free(p->entry);
	p->entry = entry != NULL ? mem_strdup(entry) : NULL;
}

static void on_ready(struct session *s, const char *entry)
{
	struct repl *p = s->arg;

	if (repl_output_is_busy(&p->output))
		wait_written(p, entry);
	/* Nobody reads the answers any more, or nothing is left to answer. */
	else if (ferror(stdout) || p->ended)
		leave(p);
	else
		ask(p, p->editing ? entry : NULL);
}

static void on_leave(struct session *s)
{
	struct repl *p = s->arg;

	if (repl_output_is_busy(&p->output))
		p->leave_waits = true;
	else
		leave(p);
}

static void on_written(void *arg)
{
	struct repl *p = arg;
	char *entry;

	session_drained(&p->session);
	if (repl_output_is_busy(&p->output))
		return;
	if (p->leave_waits)
		leave(p);
	if (!p->ready_waits)
		return;
	entry = p->entry;
	p->entry = NULL;
	p->ready_waits = false;
	on_ready(&p->session, entry);
	mem_free(entry);
}

static void on_begin(struct session *s)
{
	evaluating_id = s->fiber_id;
}

/* In the signal handler: the loop may not turn, be it that C code has the thread,
 * as that which matches patterns. */
static void on_signal_interrupt(void)
{
	struct sched *sched = evaluating_sched;

	if (sched != NULL)
		sched_end_computing(sched, evaluating_id);
}

static const struct session_ops session_ops = { on_write, on_ready, on_leave,
						on_is_full, on_begin };

static void on_line(struct reader *r, enum reader_result result,
		    const char *line, size_t size)
{
	struct repl *p = r->arg;

	if (p->leaving || app_is_ending(p->app))
		return;
	switch (result) {
	case READER_LINE:
		if (session_feed(&p->session, line, size) == 0)
			return;
		log_error("console: %s", diag_last()->message);
		diag_clear();
		break;
	case READER_EOF:
		p->ended = true;
		if (session_feed(&p->session, NULL, 0) != 0) {
			diag_clear();
			leave(p);
		}
		return;
	case READER_CANCELLED:
		session_interrupt(&p->session);
		break;
	case READER_TOO_LONG:
		log_error("console: a line of more than %d bytes was passed "
			  "over",
			  READER_LINE_MAX);
		break;
	}
	ask(p, NULL);
}

static void on_candidates(void *arg, size_t start, const struct buf *found)
{
	reader_complete(&((struct repl *)arg)->reader, start, found);
}

static void on_complete(struct reader *r, const char *text, size_t size)
{
	session_complete(&((struct repl *)r->arg)->session, text, size,
			 on_candidates);
}

static const struct reader_ops reader_ops = { on_line, on_complete };

/* Ctrl-C: what runs, or else the line that is being typed. */
static bool on_interrupt(struct app *app, void *arg)
{
	struct repl *p = arg;

	(void)app;
	if (session_is_busy(&p->session))
		session_interrupt(&p->session);
	else
		reader_cancel(&p->reader);
	return true;
}

static void on_resized(uv_signal_t *h, int signo)
{
	reader_redraw(&((struct repl *)h->data)->reader, signo == SIGWINCH);
}

static void watch_terminal(struct repl *p)
{
	struct {
		uv_signal_t *handle;
		int signo;
	} watched[] = {
		{ &p->resized, SIGWINCH },
		{ &p->continued, SIGCONT },
	};

	for (int i = 0; i < 2; i++) {
		uv_signal_init(&p->worker->loop.uv, watched[i].handle);
		uv_signal_start(watched[i].handle, on_resized,
				watched[i].signo);
		uv_unref((uv_handle_t *)watched[i].handle);
		watched[i].handle->data = p;
	}
	p->handles_open += 2;
	terminal_known = tcgetattr(STDIN_FILENO, &terminal_before) == 0;
	signals_set_last_words(give_terminal_back);
	signals_set_fatal(SIGINT, false);
	evaluating_id = 0;
	evaluating_sched = &p->worker->sched;
	signals_set_on_interrupt(on_signal_interrupt);
	p->app->on_interrupt = on_interrupt;
	p->app->on_interrupt_arg = p;
}

/* Letters beyond ASCII are typed, whatever the environment forgot to say. */
void repl_set_locale(void)
{
	if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
}

static FILE *choose_terminal(void)
{
	const char *term = getenv("TERM");

	if (!isatty(STDIN_FILENO) || term == NULL || strcmp(term, "dumb") == 0)
		return NULL;
	if (isatty(STDOUT_FILENO))
		return stdout;
	return isatty(STDERR_FILENO) ? stderr : NULL;
}

/* Answers go to a terminal: somebody looks at them. */
static int set_screen(struct repl *p, const char *history)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct session_screen screen = {
		.colours = (no_color == NULL || *no_color == '\0') &&
			   term != NULL && strcmp(term, "dumb") != 0,
		.history = history,
	};

	if (!p->airy)
		return 0;
	return session_set_screen(&p->session, &screen);
}

static int start_reader(struct repl *p, const char *history, FILE **ret_out)
{
	struct reader_options opts = { .out = choose_terminal() };

	opts.use_editor = p->editing = opts.out != NULL;
	if (opts.out == NULL)
		opts.out = isatty(STDOUT_FILENO) ? stdout : stderr;
	if (p->editing) {
		repl_set_locale();
		opts.history_path = history;
	}
	*ret_out = opts.out;
	return reader_start(&p->reader, &p->worker->loop, &opts, &reader_ops,
			    p);
}

/* The first prompt comes when the user's own file has run. */
static void begin(struct repl *p)
{
	char *init = init_file_path(
		settings_text(p->app->settings, SETTING_CONSOLE_INIT));
	int rc = session_begin(&p->session, init);

	mem_free(init);
	if (rc == 0)
		return;
	log_error("console: %s", diag_last()->message);
	diag_clear();
	ask(p, NULL);
}

static int open_parts(struct repl *p, FILE **ret_out)
{
	char *history;
	int rc;

	if (session_create(&p->session, &p->worker->vm, &session_ops, p) != 0)
		return -1;
	history = history_default_path(
		settings_text(p->app->settings, SETTING_HISTORY));
	rc = set_screen(p, history);
	if (rc == 0)
		rc = start_reader(p, history, ret_out);
	mem_free(history);
	if (rc != 0)
		session_destroy(&p->session);
	return rc;
}

static int check_start(const struct worker *w)
{
	if (w->id != 1)
		diag_set(ClientError, "the console on standard input is "
				      "worker 1's");
	else if (running != NULL)
		diag_set(IllegalParams, "the console is open already");
	else
		return 0;
	return -1;
}

struct repl *repl_start(struct worker *w, const char *greeting,
			repl_left_f on_left, void *arg)
{
	struct repl *p;
	FILE *out = NULL;

	if (check_start(w) != 0)
		return NULL;
	p = mem_zalloc(sizeof *p);
	if (p == NULL) {
		diag_set_oom(sizeof *p, "the console");
		return NULL;
	}
	p->app = w->app;
	p->worker = w;
	p->on_left = on_left;
	p->arg = arg;
	repl_output_create(&p->output, &w->loop, on_written, p);
	p->on_terminal = isatty(STDIN_FILENO);
	p->airy = p->on_terminal && isatty(STDOUT_FILENO);
	if (open_parts(p, &out) != 0) {
		mem_free(p);
		return NULL;
	}
	running = p;
	p->app->interactive = true;
	p->handles_open = 1;
	if (!p->on_terminal) {
		ask(p, NULL);
		return p;
	}
	watch_terminal(p);
	if (greeting != NULL)
		fprintf(out, "%s\n", greeting);
	begin(p);
	return p;
}

static void free_when_closed(struct repl *p)
{
	if (--p->handles_open == 0)
		mem_free(p);
}

static void on_handle_closed(uv_handle_t *h)
{
	free_when_closed(h->data);
}

static void on_reader_closed(struct reader *r)
{
	free_when_closed(r->arg);
}

void repl_stop(struct repl *p)
{
	if (p == NULL)
		return;
	running = NULL;
	p->leaving = true;
	p->app->interactive = false;
	reader_stop(&p->reader, on_reader_closed);
	session_destroy(&p->session);
	repl_output_end(&p->output);
	mem_free(p->entry);
	p->entry = NULL;
	if (p->on_terminal) {
		p->app->on_interrupt = NULL;
		evaluating_sched = NULL;
		signals_set_on_interrupt(NULL);
		signals_set_fatal(SIGINT, true);
		signals_set_last_words(NULL);
		uv_close((uv_handle_t *)&p->resized, on_handle_closed);
		uv_close((uv_handle_t *)&p->continued, on_handle_closed);
	}
}

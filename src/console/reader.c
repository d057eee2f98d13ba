/* Lines of standard input, from a thread. See reader.h. */
#include "console/reader.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "runtime/loop.h"

enum { CHUNK_PLAIN = 64 * 1024, CHUNK_TERMINAL = 1 };

unsigned reader__take_wants(struct reader *r)
{
	unsigned wants;

	uv_mutex_lock(&r->lock);
	wants = r->wants;
	r->wants &= READER_WANT_STOP; /* this one stays */
	uv_mutex_unlock(&r->lock);
	return wants;
}

bool reader__wait_asked(struct reader *r, char *ret_prompt, size_t size,
			char **ret_remember)
{
	bool go_on;

	uv_mutex_lock(&r->lock);
	while (!r->asked && !(r->wants & READER_WANT_STOP))
		uv_cond_wait(&r->changed, &r->lock);
	go_on = !(r->wants & READER_WANT_STOP);
	r->wants &= READER_WANT_STOP; /* meant for a line that is over */
	snprintf(ret_prompt, size, "%s", r->prompt);
	*ret_remember = r->remember;
	r->remember = NULL;
	uv_mutex_unlock(&r->lock);
	return go_on;
}

void reader__answer(struct reader *r, enum reader_result result)
{
	uv_mutex_lock(&r->lock);
	r->asked = false;
	r->answered = true;
	r->result = result;
	uv_mutex_unlock(&r->lock);
	uv_async_send(&r->async);
}

bool reader__complete(struct reader *r, const char *text, size_t size)
{
	bool found;

	uv_mutex_lock(&r->lock);
	buf_reset(&r->candidates, 4096);
	buf_reset(&r->to_complete, 4096);
	if (buf_append(&r->to_complete, text, size) != 0) {
		uv_mutex_unlock(&r->lock);
		return false;
	}
	r->completing = true;
	r->told_to_complete = false;
	uv_async_send(&r->async);
	while (r->completing &&
	       !(r->wants & (READER_WANT_STOP | READER_WANT_CANCEL)))
		uv_cond_wait(&r->changed, &r->lock);
	r->completing = false;
	found = r->candidates.size > 0;
	uv_mutex_unlock(&r->lock);
	return found;
}

void reader__warn(struct reader *r, const char *text)
{
	uv_mutex_lock(&r->lock);
	snprintf(r->warning, sizeof r->warning, "%s", text);
	uv_mutex_unlock(&r->lock);
	uv_async_send(&r->async);
}

/* A line without the editor into r->line. */
static enum reader_result read_plain(struct reader *r)
{
	enum reader_result result = READER_LINE;
	int c;

	buf_reset(&r->line, CHUNK_PLAIN);
	for (;;) {
		c = input_byte(&r->input);
		if (c == '\n')
			break;
		if (c == INPUT_EOF) {
			/* A last line without an end is one all the same. */
			if (r->line.size == 0)
				result = READER_EOF;
			break;
		}
		if (c == INPUT_WOKEN) {
			if (reader__take_wants(r) &
			    (READER_WANT_STOP | READER_WANT_CANCEL))
				return READER_CANCELLED;
			continue;
		}
		if (r->line.size >= READER_LINE_MAX ||
		    buf_putc(&r->line, (char)c) != 0)
			result = READER_TOO_LONG;
	}
	if (r->line.size > 0 && r->line.data[r->line.size - 1] == '\r')
		r->line.size--;
	return result;
}

static void run_plain(struct reader *r)
{
	char prompt[sizeof r->prompt];
	char *remember;

	while (reader__wait_asked(r, prompt, sizeof prompt, &remember)) {
		mem_free(remember);
		if (*prompt != '\0') {
			fputs(prompt, r->out);
			fflush(r->out);
		}
		reader__answer(r, read_plain(r));
	}
	mem_free(remember);
}

static void thread_main(void *arg)
{
	struct reader *r = arg;
	sigset_t all;

	/* Signals are for the thread that runs Lua. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	uv_mutex_lock(&r->lock); /* until reader_start() is through */
	uv_mutex_unlock(&r->lock);
	if (r->use_editor)
		reader__run_editor(r);
	else
		run_plain(r);
}

void reader_complete(struct reader *r, size_t start,
		     const struct buf *candidates)
{
	uv_mutex_lock(&r->lock);
	if (r->completing && r->told_to_complete) {
		buf_append(&r->candidates, candidates->data, candidates->size);
		r->complete_start = start;
		r->completing = false;
		uv_cond_broadcast(&r->changed);
	}
	uv_mutex_unlock(&r->lock);
}

/* In the loop's thread. The other one may give up at any time, and ask again. */
static void pass_question_on(struct reader *r)
{
	struct buf text;
	bool asked;

	uv_mutex_lock(&r->lock);
	asked = r->completing && !r->told_to_complete;
	text = r->to_complete;
	if (asked) {
		r->to_complete = (struct buf){ 0 };
		r->told_to_complete = true;
	}
	uv_mutex_unlock(&r->lock);
	if (!asked)
		return;
	r->ops->complete(r, text.data, text.size);
	buf_destroy(&text);
}

static void on_async(uv_async_t *async)
{
	struct reader *r = async->data;
	char warning[sizeof r->warning];
	bool answered;

	uv_mutex_lock(&r->lock);
	memcpy(warning, r->warning, sizeof warning);
	r->warning[0] = '\0';
	answered = r->answered;
	r->answered = false;
	uv_mutex_unlock(&r->lock);
	if (*warning != '\0')
		log_warn("%s", warning);
	pass_question_on(r);
	if (answered) /* the thread waits for the next question meanwhile */
		r->ops->on_line(r, r->result,
				r->line.data == NULL ? "" : r->line.data,
				r->line.size);
}

int reader_start(struct reader *r, struct loop *loop,
		 const struct reader_options *opts,
		 const struct reader_ops *ops, void *arg)
{
	int rc;

	*r = (struct reader){
		.ops = ops,
		.arg = arg,
		.use_editor = opts->use_editor,
		.out = opts->out,
	};
	if (input_create(&r->input, STDIN_FILENO,
			 isatty(STDIN_FILENO) ? CHUNK_TERMINAL : CHUNK_PLAIN) !=
	    0)
		return -1;
	if (opts->history_path != NULL) {
		r->history_path = mem_strdup(opts->history_path);
		if (r->history_path == NULL) {
			diag_set_oom(strlen(opts->history_path), "a path");
			goto fail_path;
		}
	}
	rc = uv_mutex_init(&r->lock);
	if (rc != 0)
		goto fail_lock;
	rc = uv_cond_init(&r->changed);
	if (rc != 0)
		goto fail_cond;
	/* The async handle comes last: closing one takes a turn of the loop. */
	uv_mutex_lock(&r->lock);
	rc = uv_thread_create(&r->thread, thread_main, r);
	if (rc != 0)
		goto fail_thread;
	r->async.data = r;
	rc = uv_async_init(&loop->uv, &r->async, on_async);
	if (rc != 0)
		goto fail_async;
	uv_mutex_unlock(&r->lock);
	return 0;
fail_async:
	r->wants = READER_WANT_STOP;
	uv_mutex_unlock(&r->lock);
	uv_thread_join(&r->thread);
	uv_mutex_lock(&r->lock);
fail_thread:
	uv_mutex_unlock(&r->lock);
	uv_cond_destroy(&r->changed);
fail_cond:
	uv_mutex_destroy(&r->lock);
fail_lock:
	diag_set_system(rc, "the console's thread");
	mem_free(r->history_path);
fail_path:
	input_destroy(&r->input);
	return -1;
}

void reader_ask(struct reader *r, const char *prompt, const char *remember)
{
	uv_mutex_lock(&r->lock);
	assert(!r->asked);
	snprintf(r->prompt, sizeof r->prompt, "%s", prompt);
	mem_free(r->remember);
	/* Without memory the history goes without it. */
	r->remember = remember == NULL ? NULL : mem_strdup(remember);
	r->asked = true;
	uv_cond_broadcast(&r->changed);
	uv_mutex_unlock(&r->lock);
}

static void want(struct reader *r, unsigned what)
{
	uv_mutex_lock(&r->lock);
	r->wants |= what;
	uv_cond_broadcast(&r->changed);
	uv_mutex_unlock(&r->lock);
	input_wake(&r->input);
}

void reader_cancel(struct reader *r)
{
	want(r, READER_WANT_CANCEL);
}

void reader_redraw(struct reader *r, bool resized)
{
	want(r, resized ? READER_WANT_RESIZE : READER_WANT_REDRAW);
}

static void on_async_closed(uv_handle_t *h)
{
	struct reader *r = h->data;

	r->on_closed(r);
}

void reader_stop(struct reader *r, void (*on_closed)(struct reader *r))
{
	want(r, READER_WANT_STOP);
	uv_thread_join(&r->thread);
	r->on_closed = on_closed;
	uv_close((uv_handle_t *)&r->async, on_async_closed);
	uv_cond_destroy(&r->changed);
	uv_mutex_destroy(&r->lock);
	input_destroy(&r->input);
	mem_free(r->history_path);
	mem_free(r->remember);
	buf_destroy(&r->line);
	buf_destroy(&r->to_complete);
	buf_destroy(&r->candidates);
}

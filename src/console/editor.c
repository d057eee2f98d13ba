/*
 * The reading thread's half on a terminal: lines with libedit, history and
 * completion. See reader.h.
 */
#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/diag.h"
#include "base/inject.h"
#include "console/history.h"
#include "console/reader.h"

enum { SHOWN_MAX = 200 }; /* candidates listed at once */

struct editor {
	struct reader *reader;
	EditLine *el;
	History *hist;
	struct history entries;
	char prompt[64];
	bool called_away; /* the last read ended by a want */
	int held;         /* a byte that was read too far, or -1 */
	struct buf pasted;
};

static struct editor *editor_of(EditLine *el)
{
	struct editor *e;

	el_get(el, EL_CLIENTDATA, &e);
	return e;
}

static char *show_prompt(EditLine *el)
{
	return editor_of(el)->prompt;
}

/* What the loop's thread wants while a key is awaited. Returns true when the
 * line is to be left. */
static bool heed_wants(struct editor *e)
{
	unsigned wants = reader__take_wants(e->reader);

	if (wants & (READER_WANT_STOP | READER_WANT_CANCEL))
		return true;
	if (wants & READER_WANT_RESIZE)
		el_resize(e->el);
	if (wants & READER_WANT_REDRAW)
		el_set(e->el, EL_PREP_TERM, 1);
	if (wants != 0)
		el_set(e->el, EL_REFRESH);
	return false;
}

static int next_byte(struct editor *e)
{
	int c = e->held;

	e->held = -1;
	return c >= 0 ? c : input_byte(&e->reader->input);
}

/*
 * The next character; libedit waits in here. Bytes that are none come as U+FFFD, and the
 * one that shows that they are none may be a key of its own.
 */
static int next_char(EditLine *el, wchar_t *ret_char)
{
	struct editor *e = editor_of(el);
	mbstate_t state = { 0 };
	bool amidst = false;

	for (;;) {
		int c = next_byte(e);
		char byte = (char)c;
		size_t n;

		if (c == INPUT_EOF)
			return 0;
		if (c == INPUT_WOKEN) {
			if (!heed_wants(e))
				continue;
			e->called_away = true;
			errno = EINTR;
			return -1;
		}
		n = mbrtowc(ret_char, &byte, 1, &state);
		if (n == (size_t)-2) {
			amidst = true; /* the rest of the character follows */
			continue;
		}
		if (n == (size_t)-1) {
			*ret_char = L'\ufffd';
			if (amidst)
				e->held = c;
		}
		return 1;
	}
}

static int terminal_width(FILE *out)
{
	struct winsize size;

	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* Candidates in columns below the line. */
static void list_candidates(struct editor *e, const struct buf *list)
{
	FILE *out = e->reader->out;
	const char *end = list->data + list->size;
	size_t width = 0, columns, n = 0;

	for (const char *s = list->data; s < end; s += strlen(s) + 1) {
		if (strlen(s) > width)
			width = strlen(s);
	}
	columns = (size_t)terminal_width(out) / (width + 2);
	if (columns == 0)
		columns = 1;
	fputs("\n", out);
	for (const char *s = list->data; s < end; s += strlen(s) + 1) {
		if (n == SHOWN_MAX) {
			fputs("\n...", out);
			break;
		}
		if (n > 0 && n % columns == 0)
			fputs("\n", out);
		fprintf(out, "%-*s", (int)width + 2, s);
		n++;
	}
	fputs("\n", out);
	fflush(out);
}

/* How many bytes all candidates have in common. */
static size_t common_prefix(const struct buf *list)
{
	const char *end = list->data + list->size;
	size_t common = strlen(list->data);

	for (const char *s = list->data; s < end; s += strlen(s) + 1) {
		size_t n = 0;

		while (n < common && s[n] == list->data[n])
			n++;
		common = n;
	}
	return common;
}

/* Tab: the longest beginning that all candidates share; when nothing is to be
 * added by that, the list of them. */
static unsigned char on_complete(EditLine *el, int ch)
{
	struct editor *e = editor_of(el);
	struct reader *r = e->reader;
	const LineInfo *info = el_line(el);
	size_t size = (size_t)(info->cursor - info->buffer), typed, common;
	char *add;

	(void)ch;
	if (size == 0 || strspn(info->buffer, " \t") >= size) {
		el_insertstr(el, "    ");
		return CC_REFRESH;
	}
	if (!reader__complete(r, info->buffer, size))
		return CC_ERROR;
	if (r->complete_start > size)
		return CC_ERROR;
	typed = size - r->complete_start;
	common = common_prefix(&r->candidates);
	if (common <= typed) {
		if (strlen(r->candidates.data) + 1 == r->candidates.size)
			return CC_NORM; /* it stands there already */
		list_candidates(e, &r->candidates);
		return CC_REDISPLAY;
	}
	add = strndup(r->candidates.data + typed, common - typed);
	if (add == NULL || el_insertstr(el, add) != 0) {
		free(add);
		return CC_ERROR;
	}
	free(add);
	return CC_REFRESH;
}

/* The next byte of a paste; INPUT_EOF: the line is to be left. */
static int pasted_byte(struct editor *e)
{
	for (;;) {
		int c = input_byte(&e->reader->input);

		if (c != INPUT_WOKEN)
			return c;
		if (heed_wants(e)) {
			e->called_away = true;
			return INPUT_EOF;
		}
	}
}

static bool ends_with(const struct buf *b, const char *tail, size_t size)
{
	return b->size >= size &&
	       memcmp(b->data + b->size - size, tail, size) == 0;
}

/* A paste into e->pasted, up to the mark behind it, without that. What is too much
 * is dropped. Returns false: the line is to be left. */
static bool take_paste(struct editor *e)
{
	static const char mark[] = "\033[201~";
	struct buf *b = &e->pasted;
	size_t size = sizeof mark - 1;
	int c;

	buf_reset(b, 4096);
	do {
		c = pasted_byte(e);
		if (c == INPUT_EOF)
			return false;
		if (b->size > READER_LINE_MAX + size)
			b->size -= size; /* room to find the mark in */
		if (buf_putc(b, (char)c) != 0)
			return false;
	} while (!ends_with(b, mark, size));
	b->size -= size;
	return true;
}

/* As it is typed: lines end in newlines, what is no text goes, and the end of the
 * last line is the user's to type. */
static void clean_paste(struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->size; i++) {
		unsigned char c = (unsigned char)b->data[i];

		if (c == '\r' && i + 1 < b->size && b->data[i + 1] == '\n')
			continue;
		if (c == '\r')
			c = '\n';
		if ((c >= ' ' && c != 0x7f) || c == '\n' || c == '\t')
			b->data[n++] = (char)c;
	}
	while (n > 0 && b->data[n - 1] == '\n')
		n--;
	b->size = n;
}

/* As characters, ended by a zero: bytes that are none become U+FFFD. NULL: no memory. */
static wchar_t *decode(const struct buf *b)
{
	wchar_t *text = mem_alloc((b->size + 1) * sizeof(*text));
	mbstate_t state = { 0 };
	size_t n = 0;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < b->size;) {
		size_t used =
			mbrtowc(&text[n], b->data + i, b->size - i, &state);

		if (used == 0 || used > b->size - i) {
			text[n] = L'\ufffd';
			used = 1;
			state = (mbstate_t){ 0 };
		}
		i += used;
		n++;
	}
	text[n] = L'\0';
	return text;
}

/* The terminal says that a paste begins: it is one text, whatever keys its bytes
 * would be. */
static unsigned char on_paste(EditLine *el, int ch)
{
	struct editor *e = editor_of(el);
	wchar_t *text;
	int rc;

	(void)ch;
	if (!take_paste(e))
		return CC_EOF;
	clean_paste(&e->pasted);
	if (e->pasted.size == 0)
		return CC_NORM;
	text = decode(&e->pasted);
	if (text == NULL)
		return CC_ERROR;
	rc = el_winsertstr(el, text);
	mem_free(text);
	return rc == 0 ? CC_REFRESH : CC_ERROR;
}

/* Terminals that know of it mark what is pasted. */
static void mark_pastes(struct editor *e, bool on)
{
	fputs(on ? "\033[?2004h" : "\033[?2004l", e->reader->out);
	fflush(e->reader->out);
}

static void fill_history(struct editor *e)
{
	HistEvent ev;

	history(e->hist, &ev, H_CLEAR);
	for (size_t i = 0; i < e->entries.count; i++)
		history(e->hist, &ev, H_ENTER, e->entries.entries[i]);
}

static void warn_diag(struct editor *e)
{
	struct error *err = diag_take();

	reader__warn(e->reader, err->message);
	error_unref(err);
}

static void remember(struct editor *e, const char *entry)
{
	HistEvent ev;
	size_t before = e->entries.count;

	if (history_add(&e->entries, entry) != 0)
		warn_diag(e);
	if (e->entries.count == before + 1)
		history(e->hist, &ev, H_ENTER, entry);
	else
		fill_history(e); /* an older one of the same text has gone */
}

static void bind_keys(EditLine *el)
{
	static const char *const keys[][2] = {
		{ "^I", "neap-complete" },
		{ "^R", "em-inc-search-prev" },
		{ "^W", "ed-delete-prev-word" },
		{ "\033[A", "ed-prev-history" },
		{ "\033OA", "ed-prev-history" },
		{ "\033[B", "ed-next-history" },
		{ "\033OB", "ed-next-history" },
		{ "\033[C", "ed-next-char" },
		{ "\033OC", "ed-next-char" },
		{ "\033[D", "ed-prev-char" },
		{ "\033OD", "ed-prev-char" },
		{ "\033[H", "ed-move-to-beg" },
		{ "\033OH", "ed-move-to-beg" },
		{ "\033[1~", "ed-move-to-beg" },
		{ "\033[F", "ed-move-to-end" },
		{ "\033OF", "ed-move-to-end" },
		{ "\033[4~", "ed-move-to-end" },
		{ "\033[3~", "ed-delete-next-char" },
		{ "\033[1;5C", "em-next-word" },
		{ "\033[1;5D", "ed-prev-word" },
		{ "\033[200~", "neap-paste" },
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

static int editor_open(struct editor *e, struct reader *r)
{
	HistEvent ev;

	*e = (struct editor){ .reader = r, .held = -1 };
	e->el = el_init("neap", stdin, r->out, r->out);
	if (e->el == NULL)
		return -1;
	e->hist = history_init();
	if (e->hist == NULL) {
		el_end(e->el);
		return -1;
	}
	if (history_create(&e->entries, r->history_path) != 0)
		warn_diag(e);
	history(e->hist, &ev, H_SETSIZE, HISTORY_MAX);
	el_set(e->el, EL_CLIENTDATA, e);
	el_set(e->el, EL_PROMPT, show_prompt);
	el_set(e->el, EL_SIGNAL, 0);
	el_set(e->el, EL_EDITOR, "emacs");
	el_set(e->el, EL_HIST, history, e->hist);
	el_set(e->el, EL_GETCFN, next_char);
	/* The wide form takes the strings as they are; the other one makes
	 * copies that nobody frees. */
	el_wset(e->el, EL_ADDFN, L"neap-complete", L"complete a name",
		on_complete);
	el_wset(e->el, EL_ADDFN, L"neap-paste", L"take what is pasted",
		on_paste);
	bind_keys(e->el);
	el_source(e->el, NULL); /* the user's ~/.editrc */
	fill_history(e);
	return 0;
}

static void editor_close(struct editor *e)
{
	history_end(e->hist);
	history_destroy(&e->entries);
	el_end(e->el);
	buf_destroy(&e->pasted);
}

/* The line that was typed into r->line. */
static enum reader_result edit_line(struct editor *e)
{
	struct reader *r = e->reader;
	const char *line;
	int count = 0;

	e->called_away = false;
	buf_reset(&r->line, 4096);
	/* Before the prompt, not after it as libedit would: what is typed at
	 * once is for the editor, not for the terminal's own line. */
	el_set(e->el, EL_PREP_TERM, 1);
	mark_pastes(e, true);
	line = el_gets(e->el, &count);
	mark_pastes(e, false);
	if (line == NULL || count <= 0) {
		fputs(e->called_away ? "^C\n" : "\n", r->out);
		fflush(r->out);
		return e->called_away ? READER_CANCELLED : READER_EOF;
	}
	while (count > 0 &&
	       (line[count - 1] == '\n' || line[count - 1] == '\r'))
		count--;
	if ((size_t)count > READER_LINE_MAX ||
	    buf_append(&r->line, line, (size_t)count) != 0)
		return READER_TOO_LONG;
	return READER_LINE;
}

void reader__run_editor(struct reader *r)
{
	struct editor e;
	char *entry;

	if (editor_open(&e, r) != 0) {
		reader__warn(r, "the line editor could not be started");
		if (reader__wait_asked(r, e.prompt, sizeof e.prompt, &entry))
			reader__answer(r, READER_EOF);
		mem_free(entry);
		return;
	}
	while (reader__wait_asked(r, e.prompt, sizeof e.prompt, &entry)) {
		if (entry != NULL)
			remember(&e, entry);
		mem_free(entry);
		reader__answer(r, edit_line(&e));
	}
	mem_free(entry);
	editor_close(&e);
}

/*
 * The admin command that tells the numbers of others as Prometheus reads them: their columns
 * are the metrics, those that tell rows apart the labels.
 *
 * All samples of a metric stand behind each other there: the rows of all workers are kept
 * until the table is told.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/worker.h"
#include "base/inject.h"
#include "console/admin_commands.h"
#include "console/admin_gather.h"
#include "console/admin_run.h"
#include "console/admin_session.h"

enum { ROWS_MAX = 16 << 20 };

struct table {
	const char *words;  /* the command whose numbers these are */
	const char *prefix; /* of the metrics */
};

static const struct table tables[] = {
	{ "show info", "neap_process" },
	{ "show workers", "neap_worker" },
	{ "show activity", "neap_activity" },
	{ "show lua", "neap_lua" },
	{ "show pools", "neap_pool" },
	{ "show stat", "neap_http" },
	{ "show modules", "neap_module" },
	{ "show functions", "neap_function" },
};

enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

/* Of the table at hand; the number of the worker stands before the cells of each row, if
 * they are of one. */
struct metrics {
	unsigned table;
	const struct admin_command *command;
	bool begun;
	struct admin_gather *gather; /* of one; NULL: the process's */
	unsigned next;               /* who is asked then: its place */
	struct admin_run *alone;     /* what the command has then */
	struct admin_rows rows;
	char cursor[ADMIN_CURSOR_MAX];
	struct buf out; /* its text */
	size_t told;
	bool late[]; /* of each worker: it is not asked again */
};

struct context {
	struct metrics *m;
};

static const struct admin_command *find(const char *words)
{
	static const struct admin_command *const *const lists[] = {
		admin_commands_process,  admin_commands_workers,
		admin_commands_activity, admin_commands_http,
		admin_commands_modules,
	};

	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
		for (unsigned i = 0; lists[l][i] != NULL; i++)
			if (strcmp(lists[l][i]->words, words) == 0)
				return lists[l][i];
	return NULL;
}

/* --- text --- */

static bool is_metric(const struct admin_column *c)
{
	return c->kind != ADMIN_TEXT && c->role != ADMIN_LABEL &&
	       c->role != ADMIN_FACT;
}

static bool is_counter(const struct admin_column *c)
{
	return c->kind == ADMIN_COUNTER || c->role == ADMIN_GROWS;
}

static void metric_name(const struct table *t, const struct admin_column *c,
			char *to, size_t room)
{
	snprintf(to, room, "%s_%s%s%s", t->prefix, c->name,
		 c->kind == ADMIN_SECONDS ? "_seconds"
		 : c->kind == ADMIN_BYTES ? "_bytes"
					  : "",
		 is_counter(c) ? "_total" : "");
}

static int put_escaped(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n') {
			if (buf_puts(b, "\\n") != 0)
				return -1;
			continue;
		}
		if ((*text == '"' || *text == '\\') && buf_putc(b, '\\') != 0)
			return -1;
		if (buf_putc(b, *text) != 0)
			return -1;
	}
	return 0;
}

/* With @a facts those of the row, too. */
static int put_labels(const struct admin_column *columns,
		      const struct admin_cell *cells,
		      const struct admin_cell *worker, bool facts,
		      struct buf *b)
{
	char number[ADMIN_NUMBER_ROOM];
	const char *lead = "{";

	if (worker->type == ADMIN_CELL_NUMBER) {
		if (buf_printf(b, "{worker=\"%.0f\"", worker->number) != 0)
			return -1;
		lead = ",";
	}
	for (unsigned i = 0; columns[i].name != NULL; i++) {
		if (cells[i].type == ADMIN_CELL_NONE ||
		    !(columns[i].role == ADMIN_LABEL ||
		      (facts && columns[i].role == ADMIN_FACT)))
			continue;
		if (buf_printf(b, "%s%s=\"", lead, columns[i].name) != 0)
			return -1;
		if (cells[i].type == ADMIN_CELL_NUMBER)
			admin_number_text(number, columns[i].kind,
					  cells[i].number);
		if (put_escaped(b, cells[i].type == ADMIN_CELL_NUMBER
					   ? number
					   : cells[i].text) != 0 ||
		    buf_putc(b, '"') != 0)
			return -1;
		lead = ",";
	}
	return *lead == ',' ? buf_putc(b, '}') : 0;
}

/* All samples of column @a i. */
static int put_metric(struct metrics *m, unsigned i)
{
	const struct admin_column *columns = m->command->columns;
	struct admin_cell cells[ADMIN_COLUMNS_MAX + 1];
	char name[128], number[ADMIN_NUMBER_ROOM];
	struct buf *b = &m->out;

	metric_name(&tables[m->table], &columns[i], name, sizeof(name));
	if (buf_printf(b, "# HELP %s %s: %s\n# TYPE %s %s\n", name,
		       m->command->help, columns[i].help, name,
		       is_counter(&columns[i]) ? "counter" : "gauge") != 0)
		return -1;
	m->rows.taken = 0;
	while (admin_rows_take(&m->rows, cells)) {
		const struct admin_cell *value = &cells[i + 1];

		if (value->type != ADMIN_CELL_NUMBER)
			continue;
		admin_number_text(number, columns[i].kind, value->number);
		if (buf_puts(b, name) != 0 ||
		    put_labels(columns, cells + 1, cells, false, b) != 0 ||
		    buf_printf(b, " %s\n", number) != 0)
			return -1;
	}
	return 0;
}

/* What is no measure: labels of a metric that is always 1. */
static int put_facts(struct metrics *m)
{
	const char *prefix = tables[m->table].prefix;
	struct admin_cell cells[ADMIN_COLUMNS_MAX + 1];
	struct buf *b = &m->out;

	if (buf_printf(b,
		       "# HELP %s_info %s: what they are\n"
		       "# TYPE %s_info gauge\n",
		       prefix, m->command->help, prefix) != 0)
		return -1;
	m->rows.taken = 0;
	while (admin_rows_take(&m->rows, cells))
		if (buf_printf(b, "%s_info", prefix) != 0 ||
		    put_labels(m->command->columns, cells + 1, cells, true,
			       b) != 0 ||
		    buf_puts(b, " 1\n") != 0)
			return -1;
	return 0;
}

static int put_table(struct metrics *m)
{
	const struct admin_column *columns = m->command->columns;
	bool facts = false;

	for (unsigned i = 0; columns[i].name != NULL; i++) {
		facts = facts || columns[i].role == ADMIN_FACT;
		if (is_metric(&columns[i]) && put_metric(m, i) != 0)
			return -1;
	}
	return facts ? put_facts(m) : 0;
}

/* --- the rows --- */

static enum admin_step fail_memory(struct admin_run *run)
{
	return admin_fail(run, "not enough memory");
}

/* The next worker that answers, or the process as a whole. ADMIN_DONE: there is none. */
static enum admin_step begin_rows(struct admin_run *run, struct metrics *m)
{
	const struct app *app = admin_worker(run)->app;

	if (m->command->collect == NULL) {
		if (m->next++ > 0)
			return ADMIN_DONE;
		m->alone = mem_zalloc(sizeof(*m->alone));
		if (m->alone == NULL)
			return fail_memory(run);
		m->alone->worker = admin_worker(run);
		if (m->command->parse != NULL &&
		    m->command->parse(m->alone) != 0) {
			mem_free(m->alone);
			m->alone = NULL;
			return fail_memory(run);
		}
		return ADMIN_MORE;
	}
	while (m->next < app->threads && m->late[m->next])
		m->next++;
	if (m->next == app->threads)
		return ADMIN_DONE;
	m->gather = admin_gather_new(run, m->command, &app->workers[m->next++],
				     m->cursor);
	return m->gather != NULL ? ADMIN_MORE : fail_memory(run);
}

static void end_rows(struct metrics *m)
{
	admin_gather_free(m->gather);
	if (m->alone != NULL && m->command->release != NULL)
		m->command->release(m->alone);
	mem_free(m->alone);
	m->gather = NULL;
	m->alone = NULL;
}

/* One row more of those. ADMIN_DONE: these are all. */
static enum admin_step take_row(struct admin_run *run, struct metrics *m)
{
	struct admin_cell cells[ADMIN_COLUMNS_MAX + 1];
	const struct worker *worker = NULL;
	const char *error = NULL;
	enum admin_step step;

	if (m->gather != NULL)
		step = admin_gather_next(m->gather, cells + 1, &worker, &error);
	else
		step = m->command->next(m->alone, cells + 1);
	if (step != ADMIN_MORE)
		return step;
	if (error != NULL) {
		m->late[app_place(worker)] = true;
		return ADMIN_MORE;
	}
	cells[0] = worker != NULL ? admin_number(worker->id) : admin_text(NULL);
	return admin_rows_add(&m->rows, cells) ? ADMIN_MORE : fail_memory(run);
}

/* All rows of the table. */
static enum admin_step take_rows(struct admin_run *run, struct metrics *m)
{
	enum admin_step step;

	for (;;) {
		step = ADMIN_MORE;
		if (m->gather == NULL && m->alone == NULL)
			step = begin_rows(run, m);
		if (step != ADMIN_MORE)
			return step;
		while (step == ADMIN_MORE)
			step = take_row(run, m);
		if (step != ADMIN_DONE)
			return step;
		end_rows(m);
	}
}

/* Which workers have answered. */
static int put_up(struct metrics *m, const struct app *app)
{
	if (buf_puts(&m->out, "# HELP neap_worker_up it answers\n"
			      "# TYPE neap_worker_up gauge\n") != 0)
		return -1;
	for (unsigned i = 0; i < app->threads; i++)
		if (buf_printf(&m->out, "neap_worker_up{worker=\"%u\"} %d\n",
			       app->workers[i].id, m->late[i] ? 0 : 1) != 0)
			return -1;
	return 0;
}

static void begin_table(struct metrics *m)
{
	if (m->begun)
		return;
	m->begun = true;
	m->command = find(tables[m->table].words);
	m->next = 0;
	m->rows.bytes.size = m->rows.taken = 0;
	m->rows.columns = admin_column_count(m->command->columns) + 1;
	m->rows.room = ROWS_MAX;
	m->out.size = m->told = 0;
}

/* The text of the next table; behind the last one that of the workers. */
static enum admin_step make_table(struct admin_run *run, struct metrics *m)
{
	enum admin_step step;

	begin_table(m);
	if (m->command->level <= admin_session_level(run->session)) {
		step = take_rows(run, m);
		if (step != ADMIN_DONE)
			return step;
		if (put_table(m) != 0)
			return fail_memory(run);
	}
	m->begun = false;
	if (++m->table == TABLES && put_up(m, admin_worker(run)->app) != 0)
		return fail_memory(run);
	return ADMIN_DONE;
}

static int parse(struct admin_run *run)
{
	struct context *c = admin_context(run);

	c->m = mem_zalloc(sizeof(*c->m) +
			  admin_worker(run)->app->threads * sizeof(bool));
	if (c->m != NULL)
		return 0;
	fail_memory(run);
	return -1;
}

static enum admin_step tell(struct admin_run *run)
{
	struct metrics *m = ((struct context *)admin_context(run))->m;
	enum admin_step step;

	for (;;) {
		while (m->told < m->out.size) {
			const char *line = m->out.data + m->told;
			const char *end =
				memchr(line, '\n', m->out.size - m->told);
			size_t size = (size_t)(end + 1 - line);

			if (!admin_put(run, line, size))
				return ADMIN_MORE;
			m->told += size;
		}
		if (m->table == TABLES)
			return ADMIN_DONE;
		step = make_table(run, m);
		if (step != ADMIN_DONE)
			return step;
	}
}

static void release(struct admin_run *run)
{
	struct metrics *m = ((struct context *)admin_context(run))->m;

	end_rows(m);
	buf_destroy(&m->rows.bytes);
	buf_destroy(&m->out);
	mem_free(m);
}

static const struct admin_command show_metrics = {
	.words = "show metrics",
	.help = "the numbers of info, workers, activity, lua, pools and stat, for "
		"operators of modules and functions, as Prometheus reads them",
	.context = ADMIN_CONTEXT(struct context),
	.parse = parse,
	.io = tell,
	.release = release,
};

const struct admin_command *const admin_commands_metrics[] = {
	&show_metrics,
	NULL,
};

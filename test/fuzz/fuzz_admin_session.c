/*
 * Fuzzes sessions of admin commands: lines, chains and what follows "<<", with the
 * session's own commands and three that look at what they get. Answers keep their frame,
 * what was begun is released once, and lines behind "<<" never run.
 *
 * fuzz: layer console
 */
#include "fuzz.h"

#include "app/worker.h"
#include "console/admin_commands.h"
#include "console/admin_session.h"

enum { PAYLOAD_MAX = 128 << 10, SIZE_MAX_HERE = 1 << 16 };

static struct worker worker; /* as much of it as a session needs */
static struct buf out;
static bool has_room; /* the client has read; each answer fills it */
static bool left;
static unsigned parsed, released;

static void on_write(void *arg, const char *data, size_t size)
{
	(void)arg;
	FUZZ_CHECK(size > 0 && buf_append(&out, data, size) == 0);
}

static bool is_full(void *arg)
{
	bool full = !has_room;

	(void)arg;
	has_room = false;
	return full;
}

static void on_ready(void *arg)
{
	(void)arg;
}

static void on_leave(void *arg)
{
	(void)arg;
	left = true;
}

static const struct admin_ops ops = { on_write, is_full, on_ready,
				      on_leave, NULL,    NULL };

static int parse(struct admin_run *run)
{
	char *bytes = admin_context(run);

	for (size_t i = 0; i < ADMIN_CONTEXT_MAX; i++)
		FUZZ_CHECK(bytes[i] == 0);
	memset(bytes + sizeof(size_t), 0x5a,
	       ADMIN_CONTEXT_MAX - sizeof(size_t));
	parsed++;
	return 0;
}

static void release(struct admin_run *run)
{
	FUZZ_CHECK(((char *)admin_context(run))[ADMIN_CONTEXT_MAX - 1] == 0x5a);
	released++;
}

static enum admin_step take(struct admin_run *run)
{
	size_t *told = admin_context(run), size;
	const char *payload = admin_payload(run, &size);

	while (payload != NULL && *told < size) {
		size_t n = size - *told < 1000 ? size - *told : 1000;

		FUZZ_CHECK(size <= PAYLOAD_MAX && payload[size - 1] == '\n');
		if (!admin_put(run, payload + *told, n))
			return ADMIN_MORE;
		*told += n;
	}
	return ADMIN_DONE;
}

static enum admin_step next_row(struct admin_run *run, struct admin_cell *cells)
{
	size_t *n = admin_context(run);

	cells[0] = admin_number((double)*n);
	cells[1] = admin_text(admin_arg(run, 0)->text);
	return (*n)++ < 3 ? ADMIN_MORE : ADMIN_DONE;
}

static const struct admin_arg args[] = { { "text", ADMIN_TEXT, true, NULL, "" },
					 { .name = NULL } };
static const struct admin_column columns[] = { { "n", ADMIN_NUMBER, 3, "" },
					       { "text", ADMIN_TEXT, 8, "" },
					       { .name = NULL } };

struct whole {
	char bytes[ADMIN_CONTEXT_MAX];
};

static const struct admin_command commands[] = {
	{ .words = "take",
	  .help = "",
	  .args = args,
	  .payload = true,
	  .context = ADMIN_CONTEXT(struct whole),
	  .parse = parse,
	  .io = take,
	  .release = release },
	{ .words = "rows",
	  .help = "",
	  .args = args,
	  .columns = columns,
	  .context = ADMIN_CONTEXT(struct whole),
	  .parse = parse,
	  .next = next_row,
	  .release = release },
};

/* The others look at a whole process, and waiting is slow. */
static bool is_of_process(const struct admin_command *c)
{
	if (strcmp(c->words, "wait") == 0)
		return true;
	for (unsigned i = 0; admin_commands_session[i] != NULL; i++)
		if (admin_commands_session[i] == c)
			return false;
	return true;
}

static void start(void)
{
	while (admin_commands_remove(is_of_process) != NULL)
		continue;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		FUZZ_CHECK(admin_commands_add(&commands[i]) == 0);
	FUZZ_CHECK(loop_create(&worker.loop) == 0);
	FUZZ_CHECK(sched_create(&worker.sched, &worker.loop) == 0);
}

/* An answer at a time, until all are there. A timer is waited for when the machine was
 * busy, and the session's turn was over in the middle of a command. */
static void feed(struct admin_session *a, const char *line, size_t size)
{
	bool was_payload = admin_session_is_collecting(a);
	unsigned before = parsed;

	admin_session_feed(a, line, size);
	for (unsigned i = 0; admin_session_is_busy(a) && i < 100000; i++) {
		has_room = true;
		admin_session_drained(a);
		if (has_room)
			loop_run(&worker.loop, UV_RUN_ONCE);
	}
	FUZZ_CHECK(left || !admin_session_is_busy(a));
	if (was_payload && admin_session_is_collecting(a))
		FUZZ_CHECK(parsed == before);
}

static void check_frame(void)
{
	if (out.size > 0)
		FUZZ_CHECK(out.data[out.size - 1] == '\n');
	if (out.size > 1)
		FUZZ_CHECK(out.data[out.size - 2] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end;
	struct admin_session *a;

	if (worker.sched.loop == NULL)
		start();
	end = p + (size < SIZE_MAX_HERE ? size : SIZE_MAX_HERE);
	left = false;
	parsed = released = 0;
	out.size = 0;
	a = admin_session_new(&worker, ADMIN_ADMIN, &ops, NULL);
	while (p < end && !left) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop != NULL ? stop : end) - p);

		feed(a, p, n);
		check_frame();
		p += n + 1;
	}
	if (!left)
		feed(a, NULL, 0);
	admin_session_free(a);
	FUZZ_CHECK(parsed == released);
	FUZZ_CHECK(diag_last() == NULL);
	return 0;
}

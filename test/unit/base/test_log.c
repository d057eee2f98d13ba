/*
 * The log as one who wants to deceive its reader sees it: levels, formats,
 * forged lines, bytes that are no text, rotation, full disks, threads.
 *
 * test: timeout 60
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"
#include "base/log.h"
#include "leak.h"

static char dir[40];
static char path[64];
static char text[1 << 20];

/* The whole of a file, as a string. */
static const char *slurp(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof text - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static int lines_of(const char *s)
{
	int n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static int set_up(void **state)
{
	(void)state;
	unlink(path);
	log_set_level(LOG_DEBUG);
	log_set_format(LOG_PLAIN);
	assert_int_equal(log_open(path), 0);
	log_info("tells of what the test before has lost");
	assert_int_equal(truncate(path, 0), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	inject_reset();
	log_close();
	log_set_fiber_id(NULL);
	unlink(path);
	return 0;
}

static void level_names(void **state)
{
	static const char *const names[LOG_LEVEL_COUNT] = {
		"fatal", "syserror", "error",   "crit",
		"warn",  "info",     "verbose", "debug",
	};

	(void)state;
	for (int i = 0; i < LOG_LEVEL_COUNT; i++)
		assert_int_equal(log_level_parse(names[i]), i);
	assert_int_equal(log_level_parse("INFO"), -1);
	assert_int_equal(log_level_parse(""), -1);
	assert_int_equal(log_level_parse("info "), -1);
}

static void levels_above_are_dropped(void **state)
{
	const char *got;

	(void)state;
	for (int level = 0; level < LOG_LEVEL_COUNT; level++) {
		log_set_level(level);
		for (int i = 0; i < LOG_LEVEL_COUNT; i++)
			log_at((enum log_level)i, "%d-at-%d;", i, level);
	}
	got = slurp(path);
	for (int level = 0; level < LOG_LEVEL_COUNT; level++) {
		for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
			char want[32];

			snprintf(want, sizeof want, "%d-at-%d;", i, level);
			assert_int_equal(strstr(got, want) != NULL, i <= level);
		}
	}
}

static void arguments_of_dropped_lines_are_not_made(void **state)
{
	int made = 0;

	(void)state;
	log_set_level(LOG_WARN);
	log_info("%d", ++made);
	assert_int_equal(made, 0);
	log_warn("%d", ++made);
	assert_int_equal(made, 1);
}

static uint64_t fiber_of_test(void)
{
	return 4711;
}

static void plain_shape(void **state)
{
	int year, ms, pid;
	char letter;

	(void)state;
	log_warn("hello %s", "world");
	assert_int_equal(sscanf(slurp(path),
				"%d-%*d-%*d %*d:%*d:%*d.%d [%d] "
				"%c> hello world\n",
				&year, &ms, &pid, &letter),
			 4);
	assert_true(year >= 2024 && ms >= 0 && ms < 1000);
	assert_int_equal(pid, getpid());
	assert_int_equal(letter, 'W');
	log_set_fiber_id(fiber_of_test);
	log_warn("in a fiber");
	assert_non_null(strstr(slurp(path), "]/4711 W> in a fiber\n"));
}

/* A message cannot be taken for two, nor for one that it is not. */
static void plain_lines_cannot_be_forged(void **state)
{
	const char *got, *p;

	(void)state;
	log_info("one\n2026-01-01 00:00:00.000 [1] F> forged\r\nE> too\n");
	log_info("\033[2J\b\x7f\x9b"
		 "31m \xc2\x9b"
		 "2J end");
	log_info("tab\tstays");
	got = slurp(path);
	assert_int_equal(lines_of(got), 5);
	for (p = got; *p != '\0'; p = strchr(p, '\n') + 1)
		assert_true(*p == '\t' || strncmp(p, "20", 2) == 0);
	assert_null(strchr(got, '\r'));
	assert_null(strchr(got, '\033'));
	assert_null(strchr(got, '\b'));
	assert_null(strchr(got, '\x7f'));
	assert_null(strchr(got, '\x9b')); /* as a byte, and as U+009B */
	assert_non_null(strstr(got, "tab\tstays\n"));
}

static void text_of_all_languages_passes(void **state)
{
	static const char words[] = "gr\xc3\xbc\xc3\x9f \xe2\x82\xac "
				    "\xf0\x9f\x90\x9f \xc2\xa0";

	(void)state;
	log_info("%s", words);
	assert_non_null(strstr(slurp(path), words));
	log_set_format(LOG_JSON);
	log_info("%s", words);
	assert_non_null(strstr(strchr(slurp(path), '{'), words));
}

/* Is it UTF-8 as the standard says: shortest form, no surrogates, an end? */
static bool valid_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	int more;

	while (*p != '\0') {
		c = *p++;
		if (c < 0x80)
			continue;
		if (c < 0xc2 || c > 0xf4)
			return false;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		c &= 0x3f >> more;
		for (int i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if ((more == 2 && c < 0x800) || (more == 3 && c < 0x10000) ||
		    (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
			return false;
	}
	return true;
}

/* The "message" of a JSON line, unescaped; asserts the rest of the grammar. */
static void json_message(const char *line, char *out)
{
	const char *p = strstr(line, "\"message\":\"");

	assert_non_null(p);
	for (p += 11; *p != '"'; p++) {
		unsigned c = (unsigned char)*p;

		assert_true(c >= 0x20);
		if (c == '\\') {
			c = (unsigned char)*++p;
			if (c == 'n') {
				c = '\n';
			} else if (c == 't') {
				c = '\t';
			} else if (c == 'u') {
				assert_int_equal(sscanf(p + 1, "%4x", &c), 1);
				p += 4;
			} else {
				assert_true(c == '"' || c == '\\');
			}
		}
		*out++ = (char)c;
	}
	*out = '\0';
	assert_string_equal(p, "\"}\n");
}

static void json_escapes(void **state)
{
	char all[130], got[1024];
	const char *line;

	(void)state;
	log_set_format(LOG_JSON);
	for (int i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	all[127] = '\0';
	log_set_fiber_id(fiber_of_test);
	log_error("%s", all);
	line = slurp(path);
	assert_int_equal(lines_of(line), 1);
	assert_true(line[0] == '{');
	assert_non_null(strstr(line, "\"level\":\"error\""));
	assert_non_null(strstr(line, "\"fiber\":4711"));
	assert_non_null(strstr(line, "\"file\":\"test_log.c\",\"line\":"));
	json_message(line, got);
	assert_string_equal(got, all);
}

/* Bytes that are no UTF-8 would make a strict reader drop the whole line. */
static void json_is_always_utf8(void **state)
{
	static const char *const bad[] = {
		"\xff",
		"\x80",
		"a\xc3",
		"\xc3(",
		"\xe2\x82",
		"\xc0\xaf",
		"\xed\xa0\x80",
		"\xf5\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xe0\x80\xaf",
		"\xf0\x80\x80\xaf",
		"\xf0\x9f\x90",
	};
	char got[64];

	(void)state;
	log_set_format(LOG_JSON);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(truncate(path, 0), 0);
		log_error("<%s>", bad[i]);
		assert_true(valid_utf8(slurp(path)));
		json_message(text, got);
		assert_non_null(strstr(got, "\\x")); /* shown, not swallowed */
		assert_true(got[strlen(got) - 1] == '>');
	}
}

static void json_file_names_are_escaped(void **state)
{
	(void)state;
	log_set_format(LOG_JSON);
	log_write(LOG_INFO, "/x/we\"ird\n.c", 1, "%s", "m");
	assert_non_null(strstr(slurp(path), "\"file\":\"we\\\"ird\\n.c\""));
	log_write(LOG_INFO, NULL, 0, "no place");
	assert_int_equal(lines_of(slurp(path)), 2);
}

static void long_messages(void **state)
{
	char *big = malloc(200001);
	const char *got;

	(void)state;
	memset(big, 'b', 200000);
	big[200000] = '\0';
	log_info("%.60000s", big);
	assert_int_equal(lines_of(slurp(path)), 1);
	assert_true(strlen(text) > 60000);
	assert_int_equal(truncate(path, 0), 0);
	log_info("start of it %s", big);
	log_info("next");
	got = slurp(path);
	assert_int_equal(lines_of(got), 2);
	assert_true(strlen(got) < 70000);
	assert_non_null(strstr(got, "start of it bbb"));
	assert_non_null(strstr(got, "bbb (134476 more bytes)\n"));
	assert_non_null(strstr(got, "next\n"));
	free(big);
}

static void errno_survives(void **state)
{
	(void)state;
	errno = EXDEV;
	log_info("x");
	assert_int_equal(errno, EXDEV);
	assert_int_equal(log_open("/dev/full"), 0);
	errno = EXDEV;
	log_info("x");
	assert_int_equal(errno, EXDEV);
}

static void reopen_after_rotation(void **state)
{
	char old[80];
	int fds;

	(void)state;
	snprintf(old, sizeof old, "%s.1", path);
	fds = unit_open_fds();
	log_info("first");
	assert_int_equal(rename(path, old), 0);
	log_info("still the old file");
	assert_int_equal(log_reopen(), 0);
	log_info("second");
	assert_non_null(strstr(slurp(old), "still the old"));
	assert_null(strstr(slurp(old), "second"));
	assert_non_null(strstr(slurp(path), "second"));
	assert_int_equal(unit_open_fds(), fds);
	unlink(old);
}

static void reopen_that_fails_keeps_the_log(void **state)
{
	char gone[80];
	struct error *e;

	(void)state;
	snprintf(gone, sizeof gone, "%s/sub", dir);
	assert_int_equal(mkdir(gone, 0700), 0);
	snprintf(gone, sizeof gone, "%s/sub/log", dir);
	assert_int_equal(log_open(gone), 0);
	log_info("first");
	unlink(gone);
	*strrchr(gone, '/') = '\0';
	rmdir(gone);
	assert_int_equal(log_reopen(), -1);
	e = diag_take();
	assert_int_equal(e->saved_errno, ENOENT);
	assert_non_null(strstr(e->message, "/sub/log"));
	error_unref(e);
	log_info("into the file without a name");
}

static void open_that_fails_keeps_the_log(void **state)
{
	struct error *e;

	(void)state;
	assert_int_equal(log_open(dir), -1);
	e = diag_take();
	assert_int_equal(e->saved_errno, EISDIR);
	assert_non_null(strstr(e->message, dir));
	error_unref(e);
	log_info("still here");
	assert_non_null(strstr(slurp(path), "still here"));
}

/* Without memory for its path a reopen must not pretend that it was done. */
static void reopen_without_memory(void **state)
{
	(void)state;
	for (long k = 0; k < 2; k++) {
		if (inject_arm("malloc", k, 1) != 0)
			skip();
		assert_int_equal(log_reopen(), -1);
		error_unref(diag_take());
		inject_reset();
		log_info("goes on");
	}
	assert_int_equal(lines_of(slurp(path)), 2);
}

static void full_disk_is_counted(void **state)
{
	uint64_t lost = log_lost();

	(void)state;
	assert_int_equal(log_open("/dev/full"), 0);
	for (int i = 0; i < 10; i++)
		log_info("line %d", i);
	assert_int_equal(log_lost() - lost, 10);
	assert_int_equal(log_open(path), 0);
	log_info("works again");
	log_info("and again");
	assert_int_equal(lines_of(slurp(path)), 3);
	assert_non_null(strstr(text, " 10 log lines were lost"));
	assert_true(strstr(text, "were lost") < strstr(text, "works again"));
	assert_int_equal(log_lost() - lost, 10);
}

/* Writing that fails, works, fails: each line is written or counted once. */
static void losses_add_up(void **state)
{
	uint64_t lost = log_lost(), told = 0, n;
	int written = 0;
	char *p;

	(void)state;
	if (inject_arm("log.write", 0, 0) != 0)
		skip();
	srand(3);
	for (int i = 0; i < 300; i++) {
		inject_reset();
		if (rand() % 2)
			inject_arm("log.write", rand() % 2, 1);
		log_info("(line)");
	}
	inject_reset();
	log_info("(line)");
	slurp(path);
	for (p = text; (p = strstr(p, "(line)")) != NULL; p++)
		written++;
	for (p = text; (p = strstr(p, "> ")) != NULL; p++) {
		if (sscanf(p, "> %lu log lines were lost", &n) == 1)
			told += n;
	}
	assert_int_equal(written + (log_lost() - lost), 301);
	assert_int_equal(told, log_lost() - lost);
}

/* No memory for a line: it is lost and counted, never half written. */
static void no_memory_for_a_line(void **state)
{
	char long_word[901], want[920];
	uint64_t lost;
	int lines;

	(void)state;
	memset(long_word, 'w', 900);
	long_word[900] = '\0';
	snprintf(want, sizeof want, "begin %s end", long_word);
	for (int json = 0; json < 2; json++) {
		log_set_format(json ? LOG_JSON : LOG_PLAIN);
		for (long k = 0; k < 8; k++) {
			log_close(); /* forgets its line buffer */
			assert_int_equal(log_open(path), 0);
			assert_int_equal(truncate(path, 0), 0);
			lost = log_lost();
			if (inject_arm("malloc", k, 1) != 0)
				skip();
			log_info("begin %s end\001\001\001\001", long_word);
			inject_reset();
			lines = lines_of(slurp(path));
			assert_int_equal(lines + (log_lost() - lost), 1);
			assert_true(lines == 0 || strstr(text, want) != NULL);
			assert_true(lines == 0 ||
				    text[strlen(text) - 1] == '\n');
			log_info("next");
			assert_non_null(strstr(slurp(path), "next"));
		}
	}
}

/* A line that a full disk cut short is ended before the next one. */
static void torn_line_is_ended(void **state)
{
	int pipes[2], keep;
	char *line = malloc(60001), byte;
	uint64_t lost;

	(void)state;
	memset(line, 't', 60000);
	line[60000] = '\0';
	log_close();
	keep = dup(STDERR_FILENO);
	assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipes[1], F_SETPIPE_SZ, 65536), 65536);
	dup2(pipes[1], STDERR_FILENO);
	lost = log_lost();
	log_info("%s", line);
	log_info("%s", line); /* the pipe takes 5,000 bytes of it */
	dup2(keep, STDERR_FILENO);
	assert_int_equal(log_lost() - lost, 1);
	while (read(pipes[0], text, sizeof text) > 0)
		;
	dup2(pipes[1], STDERR_FILENO);
	log_info("next");
	dup2(keep, STDERR_FILENO);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(byte, '\n');
	close(keep);
	close(pipes[0]);
	close(pipes[1]);
	/* Another file has no torn line in it. */
	assert_int_equal(log_open(path), 0);
	log_info("clean");
	assert_int_equal(slurp(path)[0], '2');
	free(line);
}

static void torn_line_of_another_file(void **state)
{
	int pipes[2], keep;
	char *line = malloc(60001);

	(void)state;
	memset(line, 't', 60000);
	line[60000] = '\0';
	log_close();
	keep = dup(STDERR_FILENO);
	assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipes[1], F_SETPIPE_SZ, 65536), 65536);
	dup2(pipes[1], STDERR_FILENO);
	log_info("%s", line);
	log_info("%s", line);
	dup2(keep, STDERR_FILENO);
	close(keep);
	assert_int_equal(log_open(path), 0);
	log_info("clean");
	assert_int_equal(slurp(path)[0], '2');
	close(pipes[0]);
	close(pipes[1]);
	free(line);
}

/* Nobody reads the pipe, whose writes block: the process goes on. */
static void full_pipe_is_counted(void **state)
{
	char *line = malloc(60001);
	int pipes[2], keep;
	uint64_t lost;
	ssize_t n;

	(void)state;
	memset(line, 't', 60000);
	line[60000] = '\0';
	log_close();
	keep = dup(STDERR_FILENO);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipes[1], F_SETPIPE_SZ, 65536), 65536);
	dup2(pipes[1], STDERR_FILENO);
	lost = log_lost();
	log_info("%s", line);
	for (int i = 0; i < 10; i++)
		log_info("%s", line);
	dup2(keep, STDERR_FILENO);
	assert_int_equal(log_lost() - lost, 10);
	/* Those who share the pipe may rely on it. */
	assert_int_equal(fcntl(pipes[1], F_GETFL) & O_NONBLOCK, 0);
	n = read(pipes[0], text, sizeof text); /* all that is in it */
	assert_true(n > 60000);
	dup2(pipes[1], STDERR_FILENO);
	log_info("read again");
	dup2(keep, STDERR_FILENO);
	n = read(pipes[0], text, sizeof text - 1);
	text[n] = '\0';
	assert_int_equal(text[0], '\n'); /* of the line that was cut */
	assert_non_null(strstr(text, " 10 log lines were lost"));
	assert_non_null(strstr(text, "read again\n"));
	assert_int_equal(log_lost() - lost, 10);
	close(keep);
	close(pipes[0]);
	close(pipes[1]);
	free(line);
}

struct slow_reader {
	int fd;
	size_t lines;
};

static void *read_slowly(void *arg)
{
	struct slow_reader *r = arg;
	char piece[4096];
	ssize_t n;

	while ((n = read(r->fd, piece, sizeof piece)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			r->lines += piece[i] == '\n';
		sched_yield();
	}
	return NULL;
}

/* Lines that the reader of a burst has got. */
static size_t read_burst(void)
{
	struct slow_reader r = { 0 };
	int pipes[2], keep;
	pthread_t thread;
	uint64_t lost;

	log_close();
	keep = dup(STDERR_FILENO);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	dup2(pipes[1], STDERR_FILENO);
	close(pipes[1]);
	lost = log_lost();
	r.fd = pipes[0];
	pthread_create(&thread, NULL, read_slowly, &r);
	for (int i = 0; i < 3000; i++)
		log_info("%0*d", 1 + i % 300, i);
	dup2(keep, STDERR_FILENO);
	pthread_join(thread, NULL);
	/* Lost or there: none is missing without a word. */
	assert_true(log_lost() - lost + r.lines >= 3000);
	close(keep);
	close(pipes[0]);
	return r.lines;
}

/* A burst that is larger than the pipe gets through to one who reads. (He may be
 * put aside for longer than he is waited for.) */
static void slow_reader_gets_all(void **state)
{
	size_t lines = 0;

	(void)state;
	for (int i = 0; i < 50 && lines <= 1000; i++)
		lines = read_burst();
	assert_true(lines > 1000);
}

static void closed_descriptor_is_counted(void **state)
{
	uint64_t lost;
	int keep;

	(void)state;
	log_close();
	keep = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	lost = log_lost();
	log_info("to nobody");
	assert_int_equal(log_lost() - lost, 1);
	dup2(keep, STDERR_FILENO);
	close(keep);
}

enum { THREADS = 2, LINES = 3000 };

static void *write_lines(void *arg)
{
	char mark = *(const char *)arg, body[400];

	memset(body, mark, sizeof body - 1);
	body[sizeof body - 1] = '\0';
	for (int i = 0; i < LINES; i++) {
		log_info("%.*s.", 100 + i % 300, body);
		if (i % 100 == 0) {
			log_set_level(LOG_INFO + i / 100 % 2);
			assert_true(log_lost() < UINT64_MAX);
		}
	}
	return NULL;
}

/* Lines of several threads do not mix, also while the file is changed. */
static void threads_do_not_mix(void **state)
{
	static const char mark[THREADS] = { 'a', 'b' };
	pthread_t thread[THREADS];
	int fd, lines = 0;
	FILE *file;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, write_lines, (void *)&mark[i]);
	for (int i = 0; i < 50; i++)
		assert_int_equal(log_reopen(), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	file = fdopen(fd, "r");
	while (fgets(text, sizeof text, file) != NULL) {
		char *body = strstr(text, "> ") + 2;

		assert_true(strspn(body, body[0] == 'a' ? "a" : "b") >= 100);
		assert_string_equal(body + strspn(body, "ab"), ".\n");
		lines++;
	}
	fclose(file);
	assert_int_equal(lines, THREADS * LINES);
}

static void heap_stays_level(void **state)
{
	char *leaked;
	size_t before = 0;

	(void)state;
	for (int i = 0; i < 60; i++) {
		if (i == 10)
			before = leak_bytes();
		log_set_format(i % 2 ? LOG_JSON : LOG_PLAIN);
		log_info("%0*d", i * 300 % 5000, 1);
		log_close();
		assert_int_equal(log_open(path), 0);
		assert_int_equal(log_reopen(), 0);
		assert_int_equal(log_open("/nonexistent/x"), -1);
		diag_clear();
	}
	assert_int_equal(leak_bytes(), before);
	/* The twin: a path kept too long is seen. */
	leaked = mem_strdup(path);
	assert_true(leak_bytes() > before);
	mem_free(leaked);
}

#define logged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_names),
		logged(levels_above_are_dropped),
		logged(arguments_of_dropped_lines_are_not_made),
		logged(plain_shape),
		logged(plain_lines_cannot_be_forged),
		logged(text_of_all_languages_passes),
		logged(json_escapes),
		logged(json_is_always_utf8),
		logged(json_file_names_are_escaped),
		logged(long_messages),
		logged(errno_survives),
		logged(reopen_after_rotation),
		logged(reopen_that_fails_keeps_the_log),
		logged(open_that_fails_keeps_the_log),
		logged(reopen_without_memory),
		logged(full_disk_is_counted),
		logged(losses_add_up),
		logged(no_memory_for_a_line),
		logged(torn_line_is_ended),
		logged(torn_line_of_another_file),
		logged(full_pipe_is_counted),
		logged(slow_reader_gets_all),
		logged(closed_descriptor_is_counted),
		logged(threads_do_not_mix),
		logged(heap_stays_level),
	};
	const char *tmp = getenv("TMPDIR");
	int fds = unit_open_fds(), rc;

	snprintf(dir, sizeof dir, "%.20s/log.XXXXXX",
		 tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof path, "%s/log", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc != 0 || unit_open_fds() != fds;
}

/*
 * Types into a program on a terminal of its own, and watches what it answers.
 *
 *	pty PROGRAM [ARG..] < script
 *
 * The script has a command a line; texts are the rest of the line, with \r \n
 * \t \e \\ and \xHH in them:
 *
 *	send TEXT      type it
 *	expect TEXT    wait until the terminal shows it, after what was last
 *	               expected
 *	never TEXT     it was not shown since what was last expected
 *	signal NAME    INT, TERM, HUP, WINCH, STOP, CONT, TSTP
 *	size ROWS COLS the window changes
 *	rest MS        look away for a while
 *	cooked         the terminal is as a program finds it
 *	exit CODE      wait for the end with this code
 *
 * Exit code 0 when all went so; else 1, with what the terminal showed. Lines
 * that begin with # and empty ones are passed over.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

enum { SHOWN_MAX = 4 * 1024 * 1024, PATIENCE_MS = 60000 };

static char shown[SHOWN_MAX + 1]; /* all that the terminal got */
static size_t shown_size;
static size_t expected; /* up to here it was looked at */
static int terminal;
static pid_t child;
static struct termios before;
static unsigned line_number;

static _Noreturn void fail(const char *what, const char *text)
{
	printf("script line %u: %s: %s\n", line_number, what, text);
	printf("--- shown, from what was last expected:\n");
	fwrite(shown + expected, 1, shown_size - expected, stdout);
	printf("\n--- all:\n");
	fwrite(shown, 1, shown_size, stdout);
	printf("\n");
	kill(child, SIGKILL);
	exit(1);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Take what is there; false: nothing within the time, or the end. */
static bool look(int timeout_ms)
{
	struct pollfd p = { .fd = terminal, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	n = read(terminal, shown + shown_size, SHOWN_MAX - shown_size);
	if (n <= 0)
		return false;
	shown_size += (size_t)n;
	shown[shown_size] = '\0';
	return true;
}

static char *find(const char *text)
{
	return memmem(shown + expected, shown_size - expected, text,
		      strlen(text));
}

static void expect(const char *text)
{
	long end = now_ms() + PATIENCE_MS;
	char *at;

	while ((at = find(text)) == NULL) {
		long left = end - now_ms();

		if (left <= 0 || !look((int)left))
			fail("not shown", text);
	}
	expected = (size_t)(at - shown) + strlen(text);
}

static void send_text(const char *text)
{
	size_t size = strlen(text);

	while (size > 0) {
		ssize_t n = write(terminal, text, size);

		if (n < 0)
			fail("cannot be typed", text);
		text += n;
		size -= (size_t)n;
		look(0);
	}
}

static void send_signal(const char *name)
{
	static const struct {
		const char *name;
		int signo;
	} known[] = {
		{ "INT", SIGINT },     { "TERM", SIGTERM }, { "HUP", SIGHUP },
		{ "WINCH", SIGWINCH }, { "STOP", SIGSTOP }, { "CONT", SIGCONT },
		{ "TSTP", SIGTSTP },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(known[i].name, name) == 0) {
			kill(child, known[i].signo);
			return;
		}
	}
	fail("no such signal", name);
}

static void resize(const char *text)
{
	struct winsize size = { 0 };
	unsigned rows, cols;

	if (sscanf(text, "%u %u", &rows, &cols) != 2)
		fail("not a size", text);
	size.ws_row = (unsigned short)rows;
	size.ws_col = (unsigned short)cols;
	ioctl(terminal, TIOCSWINSZ, &size);
}

static void rest(const char *text)
{
	long end = now_ms() + atol(text), left;

	while ((left = end - now_ms()) > 0)
		look((int)left);
}

/* The program may be about to give the terminal back. */
static void check_cooked(void)
{
	long end = now_ms() + PATIENCE_MS;
	struct termios now;

	do {
		tcgetattr(terminal, &now);
		if (now.c_lflag == before.c_lflag &&
		    now.c_iflag == before.c_iflag &&
		    now.c_oflag == before.c_oflag)
			return;
		look(10);
	} while (now_ms() < end);
	fail("the terminal is not as before", "cooked");
}

static void expect_exit(const char *text)
{
	long end = now_ms() + PATIENCE_MS;
	int status, code;
	char got[32];

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now_ms() > end)
			fail("does not end", text);
		look(10);
	}
	while (look(0))
		continue;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
	snprintf(got, sizeof got, "%d, not %s", code, text);
	if (code != atoi(text))
		fail("exit code", got);
	child = -1;
}

/* Escapes of a text, in place. */
static void unescape(char *text)
{
	static const char from[] = "rnte\\", to[] = "\r\n\t\033\\";
	char *out = text;

	for (; *text != '\0'; text++) {
		const char *known;

		if (*text != '\\' || text[1] == '\0') {
			*out++ = *text;
			continue;
		}
		text++;
		known = strchr(from, *text);
		if (*text == 'x') {
			char hex[3] = { text[1], text[2], '\0' };

			*out++ = (char)strtol(hex, NULL, 16);
			text += 2;
		} else {
			*out++ = known == NULL ? *text : to[known - from];
		}
	}
	*out = '\0';
}

static void run_command(char *line)
{
	char *text = strchr(line, ' ');

	if (text == NULL)
		text = line + strlen(line);
	else
		*text++ = '\0';
	unescape(text);
	if (strcmp(line, "send") == 0)
		send_text(text);
	else if (strcmp(line, "expect") == 0)
		expect(text);
	else if (strcmp(line, "never") == 0 && find(text) != NULL)
		fail("was shown", text);
	else if (strcmp(line, "signal") == 0)
		send_signal(text);
	else if (strcmp(line, "size") == 0)
		resize(text);
	else if (strcmp(line, "rest") == 0)
		rest(text);
	else if (strcmp(line, "cooked") == 0)
		check_cooked();
	else if (strcmp(line, "exit") == 0)
		expect_exit(text);
	else if (strcmp(line, "never") != 0)
		fail("no such command", line);
}

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	static char line[64 * 1024];
	int slave;

	if (argc < 2)
		return 2;
	setenv("TERM", "xterm", 1);
	/* What it is like is looked at before the program can change it. */
	if (openpty(&terminal, &slave, NULL, NULL, &size) != 0 ||
	    tcgetattr(slave, &before) != 0)
		return 2;
	child = fork();
	if (child < 0)
		return 2;
	if (child == 0) {
		close(terminal);
		login_tty(slave);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	close(slave);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line_number++;
		line[strcspn(line, "\n")] = '\0';
		if (*line != '\0' && *line != '#')
			run_command(line);
	}
	if (child > 0)
		fail("the script has ended and the program has not", argv[1]);
	return 0;
}

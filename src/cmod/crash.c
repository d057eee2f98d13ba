/* The report of a crash. Only what is allowed in a signal handler. */
#include "cmod/crash.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmod/call.h"

/* What of which module runs outside a call; NULL: nothing. */
static __thread const char *module_place;
static __thread const char *module_file;

void crash_enter_module(const char *place, const char *file)
{
	module_file = file;
	module_place = place;
}

void crash_leave_module(void)
{
	module_place = NULL;
}

#if !defined(CSTACK_ASAN) && !defined(CSTACK_TSAN)

static const struct {
	int number;
	const char *name;
} fatal[] = {
	{ SIGSEGV, "SIGSEGV" }, { SIGBUS, "SIGBUS" },   { SIGFPE, "SIGFPE" },
	{ SIGILL, "SIGILL" },   { SIGABRT, "SIGABRT" },
};

/* A line that is put together piece by piece; too much is cut. */
struct line {
	char text[1024];
	size_t size;
};

static void add(struct line *l, const char *text)
{
	size_t size = strlen(text), room = sizeof l->text - 1 - l->size;

	if (size > room)
		size = room;
	memcpy(l->text + l->size, text, size);
	l->size += size;
}

static void add_address(struct line *l, uintptr_t value)
{
	char digits[2 + 2 * sizeof value + 1];
	char *p = digits + sizeof digits;

	*--p = '\0';
	do {
		*--p = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value != 0);
	*--p = 'x';
	*--p = '0';
	add(l, p);
}

static const char *signal_name(int number)
{
	for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
		if (fatal[i].number == number)
			return fatal[i].name;
	}
	return "a signal";
}

static void add_call(struct line *l, const struct neap_call *c)
{
	add(l, c->flags & CALL_FIBER ? " in a fiber made by C function '"
				     : " in C function '");
	add(l, cmod_func_symbol(c->func));
	add(l, "' of module '");
	add(l, cmod_file(cmod_func_module(c->func)));
	add(l, "'");
}

static void add_module(struct line *l)
{
	add(l, " in ");
	add(l, module_place);
	add(l, " of module '");
	add(l, module_file);
	add(l, "'");
}

/* A signal that somebody sent has no address, and a fault at one that no memory
 * can have (not canonical) does not tell it. */
static bool has_address(int number, const siginfo_t *info)
{
	return number != SIGABRT && info->si_code > 0 &&
	       info->si_code != SI_KERNEL;
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
	const struct neap_call *c = call_current;
	struct line l = { .size = 0 };
	ssize_t ignored;

	(void)context;
	add(&l, "neap: ");
	add(&l, signal_name(number));
	if (has_address(number, info)) {
		add(&l, " at address ");
		add_address(&l, (uintptr_t)info->si_addr);
	}
	if (c != NULL && has_address(number, info) &&
	    cstack_in_guard(&c->stack, info->si_addr))
		add(&l, " (stack overflow)");
	if (module_place != NULL)
		add_module(&l);
	else if (c != NULL)
		add_call(&l, c);
	l.text[l.size++] = '\n';
	ignored = write(STDERR_FILENO, l.text, l.size);
	(void)ignored;
	/* The handler is gone (SA_RESETHAND): now in earnest. */
	raise(number);
}

/* The overflow of a stack is found by the signal that it raises: the handler
 * cannot run on that stack. This one is the thread's until it ends. */
static void use_signal_stack(void)
{
	stack_t ss = { .ss_size = CRASH_STACK_SIZE };

	ss.ss_sp = mmap(NULL, CRASH_STACK_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ss.ss_sp == MAP_FAILED)
		return;
	if (sigaltstack(&ss, NULL) != 0)
		munmap(ss.ss_sp, CRASH_STACK_SIZE);
}

void crash_install(void)
{
	struct sigaction sa = { .sa_sigaction = on_fatal };

	use_signal_stack();
	sigemptyset(&sa.sa_mask);
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
	for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
		sigaction(fatal[i].number, &sa, NULL);
}

void crash_enter_thread(void *stack, size_t size)
{
	stack_t ss = { .ss_sp = stack, .ss_size = size };

	sigaltstack(&ss, NULL);
}

void crash_leave_thread(void)
{
	stack_t ss = { .ss_flags = SS_DISABLE };

	sigaltstack(&ss, NULL);
}

#else

void crash_install(void)
{
}

/* The sanitizers' own signal stack stays. */
void crash_enter_thread(void *stack, size_t size)
{
	(void)stack, (void)size;
}

void crash_leave_thread(void)
{
}

#endif

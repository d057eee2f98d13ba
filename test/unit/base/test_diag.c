/* Error objects: fields, causes, references, no memory, one diag a thread. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/inject.h"
#include "leak.h"

static void fields(void **state)
{
	struct error *e = error_new(&ClientError, 42, "/a/b/file.c", 7, "%s %d",
				    "text", 5);

	(void)state;
	assert_ptr_equal(e->type, &ClientError);
	assert_int_equal(e->code, 42);
	assert_string_equal(e->file, "file.c");
	assert_int_equal(e->line, 7);
	assert_string_equal(e->message, "text 5");
	assert_int_equal(e->saved_errno, 0);
	assert_null(e->cause);
	assert_int_equal(e->refs, 1);
	error_unref(e);
	error_unref(NULL);
	e = error_new(&ClientError, 0, NULL, 0, "%s", "");
	assert_string_equal(e->file, "");
	assert_string_equal(e->message, "");
	error_unref(e);
}

static void huge_message(void **state)
{
	char *text = malloc(1000001);
	struct error *e;

	(void)state;
	memset(text, 'x', 1000000);
	text[1000000] = '\0';
	e = error_new(&ClientError, 0, "f.c", 1, "<%s>", text);
	assert_int_equal(strlen(e->message), 1000002);
	assert_string_equal(e->file, "f.c");
	error_unref(e);
	free(text);
}

/* A message is text, not a format, when it comes from outside. */
static void percent_signs_stay(void **state)
{
	struct error *e;

	(void)state;
	diag_set(ClientError, "%s", "100%n %s %d");
	e = diag_take();
	assert_string_equal(e->message, "100%n %s %d");
	error_unref(e);
}

static void system_errors(void **state)
{
	static const struct {
		int err;
		int saved;
		const char *text;
	} cases[] = {
		{ ENOENT, ENOENT, "open 'x': No such file or directory" },
		{ -ENOENT, ENOENT, "open 'x': No such file or directory" },
		{ -4095, 4095, "open 'x': end of file" }, /* UV_EOF */
		{ -3008, 3008, "open 'x': unknown node or service" },
	};
	struct error *e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		diag_set_system(cases[i].err, "open '%s'", "x");
		e = diag_take();
		assert_ptr_equal(e->type, &SystemError);
		assert_int_equal(e->saved_errno, cases[i].saved);
		assert_string_equal(e->message, cases[i].text);
		assert_int_equal(e->code, ER_SYSTEM);
		error_unref(e);
	}
}

/* The reason is at the end: a long name must not push it out. */
static void long_system_error_keeps_its_reason(void **state)
{
	char name[3000];
	struct error *e;

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	diag_set_system(ENOENT, "open '%s'", name);
	e = diag_take();
	assert_non_null(strstr(e->message, "No such file"));
	error_unref(e);
}

static void long_chain_of_causes(void **state)
{
	struct error *top = NULL, *e;
	int n = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		e = error_new(&ClientError, i, "f.c", 1, "cause %d", i);
		error_set_cause(e, top);
		top = e;
	}
	for (e = top; e != NULL; e = e->cause)
		n++;
	assert_int_equal(n, 200000);
	error_unref(top); /* recursion would overflow the stack here */
}

static void shared_causes(void **state)
{
	struct error *cause = error_new(&ClientError, 0, "f.c", 1, "cause");
	struct error *a = error_new(&ClientError, 0, "f.c", 1, "a");
	struct error *b = error_new(&ClientError, 0, "f.c", 1, "b");

	(void)state;
	error_set_cause(a, error_ref(cause));
	error_set_cause(b, error_ref(cause));
	assert_int_equal(cause->refs, 3);
	error_unref(cause);
	error_unref(a);
	assert_string_equal(b->cause->message, "cause");
	error_set_cause(b, NULL);
	assert_null(b->cause);
	error_set_cause(b, error_ref(b)); /* its own cause: nothing happens */
	assert_null(b->cause);
	assert_int_equal(b->refs, 1);
	error_unref(b);
}

static void last_set_wins(void **state)
{
	struct error *e;

	(void)state;
	diag_clear();
	assert_null(diag_last());
	diag_set(ClientError, "first");
	diag_set_code(IllegalParams, 7, "second");
	assert_string_equal(diag_last()->message, "second");
	e = diag_take();
	assert_null(diag_last());
	assert_int_equal(e->code, 7);
	diag_set_error(error_ref(e));
	diag_set_error(error_ref(e)); /* the same again */
	assert_int_equal(e->refs, 2);
	diag_clear();
	diag_clear();
	assert_int_equal(e->refs, 1);
	error_unref(e);
}

/* Without memory there is a static error; its references do not count. */
static void no_memory(void **state)
{
	struct error *e, *cause;

	(void)state;
	cause = error_new(&ClientError, 0, "f.c", 1, "cause");
	if (inject_arm("malloc", 0, -1) != 0) {
		error_unref(cause);
		skip();
	}
	e = error_new(&ClientError, 5, "f.c", 1, "what");
	assert_ptr_equal(e->type, &OutOfMemory);
	assert_int_equal(e->code, ER_MEMORY_ISSUE);
	assert_string_equal(e->message, "not enough memory");
	assert_non_null(e->file);
	assert_ptr_equal(error_system(ENOENT, "f.c", 1, "x"), e);
	assert_int_equal(e->saved_errno, 0);
	for (int i = 0; i < 10; i++)
		error_unref(e);
	assert_ptr_equal(error_ref(e), e);
	error_set_cause(e, cause); /* cannot have one: lets go of it */
	assert_null(e->cause);
	diag_set_oom(SIZE_MAX, "something");
	assert_ptr_equal(diag_last(), e);
	diag_set_error(e);
	assert_ptr_equal(diag_take(), e);
	inject_reset();
	cause = error_new(&ClientError, 0, "f.c", 1, "on top");
	error_set_cause(cause, e);
	error_unref(cause);
	assert_string_equal(e->message, "not enough memory");
}

enum { ROUNDS = 20000 };

static void *share(void *arg)
{
	struct error *e = arg, *mine;

	for (int i = 0; i < ROUNDS; i++) {
		error_ref(e);
		assert_null(diag_last());
		diag_set(ClientError, "mine %d", i);
		mine = diag_take();
		assert_int_equal(atoi(mine->message + 5), i);
		error_unref(mine);
		error_unref(e);
	}
	error_unref(e);
	return NULL;
}

static void threads(void **state)
{
	struct error *e = error_new(&ClientError, 0, "f.c", 1, "shared");
	pthread_t thread[4];

	(void)state;
	diag_set(ClientError, "the main thread's");
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, share, error_ref(e));
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(e->refs, 1);
	assert_string_equal(diag_last()->message, "the main thread's");
	diag_clear();
	error_unref(e);
}

static void rounds(int n)
{
	while (n-- > 0) {
		struct error *e;

		diag_set_system(EIO, "round %d", n);
		diag_set(ClientError, "round %d", n);
		e = diag_take();
		error_set_cause(e, error_new(&LuaError, 0, "f", 1, "cause"));
		diag_set_error(e);
		diag_clear();
	}
}

static void heap_stays_level(void **state)
{
	struct error *leaked;
	size_t before;

	(void)state;
	rounds(3);
	before = leak_bytes();
	rounds(100);
	assert_int_equal(leak_bytes(), before);
	/* The twin: a reference taken and not given back is seen. */
	rounds(100);
	diag_set(ClientError, "leaked");
	leaked = error_ref(diag_last());
	diag_clear();
	assert_true(leak_bytes() > before);
	error_unref(leaked);
	assert_int_equal(leak_bytes(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(huge_message),
		cmocka_unit_test(percent_signs_stay),
		cmocka_unit_test(system_errors),
		cmocka_unit_test(long_system_error_keeps_its_reason),
		cmocka_unit_test(long_chain_of_causes),
		cmocka_unit_test(shared_causes),
		cmocka_unit_test(last_set_wins),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(threads),
		cmocka_unit_test(heap_stays_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

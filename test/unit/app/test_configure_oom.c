/*
 * No memory, at every allocation of what a configuration says of a state: the error says
 * so, the state ends as it does otherwise, and nothing is left of it.
 *
 * test: timeout 120
 */
#include "leak.h"
#include "lua_world.h"

#include "app/configure.h"
#include "app/worker.h"
#include "config/config.h"
#include "config/settings.h"

static const char text[] =
	"libraries: [table, string, math]\n"
	"paths: {lua: [./a/?.lua, ./b/?.lua], c: [./c/?.so]}\n"
	"limits: {fetch: {burst: 20ms, total: 1s}}\n"
	"log: {scripts: false}\n";

static struct worker worker;

static void begin(void)
{
	memset(&worker, 0, sizeof worker);
	assert_int_equal(loop_create(&world_loop), 0);
	assert_int_equal(sched_create(&world_sched, &world_loop), 0);
	assert_int_equal(lua_vm_create(&worker.vm, &world_sched,
				       world_on_uncaught, &world_vm),
			 0);
}

static void end(void)
{
	lua_vm_destroy(&worker.vm);
	sched_close(&world_sched);
	assert_int_equal(loop_destroy(&world_loop, NULL, NULL), 0);
}

/* Returns whether it has met the failure of allocation @a k. */
static bool fails_at(struct config *config, const char *what, int k)
{
	long asked;
	int rc;

	begin();
	assert_int_equal(inject_arm(what, k, 1), 0);
	rc = configure_state(&worker, config);
	asked = inject_asked(what);
	inject_reset();
	if (rc != 0) {
		assert_non_null(diag_last());
		assert_non_null(strstr(diag_last()->message, "memory"));
		diag_clear();
	} else {
		assert_true(worker.vm.quiet);
	}
	end();
	return asked > k;
}

static void sweep(struct config *config, const char *what, int least)
{
	size_t before;
	int k = 0;

	for (int i = 0; i < 5; i++)
		fails_at(config, what, 1 << 20);
	before = leak_bytes();
	while (fails_at(config, what, k)) {
		assert_int_equal(leak_bytes(), before);
		k++;
	}
	assert_true(k >= least);
	assert_int_equal(leak_bytes(), before);
}

static void every_allocation(void **state)
{
	struct settings settings;
	struct config *config;
	FILE *file = fopen("configure_oom.yaml", "w");

	(void)state;
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	if (inject_arm("x", 0, 0) != 0)
		skip();
	inject_reset();
	settings_create(&settings);
	config = config_load("configure_oom.yaml", &settings);
	assert_non_null(config);
	configure_process(config);
	sweep(config, "malloc", 0);
	sweep(config, "lua.alloc", 5);
	config_unref(config);
	settings_destroy(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(
		every_allocation) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The example under load while its library is built again and again. Each
 * answer must be right and name a build that was there; after each rebuild the
 * very next request is the new build's; nothing may fail, and nothing of the
 * old builds may stay. Run by test_rebuild.sh in a folder of its own.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builds.h"
#include "http_load.h"
#include "server.h"

enum {
	REBUILDS = 50,
	REBUILDS_SOAK = 1000,
	CONNECTIONS = 8,
	DEPTH = 2,
	RING = 4096, /* requests; one may be overtaken by many later ones */
	BROKEN_ASKS = 3,
	ORPHAN_EVERY = 7, /* rebuilds; no divisor of WAYS */
	MAPS_SLACK = 24,  /* of Lua's and the C library's own memory */
	RSS_SLACK = 24 << 20,
	PATIENCE_S = 30, /* for a file written in place to be seen */
};

/** The load that runs beside the rebuilds. */
struct stress {
	pthread_t thread;
	struct load_cfg cfg;
	struct load_result result;
	int rc;
	atomic_bool stop;
	atomic_bool under_way; /* a right answer has come */
	struct {
		uint64_t id;
		unsigned build; /* the oldest that may answer */
	} floors[RING];         /* by request */
};

static struct server server;
static atomic_uint floor_build;  /* the last one seen to answer */
static atomic_uint newest_build; /* the last one begun to be written */
static uint64_t total_answers;
static unsigned late; /* rebuilds that were not seen at once */

/* --- requests and answers --- */

static size_t make_request(uint64_t id, char *out)
{
	if (id % 8 == 7)
		return (size_t)sprintf(out, "GET / HTTP/1.1\r\n"
					    "Host: localhost\r\n\r\n");
	return (size_t)sprintf(out,
			       "GET /sum?a=%llu&b=%llu HTTP/1.1\r\n"
			       "Host: localhost\r\n\r\n",
			       (unsigned long long)id,
			       (unsigned long long)id * 3);
}

/* Returns what is wrong, or NULL with the build's number set. */
static const char *read_answer(uint64_t id, const struct load_reply *reply,
			       unsigned *ret_build)
{
	static const char hello[] = "Hello, world!\n";
	unsigned long long total;
	char text[128];
	unsigned build;
	int end = 0;

	if (reply->status != 200)
		return "not status 200";
	if (id % 8 == 7) {
		*ret_build = atomic_load(&newest_build);
		return reply->size == sizeof(hello) - 1 &&
				       memcmp(reply->body, hello,
					      sizeof(hello) - 1) == 0
			       ? NULL
			       : "not the answer of Lua";
	}
	if (reply->size >= sizeof(text))
		return "too long for a sum";
	memcpy(text, reply->body, reply->size);
	text[reply->size] = '\0';
	if (sscanf(text, "%llu by build b%u\n%n", &total, &build, &end) != 2 ||
	    end != (int)reply->size)
		return "not a sum and a build";
	if (total != id * 4)
		return "a wrong sum";
	*ret_build = build;
	return NULL;
}

/* --- one request, from outside the load --- */

static size_t ask_request(void *arg, uint64_t id, char *out)
{
	(void)arg;
	(void)id;
	return make_request(1, out);
}

static const char *ask_check(void *arg, uint64_t id,
			     const struct load_reply *reply)
{
	(void)id;
	return read_answer(1, reply, arg);
}

/* Which build answers now? */
static unsigned ask_build(void)
{
	unsigned build = 0;
	struct load_cfg cfg = {
		.port = server.port,
		.connections = 1,
		.depth = 1,
		.max_requests = 1,
		.seconds = 60,
		.stall_seconds = 60,
		.max_errors = 1,
		.request = ask_request,
		.check = ask_check,
		.arg = &build,
	};
	struct load_result result;

	if (load_run(&cfg, &result) != 0 || result.errors != 0 ||
	    result.answered != 1)
		fail("a single request: %s", result.first_error);
	total_answers++;
	return build;
}

/* --- the load --- */

static size_t stress_request(void *arg, uint64_t id, char *out)
{
	struct stress *s = arg;

	s->floors[id % RING].id = id;
	s->floors[id % RING].build = atomic_load(&floor_build);
	return make_request(id, out);
}

static const char *stress_check(void *arg, uint64_t id,
				const struct load_reply *reply)
{
	struct stress *s = arg;
	unsigned build;
	const char *wrong = read_answer(id, reply, &build);

	if (wrong != NULL)
		return wrong;
	/* Overtaken by a whole ring, it cannot be judged: a later request's
	 * floor is not its own. */
	if (s->floors[id % RING].id == id && build < s->floors[id % RING].build)
		return "an old build after the new one had answered";
	if (build > atomic_load(&newest_build))
		return "a build that there is not";
	atomic_store(&s->under_way, true);
	return NULL;
}

static void *stress_main(void *arg)
{
	struct stress *s = arg;

	s->rc = load_run(&s->cfg, &s->result);
	return NULL;
}

static void stress_start(struct stress *s, bool server_may_end)
{
	memset(s, 0, sizeof(*s));
	s->cfg = (struct load_cfg){
		.port = server.port,
		.connections = CONNECTIONS,
		.depth = DEPTH,
		.seconds = 3600,
		.stall_seconds = 30,
		.max_errors = 1,
		.server_may_end = server_may_end,
		.stop = &s->stop,
		.request = stress_request,
		.check = stress_check,
		.arg = s,
	};
	if (pthread_create(&s->thread, NULL, stress_main, s) != 0)
		fail("no thread for the load");
}

static void stress_finish(struct stress *s)
{
	pthread_join(s->thread, NULL);
	if (s->rc != 0 || s->result.errors > 0)
		fail("%llu of %llu requests failed, the first: %s",
		     (unsigned long long)s->result.errors,
		     (unsigned long long)s->result.sent, s->result.first_error);
	if (s->result.answered + s->result.closed != s->result.sent)
		fail("%llu requests sent, %llu answered",
		     (unsigned long long)s->result.sent,
		     (unsigned long long)s->result.answered);
	total_answers += s->result.answered;
}

static void stress_stop(struct stress *s)
{
	atomic_store(&s->stop, true);
	stress_finish(s);
	if (s->result.answered == 0)
		fail("the load did not get a single answer");
}

/* --- what is looked at --- */

static void expect_console(const char *line, const char *want)
{
	const char *answer = server_console(&server, line);

	if (strstr(answer, want) == NULL)
		fail("console: %s\nwant: %s\ngot: %s", line, want, answer);
}

/* The old build goes on serving; how broken the file is does not matter. */
static void old_one_serves(void *arg, const char *how)
{
	(void)arg;
	for (int i = 0; i < BROKEN_ASKS; i++) {
		unsigned build = ask_build();

		if (build != atomic_load(&floor_build))
			fail("the library is %s: build %u answers, not %u", how,
			     build, atomic_load(&floor_build));
	}
}

/* Garbage gone and the load silent: what does the server hold? */
static void look(struct holdings *ret)
{
	server_settle(&server);
	server_console(&server, "collectgarbage() collectgarbage()");
	server_holdings(&server, "hello", ret);
}

static void expect_level(const struct holdings *before,
			 const struct holdings *after)
{
	printf("descriptors %u -> %u, in memory %u -> %u, mappings %u -> %u, "
	       "of hello %u -> %u, RAM %zu -> %zu KiB\n",
	       before->fds, after->fds, before->memfds, after->memfds,
	       before->maps, after->maps, before->libraries, after->libraries,
	       before->rss >> 10, after->rss >> 10);
	if (after->fds != before->fds)
		fail("descriptors are left open");
	if (after->memfds != before->memfds)
		fail("files in memory are left");
	if (after->libraries != before->libraries)
		fail("mappings of old builds are left");
	if (after->maps > before->maps + MAPS_SLACK)
		fail("mappings grow");
	if (getenv("NEAP_SANITIZE") == NULL || *getenv("NEAP_SANITIZE") == '\0')
		if (after->rss > before->rss + RSS_SLACK)
			fail("memory grows");
}

/*
 * One rebuild. The next request after it must be the new build's; where the
 * file was written in place the server may need a moment for it.
 */
static void rebuild(const struct builds *b, unsigned way, unsigned n)
{
	double end;
	unsigned build;

	atomic_store(&newest_build, n);
	builds_replace(b, way, n);
	end = clock_s() + PATIENCE_S;
	build = ask_build();
	if (build == n - 1 && builds_in_place(way)) {
		late++;
		while (build == n - 1 && clock_s() < end) {
			usleep(5000);
			build = ask_build();
		}
	}
	if (build != n)
		fail("rebuild %u, %s: build %u answers", n, builds_way(way),
		     build);
	atomic_store(&floor_build, n);
}

/* The same, while the console holds the instance that is replaced. */
static void rebuild_held(const struct builds *b, unsigned way, unsigned n)
{
	char want[64];

	expect_console("held = require('cmod').load('./hello')", "\n");
	expect_console("held", "state: cached");
	rebuild(b, way, n);
	expect_console("held", "state: orphan");
	snprintf(want, sizeof(want), "b%06u", n - 1);
	expect_console("held:load('sum')(20, 22)", want);
	expect_console("held:unload()", "true");
	expect_console("held = nil", "\n");
}

static void copy_file(const char *folder, const char *name)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp '%s/%s' .", folder, name);
	if (system(command) != 0)
		fail("cannot copy %s", name);
}

static unsigned rebuild_all(const struct builds *b, unsigned count,
			    unsigned first)
{
	for (unsigned n = first; n < first + count; n++) {
		if (n % ORPHAN_EVERY == 0)
			rebuild_held(b, n % WAYS, n);
		else
			rebuild(b, n % WAYS, n);
	}
	return first + count;
}

int main(void)
{
	unsigned rebuilds = getenv("NEAP_SOAK") ? REBUILDS_SOAK : REBUILDS;
	struct builds builds = {
		.compiler = getenv("CC") ? getenv("CC") : "cc",
		.source = "hello.c",
		.library = "hello.so",
		.while_broken = old_one_serves,
	};
	struct holdings before, after;
	static struct stress stress;
	char include[512], example[512];
	double begin = clock_s();
	unsigned next;
	int code;

	snprintf(include, sizeof(include), "%s/src/include",
		 need_env("NEAP_SOURCE_DIR"));
	snprintf(example, sizeof(example), "%s/doc/examples/hello",
		 need_env("NEAP_SOURCE_DIR"));
	builds.include = include;
	copy_file(example, "app.lua");
	copy_file(example, "hello.c");
	builds_replace(&builds, 0, 0);
	server_start(&server, "app.lua", "server.log");
	if (ask_build() != 0)
		fail("the first build does not answer");

	/* A round of all ways, so that whatever is made once is there. */
	stress_start(&stress, false);
	next = rebuild_all(&builds, WAYS, 1);
	stress_stop(&stress);
	look(&before);

	stress_start(&stress, false);
	next = rebuild_all(&builds, rebuilds, next);
	stress_stop(&stress);
	look(&after);
	expect_level(&before, &after);

	/* The end comes while requests are under way. */
	stress_start(&stress, true);
	while (ask_build() != next - 1 || !atomic_load(&stress.under_way))
		continue;
	code = server_stop(&server);
	stress_finish(&stress);
	if (code != 0)
		fail("the server ended with %d after SIGTERM", code);
	if (access(server.socket_path, F_OK) == 0)
		fail("the console's socket is left");
	printf("%u rebuilds, %u of them seen at a second look; "
	       "%llu answers, none wrong, in %.1f s\n",
	       next - 1, late, (unsigned long long)total_answers,
	       clock_s() - begin);
	return 0;
}

/*
 * The load client as a program, for `make bench`:
 *
 *	load [option..] PORT PATH
 *
 *	-c N   connections (64)        -d N   requests in a batch (1)
 *	-t S   seconds, counted (1)    -w S   seconds before, not counted (0.2)
 *	-n N   requests at most (no limit)
 *	-b N   POST a body of N bytes and want it back
 *	-x T   want T as the body      -p T   want a body that begins with T
 *	-e N   echo: no HTTP, lines of N bytes that come back
 *
 * Prints one line of names and values; exit 1 if any answer was not right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http_load.h"

enum { HEADER_ROOM = 4096, BODY_MAX = LOAD_REQUEST_MAX - HEADER_ROOM };

/** What the options say about request and answer. */
struct plan {
	int port;
	const char *path;
	size_t body_size; /* 0: GET */
	const char *want; /* the body of each answer; NULL: any */
	size_t want_size;
	bool want_prefix; /* want is how it begins */
	char body[BODY_MAX];
};

static size_t make_http(void *arg, uint64_t id, char *out)
{
	struct plan *plan = arg;
	int n;

	(void)id;
	if (plan->body_size == 0)
		return (size_t)snprintf(out, HEADER_ROOM,
					"GET %s HTTP/1.1\r\n"
					"Host: 127.0.0.1:%d\r\n\r\n",
					plan->path, plan->port);
	n = snprintf(out, HEADER_ROOM,
		     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
		     "Content-Length: %zu\r\n\r\n",
		     plan->path, plan->port, plan->body_size);
	memcpy(out + n, plan->body, plan->body_size);
	return (size_t)n + plan->body_size;
}

static size_t make_line(void *arg, uint64_t id, char *out)
{
	struct plan *plan = arg;

	(void)id;
	memcpy(out, plan->body, plan->body_size);
	return plan->body_size;
}

static const char *check(void *arg, uint64_t id, const struct load_reply *r)
{
	struct plan *plan = arg;

	(void)id;
	if (r->status != 200)
		return "not status 200";
	if (plan->want == NULL)
		return NULL;
	if (plan->want_prefix ? r->size < plan->want_size
			      : r->size != plan->want_size)
		return "a body of another size";
	if (memcmp(r->body, plan->want, plan->want_size) != 0)
		return "another body";
	return NULL;
}

static int usage(const char *text)
{
	fprintf(stderr, "load: %s\n", text);
	return 2;
}

static void fill_body(struct plan *plan, long size, struct load_cfg *cfg)
{
	for (long i = 0; i < size; i++)
		plan->body[i] = (char)('a' + i % 26);
	if (cfg->protocol == LOAD_ECHO)
		plan->body[size - 1] = '\n';
	plan->body_size = (size_t)size;
	plan->want = plan->body;
	plan->want_size = plan->body_size;
}

int main(int argc, char **argv)
{
	static struct plan plan;
	struct load_cfg cfg = {
		.connections = 64,
		.depth = 1,
		.seconds = 1,
		.warm_seconds = 0.2,
		.stall_seconds = 10,
		.max_errors = 100,
		.request = make_http,
		.same_request = true,
		.check = check,
		.arg = &plan,
	};
	struct load_result result;
	bool warm_given = false;
	long body = 0;
	int opt, rc;

	while ((opt = getopt(argc, argv, "c:d:t:w:n:b:x:p:e:")) >= 0) {
		switch (opt) {
		case 'c':
			cfg.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			cfg.depth = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			cfg.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			cfg.warm_seconds = strtod(optarg, NULL);
			warm_given = true;
			break;
		case 'n':
			cfg.max_requests = strtoull(optarg, NULL, 10);
			break;
		case 'e':
			cfg.protocol = LOAD_ECHO;
			cfg.request = make_line;
			/* fall through */
		case 'b':
			body = strtol(optarg, NULL, 10);
			if (body <= 0 || body > BODY_MAX)
				return usage("the body is 1 to 61440 bytes");
			fill_body(&plan, body, &cfg);
			break;
		case 'p':
			plan.want_prefix = true;
			/* fall through */
		case 'x':
			plan.want = optarg;
			plan.want_size = strlen(optarg);
			break;
		default:
			return usage("see the top of load.c for its options");
		}
	}
	if (argc - optind < 1)
		return usage("no port given");
	cfg.port = plan.port = (int)strtol(argv[optind], NULL, 10);
	plan.path = argc - optind > 1 ? argv[optind + 1] : "/";
	if (cfg.port <= 0 || cfg.port > 65535)
		return usage("a port is 1 to 65535");
	if (strlen(plan.path) > HEADER_ROOM - 256)
		return usage("the path is too long");
	if (cfg.connections < 1 || cfg.connections > LOAD_CONNECTIONS_MAX)
		return usage("connections are 1 to 4096");
	if (cfg.depth < 1 || cfg.depth > LOAD_DEPTH_MAX)
		return usage("the depth is 1 to 256");
	if (!(cfg.seconds > 0 && cfg.seconds <= 3600))
		return usage("seconds are above 0, and an hour at most");

	if (cfg.max_requests != 0 && !warm_given)
		cfg.warm_seconds = 0;
	rc = load_run(&cfg, &result);
	printf("requests %llu errors %llu rate %.0f p50_us %.1f p99_us %.1f "
	       "max_us %.1f seconds %.3f\n",
	       (unsigned long long)result.sent,
	       (unsigned long long)result.errors,
	       result.seconds > 0 ? (double)result.counted / result.seconds : 0,
	       result.p50_us, result.p99_us, result.max_us, result.seconds);
	if (rc != 0 || result.errors > 0) {
		fflush(stdout);
		fprintf(stderr, "load: %s\n", result.first_error);
		return 1;
	}
	return 0;
}

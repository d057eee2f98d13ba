/*
 * The load client as a program, for `make bench`:
 *
 *	load [option..] PORT PATH
 *
 *	-c N   connections (64)        -d N   requests in a batch (1)
 *	-t S   seconds, counted (1)    -w S   seconds before, not counted (0.2)
 *	-n N   requests at most (no limit)
 *	-i MS  a batch of each connection every so often, however late the
 *	       answers: latency counts from when it was due
 *	-b N   POST a body of N bytes and want it back
 *	-x T   want T as the body      -p T   want a body that begins with T
 *	-j     want the bench's object as JSON, its number of four digits
 *	-2     HTTP/2: the requests of a batch at the same time
 *	-s     TLS                     -r     a new connection for each batch
 *	-m N   WebSocket messages of N bytes that come back
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
	bool want_json;
	bool tls;
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

/* The block of header fields: HPACK without a table, nothing remembered. */
static size_t make_http2(void *arg, uint64_t id, char *out)
{
	struct plan *plan = arg;
	char authority[32];
	int n = snprintf(authority, sizeof(authority), "127.0.0.1:%d",
			 plan->port);

	(void)id;
	/* :method GET, :scheme https or http, :path, :authority */
	return (size_t)sprintf(out, "\x82%c\x04%c%s\x01%c%s",
			       plan->tls ? 0x87 : 0x86, (int)strlen(plan->path),
			       plan->path, n, authority);
}

static size_t make_message(void *arg, uint64_t id, char *out)
{
	static const unsigned char mask[4] = { 0x2b, 0x91, 0x5c, 0xe7 };
	struct plan *plan = arg;
	size_t head = 0;

	(void)id;
	out[head++] = (char)0x81;
	if (plan->body_size < 126) {
		out[head++] = (char)(0x80 | plan->body_size);
	} else {
		out[head++] = (char)(0x80 | 126);
		out[head++] = (char)(plan->body_size >> 8);
		out[head++] = (char)plan->body_size;
	}
	memcpy(out + head, mask, sizeof(mask));
	head += sizeof(mask);
	for (size_t i = 0; i < plan->body_size; i++)
		out[head + i] = (char)(plan->body[i] ^ mask[i % 4]);
	return head + plan->body_size;
}

static size_t make_line(void *arg, uint64_t id, char *out)
{
	struct plan *plan = arg;

	(void)id;
	memcpy(out, plan->body, plan->body_size);
	return plan->body_size;
}

static const char *check_json(const struct load_reply *r)
{
	static const char message[] = "\"message\":\"Hello, world!\"";
	static const char number[] = "\"number\":";
	const char *at = memmem(r->body, r->size, number, sizeof(number) - 1);
	size_t left;

	/* Both members, a comma, four digits and braces: nothing else fits. */
	if (r->size != sizeof(message) + sizeof(number) + 5)
		return "a body of another size";
	if (at == NULL || r->body[0] != '{' || r->body[r->size - 1] != '}' ||
	    memmem(r->body, r->size, message, sizeof(message) - 1) == NULL)
		return "another object";
	at += sizeof(number) - 1;
	left = (size_t)(r->body + r->size - at);
	for (size_t i = 0; i < 4; i++) {
		if (left <= 4 || at[i] < '0' || at[i] > '9')
			return "another number";
	}
	return NULL;
}

static const char *check(void *arg, uint64_t id, const struct load_reply *r)
{
	struct plan *plan = arg;

	(void)id;
	if (r->status != 200)
		return "not status 200";
	if (plan->want_json)
		return check_json(r);
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

	while ((opt = getopt(argc, argv, "c:d:t:w:n:i:b:x:p:je:m:2sr")) >= 0) {
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
		case 'i':
			cfg.interval = strtod(optarg, NULL) / 1e3;
			break;
		case 'j':
			plan.want_json = true;
			break;
		case '2':
			cfg.protocol = LOAD_HTTP2;
			cfg.request = make_http2;
			break;
		case 's':
			cfg.tls = plan.tls = true;
			break;
		case 'r':
			cfg.reconnect = true;
			break;
		case 'm':
		case 'e':
			cfg.protocol = opt == 'm' ? LOAD_WEBSOCKET : LOAD_ECHO;
			cfg.request = opt == 'm' ? make_message : make_line;
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
	cfg.path = plan.path = argc - optind > 1 ? argv[optind + 1] : "/";
	if (cfg.port <= 0 || cfg.port > 65535)
		return usage("a port is 1 to 65535");
	if (strlen(plan.path) >
	    (cfg.protocol == LOAD_HTTP2 ? 126 : HEADER_ROOM - 256))
		return usage("the path is too long");
	if (cfg.connections < 1 || cfg.connections > LOAD_CONNECTIONS_MAX)
		return usage("connections are 1 to 4096");
	if (cfg.depth < 1 || cfg.depth > LOAD_DEPTH_MAX)
		return usage("the depth is 1 to 256");
	if (!(cfg.interval >= 0 && cfg.interval <= 3600))
		return usage("an interval is at most an hour");
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

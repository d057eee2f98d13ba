/*
 * What may stand in server.yaml: the one table. `neap config schema` prints it,
 * and doc/reference/server.yaml.md is made of that.
 */
#include "config/schema.h"

#include <stddef.h>

/* clang-format off */

#define END                 { .name = NULL }
#define ROW(n, k, h, ...)   { .name = n, .kind = SCHEMA_##k, .help = h, \
			      __VA_ARGS__ }
#define ITEM(k, ...)        { { .name = "", .kind = SCHEMA_##k, __VA_ARGS__ }, \
			      END }
#define SETTING_ROW(n, id)  { .name = n, .kind = SCHEMA_SETTING, \
			      .setting = SETTING_##id }
#define FLAGS(...)          .flags = __VA_ARGS__
#define REQUIRED            SCHEMA_REQUIRED
#define RANGE(a, b)         .min = a, .max = b

enum { MUCH = 999999999 };

static const struct schema a_text[] = ITEM(TEXT);
static const struct schema a_path[] = ITEM(PATH);
static const struct schema a_pattern[] = ITEM(PATTERN);
static const struct schema an_address[] = ITEM(ADDRESS);
static const struct schema an_expression[] = ITEM(EXPRESSION);
static const struct schema a_template[] = ITEM(TEMPLATE);

static const struct schema script[] = {
	ROW("file", PATH, "the script", FLAGS(REQUIRED)),
	ROW("args", LIST, "what it gets as `...` and `arg`", .fields = a_text),
	END
};
static const struct schema a_script[] =
	ITEM(MAP, .fields = script, .brief = "file");

static const struct schema paths[] = {
	ROW("lua", LIST, "before the others of `package.path`",
	    FLAGS(SCHEMA_ALONE), .fields = a_pattern),
	ROW("c", LIST, "before the others of `package.cpath`",
	    FLAGS(SCHEMA_ALONE), .fields = a_pattern),
	END
};

static const char *const library_names[] = {
	"all", "bit", "debug", "ffi", "io", "jit", "math", "os", "package",
	"string", "table", NULL
};
static const struct schema a_library[] =
	ITEM(CHOICE, .choices = library_names);

static const struct schema short_limits[] = {
	ROW("burst", DURATION, "processor time since it last waited; 0: any",
	    .fallback = "1s"),
	ROW("total", DURATION, "processor time in all; 0: any",
	    .fallback = "4s"),
	END
};
static const struct schema long_limits[] = {
	ROW("burst", DURATION, "processor time since it last waited; 0: any",
	    .fallback = "0"),
	ROW("total", DURATION, "processor time in all; 0: any",
	    .fallback = "0"),
	END
};

static const struct schema limits[] = {
	SETTING_ROW("memory", MEMORY),
	SETTING_ROW("slice", SLICE),
	SETTING_ROW("stall", STALL),
	ROW("main", MAP, "main scripts, and what they start",
	    FLAGS(SCHEMA_FILL), .fields = long_limits),
	ROW("action", MAP, "registered actions", FLAGS(SCHEMA_FILL),
	    .fields = short_limits),
	ROW("fetch", MAP, "registered fetches", FLAGS(SCHEMA_FILL),
	    .fields = short_limits),
	ROW("converter", MAP, "registered converters", FLAGS(SCHEMA_FILL),
	    .fields = short_limits),
	ROW("filter", MAP, "registered filters", FLAGS(SCHEMA_FILL),
	    .fields = short_limits),
	ROW("service", MAP, "registered services, handlers of requests",
	    FLAGS(SCHEMA_FILL), .fields = short_limits),
	ROW("command", MAP, "registered console commands",
	    FLAGS(SCHEMA_FILL), .fields = short_limits),
	ROW("task", MAP, "tasks", FLAGS(SCHEMA_FILL), .fields = long_limits),
	END
};

static const struct schema log_fields[] = {
	SETTING_ROW("level", LOG_LEVEL),
	SETTING_ROW("format", LOG_FORMAT),
	SETTING_ROW("file", LOG_FILE),
	ROW("scripts", SWITCH, "what scripts log is written, too",
	    .fallback = "true"),
	END
};

static const struct schema offload[] = {
	SETTING_ROW("threads", OFFLOAD_THREADS),
	SETTING_ROW("queue", OFFLOAD_QUEUE),
	END
};

static const char *const tls_versions[] = { "TLSv1.2", "TLSv1.3", NULL };
static const char *const verify_words[] = { "none", "peer", "required", NULL };

#define TLS_FILES \
	ROW("cert_file", PATH, "the certificate with its chain, in PEM form", \
	    FLAGS(REQUIRED)), \
	ROW("key_file", PATH, "its key, when it is not in the same file"), \
	ROW("key_password", TEXT, "the key's password", \
	    FLAGS(SCHEMA_SECRET)), \
	ROW("key_password_file", SECRET_FILE, \
	    "the file whose first line is that"), \
	ROW("ca_file", PATH, "whose certificates are trusted: a file"), \
	ROW("ca_path", PATH, "the same: a folder"), \
	ROW("verify", CHOICE, \
	    "whether clients show a certificate: `peer` may, `required` must", \
	    .choices = verify_words), \
	ROW("alpn", LIST, "protocols to agree on", FLAGS(SCHEMA_ALONE), \
	    .fields = a_text), \
	ROW("min_version", CHOICE, "the least", .choices = tls_versions), \
	ROW("max_version", CHOICE, "the most", .choices = tls_versions), \
	ROW("ciphers", TEXT, "of TLS 1.2"), \
	ROW("ciphersuites", TEXT, "of TLS 1.3"), \
	ROW("tickets", SWITCH, "sessions by tickets"), \
	ROW("session_cache", SWITCH, "sessions in memory")

static const struct schema sni_fields[] = { TLS_FILES, END };
static const struct schema an_sni[] = ITEM(MAP, .fields = sni_fields);

static const struct schema tls[] = {
	TLS_FILES,
	ROW("sni", NAMES, "other certificates for names that clients ask for",
	    .fields = an_sni),
	ROW("handshake_timeout", DURATION,
	    "until a connection must have greeted", .fallback = "10s"),
	END
};

static const char *const languages[] = { "lua", "admin", NULL };
static const char *const console_levels[] = {
	"user", "operator", "admin", NULL
};

static const struct schema console[] = {
	ROW("address", ADDRESS, "where it listens", FLAGS(REQUIRED)),
	ROW("language", CHOICE, "what its lines are (`lua`, without a level)",
	    .choices = languages),
	ROW("level", CHOICE, "of admin commands (`operator`)",
	    .choices = console_levels),
	ROW("mode", MODE, "of a unix socket's file (0600)"),
	ROW("owner", TEXT, "of that file, a name or a number"),
	ROW("group", TEXT, "the same"),
	ROW("password", TEXT, "what clients must give", FLAGS(SCHEMA_SECRET)),
	ROW("password_file", SECRET_FILE, "the file whose first line is that"),
	ROW("tls", MAP, "over TLS", .fields = tls),
	ROW("connections", NUMBER, "at most", RANGE(1, 10000),
	    .fallback = "100"),
	ROW("idle_timeout", DURATION, "a client may be silent; 0: for ever",
	    .fallback = "0"),
	ROW("audit", SWITCH, "log what is run", .fallback = "true"),
	END
};
static const struct schema a_console[] =
	ITEM(MAP, .fields = console, .brief = "address");

static const char *const protocols[] = { "http", "tcp", NULL };

static const struct schema options[] = {
	ROW("max_header_size", SIZE, "bytes of a header (16K)"),
	ROW("max_uri_size", SIZE, "bytes of a URI (8K)"),
	ROW("max_body_size", SIZE, "bytes of a body (8M)"),
	ROW("max_connections", NUMBER,
	    "open at once (what the worker's descriptors allow)",
	    RANGE(1, MUCH)),
	ROW("max_requests", NUMBER, "on a connection (any)", RANGE(1, MUCH)),
	ROW("max_streams", NUMBER,
	    "requests at once on a connection of HTTP/2 (128)",
	    RANGE(1, MUCH)),
	ROW("http2", SWITCH, "speak HTTP/2, too (with tls)"),
	ROW("idle_timeout", DURATION, "without a request (60s)"),
	ROW("header_timeout", DURATION, "for a request's header (10s)"),
	ROW("body_timeout", DURATION, "for each 64 KiB of a body (60s)"),
	ROW("send_timeout", DURATION, "in which a peer reads nothing (60s)"),
	ROW("backlog", NUMBER, "connections that wait to be accepted (4096)",
	    RANGE(1, MUCH)),
	ROW("reuseport", SWITCH, "several processes may listen there (false)"),
	ROW("charset", TEXT, "of text without a content type (utf-8)"),
	ROW("display_errors", SWITCH,
	    "tell the peer the traceback of an error (false)"),
	ROW("log_requests", SWITCH, "log every request (false)"),
	ROW("compress", SWITCH,
	    "send bodies compressed to who accepts it (false)"),
	END
};

static const char *const on_error_words[] = { "continue", "deny", NULL };
static const char *const rule_log_levels[] = {
	"fatal", "syserror", "error", "crit", "warn", "info", "verbose",
	"debug", "silent", NULL
};

#define BOTH     (SCHEMA_ACTION | SCHEMA_REQUEST | SCHEMA_RESPONSE)
#define REQUEST  (SCHEMA_ACTION | SCHEMA_REQUEST)
#define RESPONSE (SCHEMA_ACTION | SCHEMA_RESPONSE)

static const struct schema answer[] = {
	ROW("status", NUMBER, "its status", RANGE(200, 599)),
	ROW("body", TEMPLATE, "its body"),
	ROW("headers", NAMES, "its header fields", .fields = a_template),
	END
};
static const struct schema full_answer[] = {
	ROW("status", NUMBER, "its status", RANGE(200, 599)),
	ROW("body", TEMPLATE, "its body"),
	ROW("headers", NAMES, "its header fields", .fields = a_template),
	ROW("file", PATH, "the file with its body"),
	END
};
static const struct schema redirect[] = {
	ROW("location", TEMPLATE, "where to", FLAGS(REQUIRED)),
	ROW("status", NUMBER, "with that status (302)", RANGE(300, 399)),
	END
};

static const struct schema rule[] = {
	ROW("if", CONDITION, "only then"),
	ROW("unless", CONDITION, "only then not"),
	ROW("name", NAME, "for messages"),
	ROW("on_error", CHOICE, "when it fails, go on without it, or refuse; else its kind says",
	    .choices = on_error_words),
	ROW("args", LIST, "of `action`, `use-service` and `filter`",
	    .fields = a_template),
	ROW("action", NAME, "call a registered action",
	    FLAGS(BOTH | SCHEMA_WITH_ARGS)),
	ROW("set-header", NAMES, "these header fields alone", FLAGS(BOTH),
	    .fields = a_template),
	ROW("add-header", NAMES, "these header fields, too", FLAGS(BOTH),
	    .fields = a_template),
	ROW("del-header", NAME, "no such header field", FLAGS(BOTH)),
	ROW("set-var", NAMES, "variables, such as `txn.user`", FLAGS(BOTH),
	    .fields = an_expression),
	ROW("unset-var", NAME, "no such variable", FLAGS(BOTH)),
	ROW("set-method", TEMPLATE, "the method from here on",
	    FLAGS(REQUEST)),
	ROW("set-path", TEMPLATE, "the path", FLAGS(REQUEST)),
	ROW("set-query", TEMPLATE, "the query", FLAGS(REQUEST)),
	ROW("set-uri", TEMPLATE, "the target as a whole", FLAGS(REQUEST)),
	ROW("set-status", NUMBER, "the answer's status", FLAGS(RESPONSE),
	    RANGE(200, 599)),
	ROW("deny", MAP, "refuse", FLAGS(REQUEST), .fields = answer,
	    .brief = "status"),
	ROW("redirect", MAP, "answer with another place", FLAGS(REQUEST),
	    .fields = redirect, .brief = "location"),
	ROW("return", MAP, "answer", FLAGS(REQUEST), .fields = full_answer,
	    .brief = "status"),
	ROW("use-service", NAME, "have a registered service answer",
	    FLAGS(REQUEST | SCHEMA_WITH_ARGS)),
	ROW("set-log-level", CHOICE, "of this request's line", FLAGS(BOTH),
	    .choices = rule_log_levels),
	ROW("log", TEMPLATE, "a line into the log", FLAGS(BOTH)),
	ROW("static", PATH, "answer with a file of this folder",
	    FLAGS(REQUEST)),
	ROW("filter", NAME, "have a registered filter see the bodies",
	    FLAGS(BOTH | SCHEMA_WITH_ARGS)),
	ROW("stop", SWITCH, "no rules behind this one", FLAGS(BOTH)),
	END
};
static const struct schema a_rule[] =
	ITEM(RULE, FLAGS(SCHEMA_AS_WRITTEN | SCHEMA_REQUEST), .fields = rule);
static const struct schema a_response_rule[] =
	ITEM(RULE, FLAGS(SCHEMA_AS_WRITTEN | SCHEMA_RESPONSE), .fields = rule);

static const struct schema listener[] = {
	ROW("name", NAME, "for messages and counters"),
	ROW("address", LIST, "where it listens",
	    FLAGS(REQUIRED | SCHEMA_ALONE), .fields = an_address,
	    .env = "of the first one: `NEAP_LISTEN`, or `PORT`"),
	ROW("protocol", CHOICE, "what is spoken there", .choices = protocols,
	    .fallback = "http"),
	ROW("tls", MAP, "over TLS", .fields = tls),
	ROW("proxy_protocol", SWITCH,
	    "every connection begins with a PROXY header",
	    .fallback = "false"),
	ROW("options", MAP, "limits and times of its connections",
	    .fields = options),
	ROW("rules", LIST, "for each request, in order", .fields = a_rule),
	ROW("response_rules", LIST, "for each answer, in order",
	    .fields = a_response_rule),
	ROW("static", NAMES, "folders of files, by the paths they are under",
	    .fields = a_path),
	ROW("log_format", TEMPLATE, "a line for each request"),
	END
};
static const struct schema a_listener[] = ITEM(MAP, .fields = listener);

static const struct schema all[] = {
	SETTING_ROW("workers", WORKERS),
	ROW("load", LIST, "scripts of the shared state, in order",
	    FLAGS(SCHEMA_ALONE), .fields = a_script),
	ROW("load_per_thread", LIST, "scripts of each worker's state",
	    FLAGS(SCHEMA_ALONE), .fields = a_script),
	ROW("paths", MAP, "where scripts find modules", .fields = paths),
	ROW("libraries", LIST, "what scripts have of Lua's libraries",
	    FLAGS(SCHEMA_ALONE), .fields = a_library, .fallback = "all"),
	ROW("limits", MAP, "of every state", FLAGS(SCHEMA_FILL),
	    .fields = limits),
	ROW("log", MAP, "the server's log", FLAGS(SCHEMA_FILL),
	    .fields = log_fields),
	SETTING_ROW("drain_timeout", DRAIN_TIMEOUT),
	SETTING_ROW("cancel_timeout", CANCEL_TIMEOUT),
	SETTING_ROW("start_timeout", START_TIMEOUT),
	ROW("offload", MAP, "C functions off the loop", FLAGS(SCHEMA_FILL),
	    .fields = offload),
	ROW("console", LIST, "consoles that listen", FLAGS(SCHEMA_ALONE),
	    .fields = a_console),
	SETTING_ROW("console_history", HISTORY),
	SETTING_ROW("console_init", CONSOLE_INIT),
	SETTING_ROW("check_leaks", CHECK_LEAKS),
	ROW("listeners", LIST, "what is served", .fields = a_listener),
	END
};

const struct schema server_schema = {
	.name = "", .kind = SCHEMA_MAP, .fields = all
};

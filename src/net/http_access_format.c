/* Requests as lines. See http_access_format.h. */
#include "net/http_access_format.h"

#include <inttypes.h>
#include <uv.h>

#include "base/escape.h"
#include "net/http_access.h"

enum { FIXED = 512 }; /* what a line has besides its texts */

/* The time of day by which the lines go, made once a second. */
static void set_time(struct http_access_format *f, time_t second)
{
	struct tm tm;

	if (second == f->second && f->time[0] != '\0')
		return;
	localtime_r(&second, &tm);
	if (f->kind == HTTP_ACCESS_JSON) {
		strftime(f->time, sizeof(f->time), "%Y-%m-%dT%H:%M:%S", &tm);
		strftime(f->zone, sizeof(f->zone), "%z", &tm);
	} else {
		/* In the C locale, which nothing here changes. */
		strftime(f->time, sizeof(f->time), "%d/%b/%Y:%H:%M:%S %z", &tm);
	}
	f->second = second;
}

static void put_quoted(struct buf *b, struct http_text t)
{
	buf_puts(b, " \"");
	if (t.size == 0)
		buf_putc(b, '-');
	else
		escape_quoted(b, t.data, t.size);
	buf_putc(b, '"');
}

static void put_seconds(struct buf *b, uint64_t ns)
{
	buf_printf(b, "%" PRIu64 ".%06u", ns / 1000000000,
		   (unsigned)(ns % 1000000000 / 1000));
}

static void put_combined(struct http_access_format *f, struct buf *b,
			 const struct http_access *a)
{
	escape_quoted(b, a->remote.data, a->remote.size);
	buf_printf(b, " - - [%s] \"", f->time);
	escape_quoted(b, a->method.data, a->method.size);
	if (a->method.size > 0)
		buf_putc(b, ' ');
	escape_quoted(b, a->target.data, a->target.size);
	if (a->target.size == 0)
		buf_putc(b, '-');
	if (a->protocol.size > 0)
		buf_putc(b, ' ');
	escape_quoted(b, a->protocol.data, a->protocol.size);
	buf_printf(b, "\" %u %" PRIu64, a->status, a->sent);
	put_quoted(b, a->referer);
	put_quoted(b, a->agent);
	buf_putc(b, ' ');
	put_seconds(b, a->duration_ns);
	buf_putc(b, '\n');
}

static void put_name(struct buf *b, const char *name)
{
	buf_puts(b, ",\"");
	buf_puts(b, name);
	buf_puts(b, "\":");
}

static void put_text(struct buf *b, const char *name, struct http_text t)
{
	put_name(b, name);
	if (t.size == 0) {
		buf_puts(b, "null");
		return;
	}
	buf_putc(b, '"');
	escape_json(b, t.data, t.size);
	buf_putc(b, '"');
}

static void put_number(struct buf *b, const char *name, uint64_t n)
{
	put_name(b, name);
	buf_printf(b, "%" PRIu64, n);
}

static void put_json(struct http_access_format *f, struct buf *b,
		     const struct http_access *a, const char *route)
{
	struct http_text route_text = { route, route ? strlen(route) : 0 };

	buf_printf(b, "{\"time\":\"%s.%03u%s\"", f->time,
		   (unsigned)(a->began_ns % 1000000000 / 1000000), f->zone);
	put_text(b, "remote", a->remote);
	put_number(b, "port", a->port);
	put_text(b, "method", a->method);
	put_text(b, "target", a->target);
	put_text(b, "protocol", a->protocol);
	put_number(b, "status", a->status);
	put_number(b, "sent", a->sent);
	put_number(b, "received", a->received);
	put_name(b, "duration");
	put_seconds(b, a->duration_ns);
	put_name(b, "head");
	if (a->head_ns > 0)
		put_seconds(b, a->head_ns);
	else
		buf_puts(b, "null");
	put_name(b, "complete");
	buf_puts(b, a->complete ? "true" : "false");
	put_text(b, "referer", a->referer);
	put_text(b, "user_agent", a->agent);
	put_text(b, "route", route_text);
	buf_puts(b, "}\n");
}

int http_access_format(struct http_access_format *f, struct buf *b,
		       const struct http_access *a, const char *route)
{
	size_t size = a->remote.size + a->method.size + a->target.size +
		      a->protocol.size + a->referer.size + a->agent.size +
		      (route != NULL ? strlen(route) : 0);

	if (buf_reserve(b, FIXED + ESCAPE_MAX * size) == NULL)
		return UV_ENOMEM;
	set_time(f, (time_t)(a->began_ns / 1000000000));
	if (f->kind == HTTP_ACCESS_JSON)
		put_json(f, b, a, route);
	else
		put_combined(f, b, a);
	return 0;
}

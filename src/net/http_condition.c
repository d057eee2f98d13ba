/* Conditions of requests. See http_condition.h. */
#include "net/http_condition.h"

#include <string.h>
#include <strings.h>

#include "net/http_date.h"

static bool is_named(struct http_text t, const char *name)
{
	return t.size == strlen(name) && strncasecmp(t.data, name, t.size) == 0;
}

static bool is_etag_byte(unsigned char c)
{
	return c == '!' || (c > '"' && c != 0x7f);
}

/* The tag at @a p, its quotes with it. Returns its size, or 0. */
static size_t tag_size(const char *p, const char *end)
{
	const char *at = p;

	if (at == end || *at++ != '"')
		return 0;
	while (at < end && is_etag_byte(*at))
		at++;
	return at < end && *at == '"' ? (size_t)(at + 1 - p) : 0;
}

static bool take_weak(const char **p, const char *end)
{
	if (end - *p < 2 || memcmp(*p, "W/", 2) != 0)
		return false;
	*p += 2;
	return true;
}

bool http_etag_is_valid(struct http_text etag)
{
	const char *p = etag.data, *end = p + etag.size;

	take_weak(&p, end);
	return p < end && tag_size(p, end) == (size_t)(end - p);
}

bool http_etag_matches(struct http_text list, struct http_text etag, bool weak)
{
	const char *p = list.data, *end = p + list.size;
	const char *tag = etag.data, *tag_end = tag + etag.size;
	size_t size;

	if (list.size == 1 && *p == '*')
		return true;
	if (etag.data == NULL || (take_weak(&tag, tag_end) && !weak))
		return false;
	for (; p < end; p++) {
		bool is_weak;

		if (*p == ' ' || *p == '\t' || *p == ',')
			continue;
		is_weak = take_weak(&p, end);
		size = tag_size(p, end);
		if (size == 0)
			return false; /* no list of tags from here on */
		if ((weak || !is_weak) && size == (size_t)(tag_end - tag) &&
		    memcmp(p, tag, size) == 0)
			return true;
		p += size - 1;
	}
	return false;
}

/** What the fields of a name say together. */
enum said {
	SAID_NOTHING,
	SAID_NO,
	SAID_YES,
};

static enum said find_etag(const struct http_request *req, const char *name,
			   struct http_text etag, bool weak)
{
	size_t count = http_request_field_count(req);
	enum said said = SAID_NOTHING;

	for (size_t i = 0; i < count; i++) {
		struct http_field f = http_request_field(req, i);

		if (!is_named(f.name, name))
			continue;
		if (http_etag_matches(f.value, etag, weak))
			return SAID_YES;
		said = SAID_NO;
	}
	return said;
}

/* The only field of that name; data NULL: none, or several. */
static struct http_text only_field(const struct http_request *req,
				   const char *name)
{
	size_t count = http_request_field_count(req);
	struct http_text value = { NULL, 0 };

	for (size_t i = 0; i < count; i++) {
		struct http_field f = http_request_field(req, i);

		if (!is_named(f.name, name))
			continue;
		if (value.data != NULL)
			return (struct http_text){ NULL, 0 };
		value = f.value;
	}
	return value;
}

/* Has the thing been modified after the date in the field of that name? */
static enum said modified_since(const struct http_request *req,
				const char *name, int64_t modified)
{
	struct http_text value = only_field(req, name);
	int64_t date;

	if (value.data == NULL || modified == HTTP_NEVER_MODIFIED ||
	    !http_date_parse(value, &date))
		return SAID_NOTHING;
	return modified > date ? SAID_YES : SAID_NO;
}

static bool is_get(const struct http_request *req)
{
	const char *method = http_request_method(req);

	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

int http_condition(const struct http_request *req,
		   const struct http_validators *v)
{
	enum said said = find_etag(req, "if-match", v->etag, false);

	if (said == SAID_NO)
		return 412;
	if (said == SAID_NOTHING &&
	    modified_since(req, "if-unmodified-since", v->modified) == SAID_YES)
		return 412;
	said = find_etag(req, "if-none-match", v->etag, true);
	if (said == SAID_YES)
		return is_get(req) ? 304 : 412;
	if (said == SAID_NOTHING && is_get(req) &&
	    modified_since(req, "if-modified-since", v->modified) == SAID_NO)
		return 304;
	return 0;
}

struct http_text http_condition_range(const struct http_request *req,
				      const struct http_validators *v)
{
	const struct http_text none = { NULL, 0 };
	struct http_text range = only_field(req, "range");
	struct http_text since = only_field(req, "if-range");
	int64_t date;

	if (range.data == NULL || strcmp(http_request_method(req), "GET") != 0)
		return none;
	if (since.data == NULL)
		return range;
	if (http_etag_is_valid(since))
		return http_etag_matches(since, v->etag, false) ? range : none;
	if (v->modified == HTTP_NEVER_MODIFIED ||
	    !http_date_parse(since, &date) || date != v->modified)
		return none;
	return range;
}

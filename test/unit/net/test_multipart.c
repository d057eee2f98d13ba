/* Forms of type multipart/form-data: each row whole, and cut at every place. */
#include "unit.h"

#include "net/multipart.h"

static struct http_text text_of(const char *s)
{
	return (struct http_text){ s, strlen(s) };
}

static void add(char *out, const char *label, struct http_text t)
{
	size_t at = strlen(out);

	if (t.data != NULL)
		snprintf(out + at, 4096 - at, "%s%.*s", label, (int)t.size,
			 t.data);
}

/* "name/filename/type=bytes;" of each part, "." at the end or "!". */
static enum multipart_event take(struct multipart *m, char *out)
{
	enum multipart_event event;

	while (true) {
		event = multipart_next(m);
		switch (event) {
		case MULTIPART_BEGIN:
			add(out, "", m->name);
			add(out, "/", m->filename);
			add(out, "/", m->type);
			add(out, "=", text_of(""));
			break;
		case MULTIPART_DATA:
			add(out, "", m->data);
			break;
		case MULTIPART_PART_END:
			add(out, ";", text_of(""));
			break;
		case MULTIPART_END:
			add(out, ".", text_of(""));
			return event;
		case MULTIPART_BAD:
			assert_non_null(m->why);
			add(out, "!", text_of(""));
			return event;
		default:
			return event;
		}
	}
}

/* Parse @a body in pieces of @a step bytes. */
static void parse(const char *body, size_t step, char out[4096])
{
	static const struct multipart_limits limits = { 3, 130 };
	size_t size = strlen(body);
	struct multipart m;

	*out = '\0';
	multipart_create(&m, text_of("xX"), &limits);
	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		assert_int_equal(multipart_feed(&m, body + at, n), 0);
		if (take(&m, out) != MULTIPART_MORE)
			break;
	}
	multipart_destroy(&m);
}

#define PART(fields) "--xX\r\nContent-Disposition: form-data; " fields "\r\n"
#define TEN          "0123456789"

static void test_bodies(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} rows[] = {
		{ PART("name=\"a\"") "\r\nb\r\n--xX--\r\n", "a=b;." },
		{ PART("name=a") "\r\nb\r\n--xX--", "a=b;." },
		{ PART("name=a") "\r\n\r\n--xX--", "a=;." },
		{ PART("name=a") "\r\n--xX--", "a=;." },
		{ PART("name=a") "\r\n\r\n\r\n--xX--", "a=\r\n;." },
		{ PART("name=a") "\r\n--x\r\n--xX--", "a=--x;." },
		{ PART("name=a") "\r\n\r\n--x\r\n--xX--", "a=\r\n--x;." },
		{ PART("name=a") "\r\n--xX\r\n", "a=;" },
		{ PART("name=a") "\r\n\r\n--xY\r\r\n--xX--", "a=\r\n--xY\r;." },
		{ PART("name=\"a;\\\"b\"; filename=\"x;y\"") "Content-Type: text/plain; a=b \r\nX-Other: z\r\n\r\nc\r\n"
							     "--xX--",
		  "a;\\\"b/x;y/text/plain; a=b=c;." },
		{ PART("NAME=a; FileName=\"\"") "\r\nb\r\n--xX--", "a/=b;." },
		{ "before\r\n" PART("name=a") "\r\nb\r\n--xX--after", "a=b;." },
		{ PART("name=a") "\r\nb\r\n" PART("name=c") "\r\nd\r\n--xX--",
		  "a=b;c=d;." },
		{ "--xX \t\r\nContent-Disposition: form-data; name=a\r\n\r\n"
		  "b\r\n--xX--",
		  "a=b;." },
		{ "--xX--", "." },
		{ PART("name=a") "\r\nb\r\n--xX", "a=b;" },
		{ PART("name=a") "\r\nb\r\n--xXcc", "a=b;!" },
		{ PART("name=a") "\r\nb\r\n--xX\nc", "a=b;!" },
		{ "--xX\r\n\r\nb\r\n--xX--", "!" },
		{ "--xX\r\nContent-Type: a/b\r\n\r\nb\r\n--xX--", "!" },
		{ "--xX\r\nContent-Disposition: attachment; name=a\r\n\r\nb",
		  "!" },
		{ "--xX\r\nbroken\r\n\r\n", "!" },
		{ "--xX\r\n: a\r\n\r\n", "!" },
		{ PART("name=a") "X: a\nb\r\n\r\n", "!" },
		{ PART("name=a") "\r\n1\r\n" PART("name=a") "\r\n2\r\n" PART(
			  "name=a") "\r\n3\r\n" PART("name=a") "\r\n4\r\n",
		  "a=1;a=2;a=3;!" },
		{ PART("name=a") "X: " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
				 "\r\n\r\n",
		  "!" },
		{ TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
		  "\r\n--xX--",
		  "!" },
		{ "--yY\r\n", "" },
	};
	char got[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t step = 1; step <= strlen(rows[i].body); step++) {
			parse(rows[i].body, step, got);
			assert_string_equal(got, rows[i].want);
		}
	}
}

/* A name in the extended form of RFC 8187 goes before the plain one, if it is one. */
static void test_extended_names(void **state)
{
	static const struct {
		const char *fields;
		const char *want;
	} rows[] = {
		{ "filename*=UTF-8''%e2%82%ac%20x.txt", "\xe2\x82\xac x.txt" },
		{ "filename=e.txt; filename*=utf-8'de'%E2%82%AC.txt",
		  "\xe2\x82\xac.txt" },
		{ "filename*=utf-8''x; filename=\"e\"", "x" },
		{ "filename*=\"UTF-8''a%3Bb\"", "a;b" },
		{ "filename*=iso-8859-1'en'%A3%20rates", "\xc2\xa3 rates" },
		{ "filename*=UTF-8''%22%3b%20name%3dother", "\"; name=other" },
		{ "filename*=UTF-8''..%2f..%2fx", "../../x" }, /* as plain */
		{ "filename*=UTF-8''", "" },
		/* Those that are none: the plain one is there. */
		{ "filename=e; filename*=UTF-8''%zz", "e" },
		{ "filename=e; filename*=UTF-8''%e", "e" },
		{ "filename=e; filename*=UTF-8''%e2%82", "e" },
		{ "filename=e; filename*=UTF-8''%c0%ae", "e" },
		{ "filename=e; filename*=UTF-8''a%00b", "e" },
		{ "filename=e; filename*=UTF-8''a%0d%0aX: y", "e" },
		{ "filename=e; filename*=UTF-8''a%7f", "e" },
		{ "filename=e; filename*=iso-8859-1''%85", "e" },
		{ "filename=e; filename*=UTF-8''\xe2\x82\xac", "e" },
		{ "filename=e; filename*=UTF-8'x", "e" },
		{ "filename=e; filename*=x", "e" },
		{ "filename=e; filename*", "e" },
		{ "filename=e; filename*=UTF-16''%00x", "e" },
		{ "filename=e; name*=UTF-8''b",
		  "e" }, /* of names there is none */
		/* And without: it is a file all the same. */
		{ "filename*=UTF-8''%zz", "" },
	};
	char body[200], want[100], got[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sprintf(body, PART("name=a; %s") "\r\nb\r\n--xX--",
			rows[i].fields);
		sprintf(want, "a/%s=b;.", rows[i].want);
		for (size_t step = 1; step <= strlen(body); step++) {
			parse(body, step, got);
			assert_string_equal(got, want);
		}
	}
}

static void check_boundary(const char *type, const char *want)
{
	struct http_text got = multipart_boundary(text_of(type));

	if (want == NULL) {
		assert_null(got.data);
		return;
	}
	assert_int_equal(got.size, strlen(want));
	assert_memory_equal(got.data, want, got.size);
}

static void test_boundary(void **state)
{
	(void)state;
	check_boundary("multipart/form-data; boundary=abc", "abc");
	check_boundary("Multipart/Form-Data ;x=y; Boundary=\"a b;c\"", "a b;c");
	check_boundary("multipart/form-data", NULL);
	check_boundary("multipart/form-data; boundary=", NULL);
	check_boundary("multipart/form-data; boundary=\"\"", NULL);
	check_boundary("multipart/form-data; boundary=\"a \"", NULL);
	check_boundary("multipart/mixed; boundary=abc", NULL);
	check_boundary("multipart/form-datax; boundary=abc", NULL);
	check_boundary(
		"multipart/form-data; boundary=" TEN TEN TEN TEN TEN TEN TEN,
		TEN TEN TEN TEN TEN TEN TEN);
	check_boundary(
		"multipart/form-data; boundary=" TEN TEN TEN TEN TEN TEN TEN
		"1",
		NULL);
	check_boundary("multipart/form-data; boundary=\"a\tb\"", NULL);
	check_boundary("", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_boundary),
		cmocka_unit_test(test_extended_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

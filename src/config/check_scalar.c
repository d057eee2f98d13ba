/* Values that are no lists and no maps. See check_scalar.h. */
#include "config/check_scalar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/problems.h"
#include "config/values.h"

/* Of a text that is not as it should be so much is shown. */
enum { SHOWN_MAX = 60, SECRET_MAX = 4096 };

static const char wanted_duration[] = "a duration such as 500ms, 2s or 1m";
static const char wanted_size[] = "a size in bytes, such as 512K, 64M or 2G";
static const char wanted_switch[] = "true or false";
static const char wanted_path[] = "a path";

struct config_node *check_new(struct check *c, enum config_type type)
{
	struct config_node *n = config_node_new(c->target->tree, type);

	if (n == NULL)
		c->target->problems->no_memory = true;
	return n;
}

static const char *keep(struct check *c, const char *text, size_t size)
{
	const char *copy = arena_strndup(&c->target->tree->arena, text, size);

	if (copy == NULL)
		c->target->problems->no_memory = true;
	return copy;
}

void check_refuse(struct check *c, const struct config_node *n,
		  const char *wanted, ...)
{
	struct buf b = { 0 };
	va_list ap;

	va_start(ap, wanted);
	if (buf_vprintf(&b, wanted, ap) != 0)
		c->target->problems->no_memory = true;
	va_end(ap);
	buf_putc(&b, '\0');
	switch (n->type) {
	case CONFIG_MAP:
		problems_at(c->target->problems, n, "expected %s, got a map",
			    b.data);
		break;
	case CONFIG_LIST:
		problems_at(c->target->problems, n, "expected %s, got a list",
			    b.data);
		break;
	case CONFIG_NIL:
		problems_at(c->target->problems, n, "expected %s, got nothing",
			    b.data);
		break;
	default:
		if (n->secret)
			problems_at(c->target->problems, n,
				    "expected %s, got another text", b.data);
		else
			problems_at(c->target->problems, n,
				    "expected %s, got '%.*s'%s", b.data,
				    SHOWN_MAX, n->text,
				    strlen(n->text) > SHOWN_MAX ? ".." : "");
	}
	buf_destroy(&b);
}

const char *check_wanted(const struct schema *s)
{
	static const char *const words[] = {
		[SCHEMA_TEXT] = "a text",
		[SCHEMA_NAME] = "a name",
		[SCHEMA_EXPRESSION] = "an expression as a text",
		[SCHEMA_CONDITION] = "a condition as a text (one that begins "
				     "with { needs quotes)",
		[SCHEMA_TEMPLATE] = "a template as a text",
		[SCHEMA_CHOICE] = "one of a few words",
		[SCHEMA_SWITCH] = wanted_switch,
		[SCHEMA_NUMBER] = "a whole number",
		[SCHEMA_DURATION] = wanted_duration,
		[SCHEMA_SIZE] = wanted_size,
		[SCHEMA_PATH] = wanted_path,
		[SCHEMA_PATTERN] = "a path with a ? for the module's name",
		[SCHEMA_ADDRESS] = "HOST:PORT, :PORT, [ADDRESS]:PORT, "
				   "unix:PATH or fd:NAME",
		[SCHEMA_MODE] = "a mode such as '0600'",
		[SCHEMA_SECRET_FILE] = wanted_path,
		[SCHEMA_SETTING] = "a text",
		[SCHEMA_LIST] = "a list",
		[SCHEMA_NAMES] = "a map of names",
		[SCHEMA_MAP] = "a map of settings",
		[SCHEMA_RULE] = "a map with an action",
	};

	return words[s->kind];
}

static void set_number(struct config_node *n, double v)
{
	n->type = CONFIG_NUMBER;
	n->number = v;
}

static bool set_switch(struct config_node *n)
{
	int v = config_switch(n->text);

	if (v < 0)
		return false;
	n->type = CONFIG_BOOLEAN;
	n->boolean = v == 1;
	return true;
}

static bool is_choice(const struct schema *s, const char *text)
{
	for (int i = 0; s->choices[i] != NULL; i++) {
		if (strcmp(s->choices[i], text) == 0)
			return true;
	}
	return false;
}

static void check_choice(struct check *c, const struct config_node *n,
			 const struct schema *s)
{
	struct buf b = { 0 };

	if (n->type == CONFIG_TEXT && is_choice(s, n->text))
		return;
	for (int i = 0; s->choices[i] != NULL; i++)
		buf_printf(&b, "%s%s", i == 0 ? "" : ", ", s->choices[i]);
	check_refuse(c, n, "one of %.*s", (int)b.size,
		     b.data == NULL ? "" : b.data);
	buf_destroy(&b);
}

/* Of at most nine digits. */
static bool parse_whole(const char *text, double *ret)
{
	size_t size = strlen(text);

	if (size == 0 || size > 9 || strspn(text, "0123456789") != size)
		return false;
	*ret = (double)strtoul(text, NULL, 10);
	return true;
}

static void check_number(struct check *c, struct config_node *n,
			 const struct schema *s)
{
	double v;

	if (parse_whole(n->text, &v) && v >= s->min && v <= s->max)
		set_number(n, v);
	else
		check_refuse(c, n, "a whole number from %.0f to %.0f", s->min,
			     s->max);
}

static void check_duration(struct check *c, struct config_node *n)
{
	double v = config_duration(n->text);

	if (v >= 0)
		set_number(n, v);
	else
		check_refuse(c, n, "%s", wanted_duration);
}

static void check_size(struct check *c, struct config_node *n,
		       const struct schema *s)
{
	uint64_t v = config_size(n->text);

	if (v == UINT64_MAX)
		check_refuse(c, n, "%s", wanted_size);
	else if (s->max != 0 && (double)v > s->max)
		check_refuse(c, n, "a size up to %.0f bytes", s->max);
	else
		set_number(n, (double)v);
}

/* An absolute path of @a prefix_size bytes as they are, and a path. */
static void resolve(struct check *c, struct config_node *n, size_t prefix_size)
{
	const char *path = n->text + prefix_size, *kept;
	struct buf b = { 0 };

	if (*path == '/')
		return;
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	if (buf_printf(&b, "%.*s%s/%s", (int)prefix_size, n->text,
		       strcmp(c->target->folder, "/") == 0 ? ""
							   : c->target->folder,
		       path) != 0) {
		c->target->problems->no_memory = true;
	} else {
		kept = keep(c, b.data, b.size);
		n->text = kept == NULL ? n->text : kept;
	}
	buf_destroy(&b);
}

static void check_path(struct check *c, struct config_node *n,
		       const struct schema *s)
{
	if (*n->text == '\0')
		check_refuse(c, n, "%s", check_wanted(s));
	else
		resolve(c, n, 0);
}

static void check_address(struct check *c, struct config_node *n,
			  const struct schema *s)
{
	if (!config_is_address(n->text))
		check_refuse(c, n, "%s", check_wanted(s));
	else if (strncmp(n->text, "unix:", 5) == 0 && n->text[5] != '@')
		resolve(c, n, 5);
	if (strncmp(n->text, "unix:", 5) == 0 &&
	    strlen(n->text + 5) >= sizeof((struct sockaddr_un *)0)->sun_path)
		check_refuse(c, n, "the path of a socket of at most %zu bytes",
			     sizeof((struct sockaddr_un *)0)->sun_path - 1);
}

static void check_mode(struct check *c, struct config_node *n,
		       const struct schema *s)
{
	size_t size = strlen(n->text);

	if (size < 3 || size > 4 || strspn(n->text, "01234567") != size)
		check_refuse(c, n, "%s", check_wanted(s));
}

/* The file's text, to the first newline. Returns an errno, or 0. */
static int read_secret(const char *path, char *to, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err = 0;
	struct stat st;
	size_t size = 0;
	ssize_t got = 1;

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) != 0 || S_ISFIFO(st.st_mode)) {
		close(fd);
		return ESPIPE; /* it might never come */
	}
	while (got > 0 && size < SECRET_MAX) {
		got = read(fd, to + size, SECRET_MAX - size);
		if (got > 0)
			size += (size_t)got;
		else if (got < 0 && errno == EINTR)
			got = 1;
		else if (got < 0)
			err = errno;
	}
	close(fd);
	if (err == 0 && size == SECRET_MAX)
		return EFBIG;
	to[size] = '\0';
	*ret_size = strcspn(to, "\r\n");
	return err;
}

/* "password_file" becomes "password", with the text of that file. */
static void check_secret_file(struct check *c, struct config_node *n,
			      const struct schema *s)
{
	size_t name_size = strlen(s->name) - strlen("_file"), size = 0;
	char text[SECRET_MAX + 1];
	const char *name = keep(c, s->name, name_size), *kept;
	int err;

	check_path(c, n, s);
	if (*n->text != '/' || name == NULL)
		return;
	if (config_find(n->parent, name) != NULL) {
		problems_at_name(c->target->problems, n,
				 "there is '%s' already", name);
		return;
	}
	err = read_secret(n->text, text, &size);
	if (err != 0) {
		problems_at(c->target->problems, n, "cannot read '%s': %s",
			    n->text,
			    err == ESPIPE ? "it is a pipe" : strerror(err));
		return;
	}
	kept = keep(c, text, size);
	explicit_bzero(text, sizeof text);
	if (kept == NULL)
		return;
	n->name = name;
	n->text = kept;
	n->secret = true;
}

/* The text of @a n as the setting takes it, in @a to; NULL: it is none. */
static const char *text_of_setting(struct check *c, struct config_node *n,
				   const struct setting *t, char to[32])
{
	double seconds;

	switch (t->kind) {
	case SETTING_SECONDS:
	case SETTING_MILLISECONDS:
		seconds = config_duration(n->text);
		if (seconds < 0)
			return NULL;
		snprintf(to, 32, "%.9f",
			 t->kind == SETTING_SECONDS ? seconds : seconds * 1e3);
		return to;
	case SETTING_TEXT:
		if (*n->text != '\0')
			resolve(c, n, 0);
		return n->text;
	default:
		return n->text;
	}
}

static void refuse_setting(struct check *c, const struct config_node *n,
			   enum setting_id id)
{
	const struct setting *t = &settings_table[id];
	struct buf b = { 0 };

	if (t->kind == SETTING_SECONDS) {
		check_refuse(c, n, "%s", wanted_duration);
	} else if (t->kind == SETTING_MILLISECONDS) {
		check_refuse(c, n, "%s, up to %ums", wanted_duration,
			     t->largest);
	} else if (t->kind == SETTING_SWITCH) {
		check_refuse(c, n, "%s", wanted_switch);
	} else {
		settings_put_wanted(id, &b);
		check_refuse(c, n, "%s", b.data == NULL ? "" : b.data);
		buf_destroy(&b);
	}
}

/* The value of a setting in its type. */
static void set_typed(struct config_node *n, const struct settings *s,
		      enum setting_id id)
{
	switch (settings_table[id].kind) {
	case SETTING_SECONDS:
	case SETTING_MILLISECONDS:
		set_number(n, settings_seconds(s, id));
		break;
	case SETTING_NUMBER:
		set_number(n, settings_number(s, id));
		break;
	case SETTING_SIZE:
		set_number(n, (double)settings_size(s, id));
		break;
	case SETTING_SWITCH:
		n->type = CONFIG_BOOLEAN;
		n->boolean = settings_switch(s, id);
		break;
	default:
		n->type = settings_text(s, id) == NULL ? CONFIG_NIL
						       : CONFIG_TEXT;
	}
}

void check_setting_in_force(struct check *c, struct config_node *n,
			    enum setting_id id)
{
	const struct settings *s = c->target->settings;
	const char *text = settings_text(s, id);
	enum setting_origin origin = s->values[id].origin;

	if (origin != n->origin) {
		n->origin = origin;
		n->from = origin == ORIGIN_ENV    ? settings_table[id].env
			  : origin == ORIGIN_FLAG ? settings_table[id].flag
						  : NULL;
		n->text = text == NULL ? "" : keep(c, text, strlen(text));
	}
	set_typed(n, s, id);
}

static void check_setting(struct check *c, struct config_node *n,
			  enum setting_id id)
{
	char room[32];
	const char *text = text_of_setting(c, n, &settings_table[id], room);

	if (text == NULL || !settings_take(id, text)) {
		refuse_setting(c, n, id);
		return;
	}
	if (settings_set(c->target->settings, id, text, ORIGIN_FILE) != 0)
		c->target->problems->no_memory = true;
	else
		check_setting_in_force(c, n, id);
}

void check_scalar(struct check *c, struct config_node *n,
		  const struct schema *s)
{
	if (n->type != CONFIG_TEXT) {
		if (s->kind == SCHEMA_SETTING)
			refuse_setting(c, n, s->setting);
		else if (s->kind == SCHEMA_CHOICE)
			check_choice(c, n, s);
		else
			check_refuse(c, n, "%s", check_wanted(s));
		return;
	}
	switch (s->kind) {
	case SCHEMA_NAME:
	case SCHEMA_EXPRESSION:
	case SCHEMA_CONDITION:
		if (*n->text == '\0')
			check_refuse(c, n, "%s", check_wanted(s));
		break;
	case SCHEMA_CHOICE:
		check_choice(c, n, s);
		break;
	case SCHEMA_SWITCH:
		if (!set_switch(n))
			check_refuse(c, n, "%s", wanted_switch);
		break;
	case SCHEMA_NUMBER:
		check_number(c, n, s);
		break;
	case SCHEMA_DURATION:
		check_duration(c, n);
		break;
	case SCHEMA_SIZE:
		check_size(c, n, s);
		break;
	case SCHEMA_PATH:
		check_path(c, n, s);
		break;
	case SCHEMA_PATTERN:
		if (strchr(n->text, '?') == NULL)
			check_refuse(c, n, "%s", check_wanted(s));
		else
			resolve(c, n, 0);
		break;
	case SCHEMA_ADDRESS:
		check_address(c, n, s);
		break;
	case SCHEMA_MODE:
		check_mode(c, n, s);
		break;
	case SCHEMA_SECRET_FILE:
		check_secret_file(c, n, s);
		break;
	case SCHEMA_SETTING:
		check_setting(c, n, s->setting);
		break;
	default:
		break;
	}
}

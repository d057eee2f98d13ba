/* The schema told to programs. See explain.h. */
#include "config/explain.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/escape.h"
#include "config/schema.h"

/* Maps that have been told, and as what. */
enum { TOLD_MAX = 64, KEY_MAX = 256 };

struct explain {
	struct buf *b;
	int rc; /* the first failure: out of memory */
	struct {
		const struct schema *fields;
		char key[KEY_MAX];
	} told[TOLD_MAX];
	unsigned count;
};

static const char *const types[] = {
	[SCHEMA_TEXT] = "text",
	[SCHEMA_NAME] = "name",
	[SCHEMA_EXPRESSION] = "expression",
	[SCHEMA_CONDITION] = "condition",
	[SCHEMA_TEMPLATE] = "template",
	[SCHEMA_CHOICE] = "choice",
	[SCHEMA_SWITCH] = "switch",
	[SCHEMA_NUMBER] = "number",
	[SCHEMA_DURATION] = "duration",
	[SCHEMA_SIZE] = "size",
	[SCHEMA_PATH] = "path",
	[SCHEMA_PATTERN] = "pattern of paths",
	[SCHEMA_ADDRESS] = "address",
	[SCHEMA_MODE] = "mode",
	[SCHEMA_SECRET_FILE] = "path",
	[SCHEMA_LIST] = "list",
	[SCHEMA_NAMES] = "map of names",
	[SCHEMA_MAP] = "map",
	[SCHEMA_RULE] = "rule",
};

static const char *const setting_types[] = {
	[SETTING_TEXT] = "path",        [SETTING_CHOICE] = "choice",
	[SETTING_SECONDS] = "duration", [SETTING_MILLISECONDS] = "duration",
	[SETTING_SWITCH] = "switch",    [SETTING_NUMBER] = "number",
	[SETTING_SIZE] = "size",
};

static void put(struct explain *e, const char *text)
{
	if (e->rc == 0)
		e->rc = buf_puts(e->b, text);
}

/* ", "NAME": "TEXT"". */
static void put_field(struct explain *e, const char *name, const char *text)
{
	size_t size;

	if (text == NULL)
		return;
	size = strlen(text);
	if (e->rc == 0)
		e->rc = buf_printf(e->b, ", \"%s\": \"", name);
	if (e->rc == 0 && buf_reserve(e->b, size * ESCAPE_MAX + 1) == NULL)
		e->rc = -1;
	if (e->rc == 0)
		escape_json(e->b, text, size);
	put(e, "\"");
}

static void put_choices(struct explain *e, const char *const *choices)
{
	if (choices == NULL)
		return;
	put(e, ", \"choices\": [");
	for (int i = 0; choices[i] != NULL; i++) {
		put(e, i == 0 ? "\"" : ", \"");
		put(e, choices[i]);
		put(e, "\"");
	}
	put(e, "]");
}

static void put_range(struct explain *e, double min, double max)
{
	if (max != 0 && e->rc == 0)
		e->rc = buf_printf(e->b, ", \"min\": %.0f, \"max\": %.0f", min,
				   max);
}

static void put_setting(struct explain *e, enum setting_id id)
{
	const struct setting *t = &settings_table[id];
	struct buf text = { 0 };
	const char *unit = t->kind == SETTING_SECONDS        ? "s"
			   : t->kind == SETTING_MILLISECONDS ? "ms"
							     : "";

	put_field(e, "help", t->help);
	if (t->fallback != NULL && t->kind == SETTING_SWITCH) {
		put_field(e, "default", *t->fallback == '0' ? "false" : "true");
	} else if (t->fallback != NULL) {
		if (buf_printf(&text, "%s%s%c", t->fallback, unit, '\0') != 0)
			e->rc = -1;
		else
			put_field(e, "default", text.data);
	}
	buf_destroy(&text);
	put_choices(e, t->choices);
	if (t->kind == SETTING_NUMBER)
		put_range(e, 1, t->largest);
	put_field(e, "variable", t->env);
	put_field(e, "flag", t->flag);
}

static void put_rules(struct explain *e, const struct schema *f)
{
	if (!(f->flags & SCHEMA_ACTION))
		return;
	put_field(e, "rules",
		  !(f->flags & SCHEMA_RESPONSE)  ? "rules"
		  : !(f->flags & SCHEMA_REQUEST) ? "response_rules"
						 : "both");
}

/* The key that has the same fields; NULL: this one is the first. */
static const char *told_as(struct explain *e, const struct schema *fields,
			   const char *key)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (e->told[i].fields == fields)
			return e->told[i].key;
	}
	if (e->count < TOLD_MAX) {
		e->told[e->count].fields = fields;
		memcpy(e->told[e->count++].key, key, strlen(key) + 1);
	}
	return NULL;
}

/* What is in the lists and maps of names around it: "[]", "{}". */
static const struct schema *inner(const struct schema *f, char *key)
{
	while (f->kind == SCHEMA_LIST || f->kind == SCHEMA_NAMES) {
		strncat(key, f->kind == SCHEMA_LIST ? "[]" : ".NAME",
			KEY_MAX - strlen(key) - 1);
		f = f->fields;
	}
	return f;
}

static void explain(struct explain *e, const char *prefix,
		    const struct schema *fields);

static void explain_field(struct explain *e, const char *prefix,
			  const struct schema *f)
{
	char key[KEY_MAX] = "";
	const struct schema *in;
	const char *same = NULL;

	strncat(key, prefix, KEY_MAX - 1);
	strncat(key, f->name, KEY_MAX - strlen(key) - 1);
	put(e, e->b->size == 1 ? "{\"key\": \"" : ",\n{\"key\": \"");
	put(e, key);
	put(e, "\"");
	in = inner(f, key);
	put_field(e, "type",
		  f->kind == SCHEMA_SETTING
			  ? setting_types[settings_table[f->setting].kind]
			  : types[f->kind]);
	if (in != f)
		put_field(e, "of", types[in->kind]);
	if (f->kind == SCHEMA_SETTING) {
		put_setting(e, f->setting);
	} else {
		put_field(e, "help", f->help);
		put_field(e, "default", f->fallback);
		put_choices(e, in->choices);
		put_range(e, in->min, in->max);
		put_field(e, "variable", f->env);
	}
	put_field(e, "brief", in->brief);
	put_rules(e, f);
	if (f->flags & SCHEMA_REQUIRED)
		put(e, ", \"required\": true");
	if (f->flags & SCHEMA_ALONE)
		put(e, ", \"alone\": true");
	if (in->fields != NULL)
		same = told_as(e, in->fields, key);
	put_field(e, "same_as", same);
	put(e, "}");
	if (in->fields == NULL || same != NULL)
		return;
	strncat(key, ".", KEY_MAX - strlen(key) - 1);
	explain(e, key, in->fields);
}

static void explain(struct explain *e, const char *prefix,
		    const struct schema *fields)
{
	for (const struct schema *f = fields; f->name != NULL; f++)
		explain_field(e, prefix, f);
}

int config_explain(struct buf *b)
{
	struct explain e = { .b = b };

	put(&e, "[");
	explain(&e, "", server_schema.fields);
	put(&e, "]\n");
	if (e.rc == 0)
		return 0;
	diag_set_oom(b->size, "the schema");
	return -1;
}

/* Patterns of one kind, and which of them a text matches. See pattern_index.h. */
#include "app/pattern_index.h"

#include <string.h>

#include "base/diag.h"
#include "base/inject.h"

const char *const pattern_method_names[PATTERN_METHODS] = {
	[PATTERN_STR] = "str", [PATTERN_BEG] = "beg", [PATTERN_END] = "end",
	[PATTERN_SUB] = "sub", [PATTERN_DIR] = "dir", [PATTERN_DOM] = "dom",
	[PATTERN_REG] = "reg", [PATTERN_IP] = "ip",   [PATTERN_INT] = "int",
	[PATTERN_LEN] = "len",
};

int pattern_method_parse(const char *name)
{
	for (int i = 0; i < PATTERN_METHODS; i++) {
		if (strcmp(pattern_method_names[i], name) == 0)
			return i;
	}
	return -1;
}

static bool is_tree(enum pattern_method m)
{
	return m == PATTERN_STR || m == PATTERN_BEG || m == PATTERN_END ||
	       m == PATTERN_IP;
}

void pattern_index_create(struct pattern_index *x, enum pattern_method method,
			  bool fold)
{
	*x = (struct pattern_index){ .method = method, .fold = fold };
	x->tree.reversed = method == PATTERN_END;
	x->tree.fold = fold && method != PATTERN_IP;
	list_init(&x->items);
}

void pattern_index_destroy(struct pattern_index *x)
{
	pattern_tree_destroy(&x->tree);
	pattern_tree_destroy(&x->tree6);
	list_init(&x->items);
	x->count = 0;
}

/* --- making items --- */

/* A whole number; the rest of the text begins at *ret_end. */
static bool parse_number(const char *text, const char *end, int64_t *ret,
			 const char **ret_end)
{
	bool minus = text < end && *text == '-';
	const char *p = minus ? text + 1 : text;
	const char *first = p;
	int64_t n = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, *p - '0', &n))
			return false;
	}
	if (p == first || (!minus && n == INT64_MIN))
		return false;
	*ret = minus ? n : -n;
	*ret_end = p;
	return true;
}

/* "5", "5:9", ":9", "5:"; and "5-9" */
static bool parse_range(const char *text, size_t size, int64_t *ret_low,
			int64_t *ret_high)
{
	const char *end = text + size, *p = text;

	if (size == 0 || (size == 1 && *text == ':'))
		return false;
	*ret_low = INT64_MIN;
	if (*p != ':' && !parse_number(p, end, ret_low, &p))
		return false;
	*ret_high = *ret_low;
	if (p == end)
		return true;
	if (*p != ':' && (*p != '-' || p + 1 == end || p[1] == '-'))
		return false;
	*ret_high = INT64_MAX;
	if (++p == end)
		return true;
	return parse_number(p, end, ret_high, &p) && p == end &&
	       *ret_low <= *ret_high;
}

static int refuse(const char *text, size_t size, const char *what)
{
	int shown = size > 100 ? 100 : (int)size;

	diag_set(IllegalParams, "'%.*s%s' is no %s", shown, text,
		 (size_t)shown < size ? ".." : "", what);
	return -1;
}

static int make_regex(struct pattern_item *item, bool fold)
{
	item->regex = mem_zalloc(PATTERN_READERS * sizeof(struct regex *));
	if (item->regex == NULL) {
		diag_set_oom(PATTERN_READERS * sizeof(struct regex *),
			     "a pattern");
		return -1;
	}
	/* The first reader's: so it is known to be one. */
	item->regex[0] =
		regex_new(item->text, item->size, fold ? REGEX_IGNORE_CASE : 0);
	if (item->regex[0] != NULL)
		return 0;
	mem_free(item->regex);
	return -1;
}

static bool is_delimiter(enum pattern_method m, char c)
{
	if (c == '/' || c == '?')
		return true;
	return m == PATTERN_DOM && (c == '.' || c == ':');
}

/* What is at its ends does not count. */
static void trim(struct pattern_item *item, enum pattern_method m)
{
	while (item->size > 0 && is_delimiter(m, item->text[0])) {
		item->text++;
		item->size--;
	}
	while (item->size > 0 && is_delimiter(m, item->text[item->size - 1]))
		item->size--;
}

int pattern_item_create(struct pattern_item *item,
			const struct pattern_index *x, const char *text,
			size_t size)
{
	memset(item, 0, sizeof *item);
	list_init(&item->link);
	item->text = text;
	item->size = size;
	switch (x->method) {
	case PATTERN_REG:
		return make_regex(item, x->fold);
	case PATTERN_IP:
		if (!address_parse(text, size, &item->network))
			return refuse(text, size, "IP address or network");
		item->leaf.key = (struct pattern_key){
			item->network.bytes,
			sizeof item->network.bytes,
			item->network.bits,
		};
		return 0;
	case PATTERN_INT:
	case PATTERN_LEN:
		if (!parse_range(text, size, &item->low, &item->high))
			return refuse(text, size,
				      "whole number or range such as 10:20");
		return 0;
	case PATTERN_DIR:
	case PATTERN_DOM:
		trim(item, x->method);
		return 0;
	default:
		item->leaf.key = (struct pattern_key){ (const uint8_t *)text,
						       size, size * 8 };
		return 0;
	}
}

void pattern_item_destroy(struct pattern_item *item, enum pattern_method method)
{
	if (method != PATTERN_REG || item->regex == NULL)
		return;
	for (int i = 0; i < PATTERN_READERS; i++)
		regex_delete(item->regex[i]);
	mem_free(item->regex);
	item->regex = NULL;
}

static struct pattern_tree *tree_of(struct pattern_index *x,
				    const struct pattern_item *item)
{
	return x->method == PATTERN_IP && item->network.is_v6 ? &x->tree6
							      : &x->tree;
}

int pattern_index_add(struct pattern_index *x, struct pattern_item *item)
{
	if (x->method == PATTERN_REG && x->count == PATTERN_REGEX_MAX) {
		diag_set(ClientError,
			 "there are %d regular expressions already, which is "
			 "the most",
			 PATTERN_REGEX_MAX);
		return -1;
	}
	if (!is_tree(x->method)) {
		list_add_tail(&x->items, &item->link);
	} else if (pattern_tree_add(tree_of(x, item), &item->leaf) != 0) {
		diag_set(OutOfMemory, "not enough memory for a pattern");
		return -1;
	}
	x->count++;
	return 0;
}

void pattern_index_remove(struct pattern_index *x, struct pattern_item *item)
{
	if (is_tree(x->method))
		pattern_tree_remove(tree_of(x, item), &item->leaf);
	else
		list_del(&item->link);
	x->count--;
}

/* --- looking up --- */

static struct pattern_item *item_of(struct pattern_leaf *leaf)
{
	return leaf == NULL ? NULL
			    : list_entry(leaf, struct pattern_item, leaf);
}

static bool note_first(struct pattern_leaf *leaf, void *arg)
{
	struct pattern_item **first = arg, *item = item_of(leaf);

	if (*first == NULL || item->order < (*first)->order)
		*first = item;
	return true;
}

static struct pattern_item *find_network(const struct pattern_index *x,
					 const char *text, size_t size)
{
	struct address a;

	if (!address_parse_host(text, size, &a))
		return NULL;
	address_unmap(&a);
	return item_of(pattern_tree_longest(
		a.is_v6 ? &x->tree6 : &x->tree,
		&(struct pattern_key){ a.bytes, sizeof a.bytes, a.bits }));
}

static char fold_byte(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Where @a item begins in the text from @a from on, or NULL. */
static const char *search(const struct pattern_item *item, bool fold,
			  const char *from, const char *end)
{
	if (!fold)
		return memmem(from, (size_t)(end - from), item->text,
			      item->size);
	for (; (size_t)(end - from) >= item->size; from++) {
		size_t i = 0;

		while (i < item->size &&
		       fold_byte(from[i]) == fold_byte(item->text[i]))
			i++;
		if (i == item->size)
			return from;
	}
	return NULL;
}

/* With a delimiter, or an end, on both sides. */
static bool has_part(const struct pattern_item *item, enum pattern_method m,
		     bool fold, const char *text, size_t size)
{
	const char *end = text + size, *at = text;

	if (item->size == 0)
		return false;
	while ((at = search(item, fold, at, end)) != NULL) {
		const char *behind = at + item->size;

		if ((at == text || is_delimiter(m, at[-1])) &&
		    (behind == end || is_delimiter(m, *behind)))
			return true;
		at++;
	}
	return false;
}

static bool matches_regex(const struct pattern_index *x,
			  struct pattern_item *item, unsigned slot,
			  const char *text, size_t size,
			  struct pattern_spans *spans, bool *ret_failed)
{
	struct regex **re = &item->regex[slot];
	int rc;

	if (*re == NULL) {
		*re = regex_new(item->text, item->size,
				x->fold ? REGEX_IGNORE_CASE : 0);
		if (*re == NULL) {
			diag_clear();
			*ret_failed = true;
			return false;
		}
	}
	rc = regex_match(*re, text, size, 0,
			 spans == NULL ? NULL : spans->spans,
			 spans == NULL ? 0 : 10);
	if (rc == REGEX_FAILED)
		*ret_failed = true;
	if (rc > 0 && spans != NULL)
		spans->count = rc > 10 ? 10 : (unsigned)rc;
	return rc > 0;
}

static bool matches_number(const struct pattern_index *x,
			   const struct pattern_item *item, const char *text,
			   size_t size)
{
	const char *end;
	int64_t n = (int64_t)size;

	if (x->method == PATTERN_INT &&
	    (!parse_number(text, text + size, &n, &end) || end != text + size))
		return false;
	return n >= item->low && n <= item->high;
}

static bool matches(const struct pattern_index *x, struct pattern_item *item,
		    unsigned slot, const char *text, size_t size,
		    struct pattern_spans *spans, bool *ret_failed)
{
	switch (x->method) {
	case PATTERN_SUB:
		return search(item, x->fold, text, text + size) != NULL;
	case PATTERN_DIR:
	case PATTERN_DOM:
		return has_part(item, x->method, x->fold, text, size);
	case PATTERN_REG:
		return matches_regex(x, item, slot, text, size, spans,
				     ret_failed);
	default:
		return matches_number(x, item, text, size);
	}
}

struct pattern_item *pattern_index_find(struct pattern_index *x, unsigned slot,
					const char *text, size_t size,
					struct pattern_spans *spans,
					bool *ret_failed)
{
	struct pattern_key key = { (const uint8_t *)text, size, size * 8 };
	struct pattern_item *first = NULL;

	*ret_failed = false;
	switch (x->method) {
	case PATTERN_STR:
		return item_of(pattern_tree_exact(&x->tree, &key));
	case PATTERN_BEG:
		return item_of(pattern_tree_longest(&x->tree, &key));
	case PATTERN_END:
		pattern_tree_visit(&x->tree, &key, note_first, &first);
		return first;
	case PATTERN_IP:
		return find_network(x, text, size);
	default:
		break;
	}
	list_foreach(link, &x->items) {
		struct pattern_item *item =
			list_entry(link, struct pattern_item, link);

		if (matches(x, item, slot, text, size, spans, ret_failed))
			return item;
		if (*ret_failed)
			return NULL;
	}
	return NULL;
}

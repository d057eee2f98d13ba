/*
 * Fuzzes configurations: any bytes as a tree, checked by the server's schema. There
 * are problems, each one line with its place, or a whole tree.
 *
 * fuzz: layer config
 */
#include "fuzz.h"

#include "config/check.h"
#include "config/node.h"
#include "config/problems.h"
#include "config/schema.h"
#include "config/tree_read.h"

static unsigned count_nodes(const struct config_node *n, unsigned depth)
{
	unsigned count = 1, children = 0;

	FUZZ_CHECK(depth <= CONFIG_DEPTH_MAX + 4);
	for (const struct config_node *c = n->first; c != NULL; c = c->next) {
		FUZZ_CHECK(c->parent == n);
		FUZZ_CHECK((c->name != NULL) == (n->type == CONFIG_MAP));
		FUZZ_CHECK(c->next != NULL || c == n->last);
		count += count_nodes(c, depth + 1);
		children++;
	}
	FUZZ_CHECK(children == n->count);
	FUZZ_CHECK(n->type == CONFIG_MAP || n->type == CONFIG_LIST ||
		   children == 0);
	FUZZ_CHECK(n->type != CONFIG_TEXT || n->text != NULL);
	return count;
}

static void look_at_problems(const struct problems *p)
{
	unsigned lines = p->count > 0;

	for (size_t i = 0; i < p->text.size; i++) {
		unsigned char c = (unsigned char)p->text.data[i];

		FUZZ_CHECK(c == '\n' || (c >= ' ' && c != 0x7f));
		if (c != '\n')
			continue;
		lines++;
		FUZZ_CHECK(strncmp(p->text.data + i + 1, "f:", 2) == 0);
	}
	FUZZ_CHECK(lines <= PROBLEMS_TOLD_MAX);
	FUZZ_CHECK(lines == p->count || p->count > PROBLEMS_TOLD_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_tree tree = { 0 };
	struct settings settings;
	struct problems p;
	struct check_target target = { &tree, &p, &settings, "/f" };

	settings_create(&settings);
	problems_create(&p, "f");
	tree_read(&tree, (const char *)data, size, &p);
	FUZZ_CHECK(tree.root != NULL || p.count > 0);
	if (tree.root != NULL) {
		FUZZ_CHECK(count_nodes(tree.root, 0) <= tree.count);
		check_tree(&target, &server_schema);
		FUZZ_CHECK(count_nodes(tree.root, 0) <= tree.count);
	}
	look_at_problems(&p);
	FUZZ_CHECK(!p.no_memory);
	FUZZ_CHECK((fuzz_result(problems_tell(&p)) == 0) == (p.count == 0));
	problems_destroy(&p);
	settings_destroy(&settings);
	arena_destroy(&tree.arena);
	return 0;
}

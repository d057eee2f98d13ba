/* Lists against an array that does the same. */
#include "unit.h"

#include <stdlib.h>

#include "base/list.h"

enum { MEMBERS = 64 };

struct member {
	int value;
	struct list link;
	int after; /* a wrong offset would show here */
};

static struct member members[MEMBERS];

static void check(struct list *head, const int *want, int count)
{
	struct list *prev = head;
	int i = 0;

	list_foreach(pos, head) {
		assert_true(i < count);
		assert_int_equal(list_entry(pos, struct member, link)->value,
				 want[i++]);
		assert_ptr_equal(pos->prev, prev);
		prev = pos;
	}
	assert_int_equal(i, count);
	assert_ptr_equal(head->prev, prev);
	assert_int_equal(list_empty(head), count == 0);
}

static void insert(int *model, int *count, int at, int value)
{
	memmove(model + at + 1, model + at, sizeof(int) * (*count - at));
	model[at] = value;
	++*count;
}

static void erase(int *model, int *count, int at)
{
	memmove(model + at, model + at + 1, sizeof(int) * (--*count - at));
}

static int index_of(const int *model, int count, int value)
{
	for (int i = 0; i < count; i++) {
		if (model[i] == value)
			return i;
	}
	return -1;
}

static void random_operations(void **state)
{
	int model[MEMBERS + 1], count = 0, at;
	struct list head, *link;

	(void)state;
	list_init(&head);
	for (int i = 0; i < MEMBERS; i++) {
		members[i].value = i;
		list_init(&members[i].link);
	}
	srand(1);
	for (int n = 0; n < 20000; n++) {
		struct member *m = &members[rand() % MEMBERS];

		at = index_of(model, count, m->value);
		switch (rand() % 4) {
		case 0:
			if (at >= 0)
				break;
			list_add(&head, &m->link);
			insert(model, &count, 0, m->value);
			break;
		case 1:
			if (at >= 0)
				break;
			list_add_tail(&head, &m->link);
			insert(model, &count, count, m->value);
			break;
		case 2: /* once or twice, in or out: the same */
			list_del(&m->link);
			list_del(&m->link);
			if (at >= 0)
				erase(model, &count, at);
			break;
		case 3:
			link = list_shift(&head);
			assert_int_equal(link == NULL, count == 0);
			if (count > 0)
				erase(model, &count, 0);
			break;
		}
		check(&head, model, count);
	}
}

static void splices(void **state)
{
	static const int want[] = { 0, 1, 2, 3, 4 };
	struct list a, b;

	(void)state;
	list_init(&a);
	list_init(&b);
	list_splice_tail(&a, &b);
	check(&a, want, 0);
	for (int i = 0; i < 5; i++) {
		members[i].value = i;
		list_add_tail(i < 2 ? &a : &b, &members[i].link);
	}
	list_splice_tail(&a, &b);
	check(&a, want, 5);
	assert_true(list_empty(&b));
	list_splice_tail(&b, &a);
	check(&b, want, 5);
	assert_true(list_empty(&a));
}

static void members_leave_while_walked(void **state)
{
	static const int want[] = { 1, 3 };
	struct list head;

	(void)state;
	list_init(&head);
	for (int i = 0; i < 5; i++) {
		members[i].value = i;
		list_add_tail(&head, &members[i].link);
	}
	list_foreach_safe(pos, next, &head) {
		if (list_entry(pos, struct member, link)->value % 2 == 0)
			list_del(pos);
	}
	check(&head, want, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(splices),
		cmocka_unit_test(members_leave_while_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Intrusive doubly linked lists: a link inside each member, no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** A list head, or the place of one member in a list. */
struct list {
	struct list *next; /* the head itself when the list is empty */
	struct list *prev;
};

/** The struct that holds @a link as its field @a field. */
#define list_entry(link, type, field) \
	((type *)((char *)(link)-offsetof(type, field)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add(struct list *head, struct list *link)
{
	link->next = head->next;
	link->prev = head;
	head->next->prev = link;
	head->next = link;
}

static inline void list_add_tail(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/** Take @a link out; it is an empty list afterwards, so twice is harmless. */
static inline void list_del(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/** Take the first link out, or NULL when the list is empty. */
static inline struct list *list_shift(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	list_del(first);
	return first;
}

/** Move all members of @a from to the end of @a to. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_foreach(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/** As list_foreach; the body may take @a pos out. */
#define list_foreach_safe(pos, tmp, head)                                      \
	for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head); \
	     pos = tmp, tmp = pos->next)

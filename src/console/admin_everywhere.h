/*
 * Something of a command's that goes on at each worker: begun and ended on its own thread, in
 * this order, whatever becomes of the command meanwhile.
 */
#pragma once

struct admin_everywhere;
struct app;
struct worker;

struct admin_everywhere_ops {
	/** On the worker's thread. @a part is its own. Throw: no. */
	void (*begin)(struct worker *w, void *part, void *shared);
	void (*end)(struct worker *w, void *part, void *shared);
	/** On any thread, once it has ended everywhere: what parts and @a shared hold
	 * goes. A worker that is gone has not come to end(). */
	void (*destroy)(struct admin_everywhere *e);
};

/** @a part_size bytes for each worker, @a shared_size for all, zero. NULL: no memory. */
struct admin_everywhere *
admin_everywhere_new(struct app *app, const struct admin_everywhere_ops *ops,
		     unsigned long part_size, unsigned long shared_size);

unsigned admin_everywhere_count(const struct admin_everywhere *e);
void *admin_everywhere_shared(struct admin_everywhere *e);

/** Of the worker at @a place of the application's, see app_place(). Good on its thread while begun, and as begin() left it for what
 * comes to that thread before admin_everywhere_end() is called. */
void *admin_everywhere_part(struct admin_everywhere *e, unsigned place);

/** On the thread of a worker: at @a only, or NULL: at all. */
void admin_everywhere_begin(struct admin_everywhere *e, struct worker *own,
			    const struct worker *only);

/** It is gone from here on. */
void admin_everywhere_end(struct admin_everywhere *e, struct worker *own);

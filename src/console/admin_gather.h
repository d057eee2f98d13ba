/*
 * Rows of all workers, each collected on its own thread: a command's collect(), for
 * one worker after the other, a buffer at a time.
 */
#pragma once

#include "console/admin_rows.h"

struct admin_gather;

/** Rows for @a run by @a command, from @a only, or NULL: from all. Each begins with a
 * copy of @a cursor, ADMIN_CURSOR_MAX bytes, which stay. NULL: no memory. */
struct admin_gather *admin_gather_new(struct admin_run *run,
				      const struct admin_command *command,
				      struct worker *only, const void *cursor);

/** The next row. ADMIN_WAIT: the run is woken when there is more. *ret_worker is
 * whose it is; *ret_error is set instead of the cells when that one does not answer. */
enum admin_step admin_gather_next(struct admin_gather *g,
				  struct admin_cell *cells,
				  const struct worker **ret_worker,
				  const char **ret_error);

/** Nobody waits any more. NULL is fine. */
void admin_gather_free(struct admin_gather *g);

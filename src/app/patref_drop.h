/*
 * The end of a generation of a map or ACL: a large one goes without keeping the fibers of
 * the thread waiting that replaced it.
 */
#pragma once

struct loop;
struct patref_gen;

/** One reference less, of this thread's loop. NULL is fine. */
void patref_drop(struct loop *loop, struct patref_gen *gen);

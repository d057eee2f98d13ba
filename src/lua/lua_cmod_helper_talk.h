/*
 * What the server and a helper process say to each other, frame by frame (see
 * isolate_frame.h), and what of the helper that takes. Of lua_cmod_helper.c and
 * its talk alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cmod/isolate_frame.h"
#include "lua/lua_cmod_helper.h"

struct buf;
struct error;

/* --- lua_cmod_helper_talk.c --- */

/** Hear what it says from now on. Returns 0 or UV_E*. */
int lua_cmod_helper__listen(struct lua_cmod_helper *h);

/** It is dead: what it said before counts. */
void lua_cmod_helper__read_last_words(struct lua_cmod_helper *h);

/** Send a frame; @a body may have moved from there. Returns 0 or UV_E*. */
int lua_cmod_helper__send(struct lua_cmod_helper *h, enum isolate_kind kind,
			  struct buf *body);

/* --- lua_cmod_helper.c --- */

void lua_cmod_helper__set_state(struct lua_cmod_helper *h,
				enum lua_cmod_helper_state state);

/** It has something to answer. */
bool lua_cmod_helper__is_working(const struct lua_cmod_helper *h);

/** What it is at may take so long. */
void lua_cmod_helper__start_timer(struct lua_cmod_helper *h, uint64_t ns);
void lua_cmod_helper__stop_timer(struct lua_cmod_helper *h);

/** What the process has taken, by the kernel's word, into h->cpu_ns: it also
 * counts when it does not live to tell. Until it is reaped. */
void lua_cmod_helper__read_cpu(struct lua_cmod_helper *h);

/** It dies for a reason that is known: @a e, which is taken over. */
void lua_cmod_helper__fail(struct lua_cmod_helper *h, struct error *e);

/** Such a reason. */
#define lua_cmod_helper__error(...) \
	error_new(&ClientError, ER_PROC_C, NULL, 0, __VA_ARGS__)

/*
 * Lua's library io, anew: the same files (stdio's, so that C modules may use
 * them), but a fiber that reads or writes one does not keep others waiting.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lua/lua_blocking.h"
#include "runtime/process.h"

enum io_kind {
	IO_REGULAR, /* reads may wait for a disk, writes too */
	IO_MEMORY,  /* /dev/null and its like: never blocks */
	IO_SHARED,  /* a pipe, terminal, socket that others may have as well */
	IO_CHILD,   /* our end of a pipe to a child */
};

/** An open file, of the object in Lua and of the operations on it. */
struct io_stream {
	struct lua_lane lane;
	FILE *fp; /* NULL: closed */
	enum io_kind kind;
	bool standard;        /* one of stdin, stdout, stderr: stays open */
	bool no_probe;        /* its system cannot tell what is cached */
	bool no_write_now;    /* nor whether a write would block */
	struct process child; /* of popen */
	char *buffer;         /* of fp; NULL: its own */
};

/** The userdata; its start is what C modules expect of a FILE*. */
struct io_file {
	FILE *fp; /* NULL: closed */
	uint32_t type;
	struct io_stream *stream; /* NULL: never opened */
};

/** The open file at @a arg, or a usage error. Throws. */
struct io_stream *lua_io_check(lua_State *L, int arg);

/** Push a closed file; nothing is owned yet. Throws: out of memory. */
struct io_file *lua_io_push(lua_State *L);

/** Take @a fp over into a stream. NULL: out of memory, and it is not. */
struct io_stream *lua_io_stream_new(FILE *fp, const char *mode);

/** Push true, or nil, "name: reason", errno. Throws: out of memory. */
int lua_io_push_result(lua_State *L, int err, const char *name);

/** What fp->buffered output needs: as lua_blocking_kind's step. The lock of the
 * FILE is held. */
int lua_io_flush_step(struct io_stream *s);

/** Bytes that go into the buffer without a system call. */
size_t lua_io_room(const struct io_stream *s);

/* lua_io_read.c, lua_io_write.c */
int lua_io_read(lua_State *L);
int lua_io_write(lua_State *L);
int lua_io_flush(lua_State *L);
int lua_io_seek(lua_State *L);
int lua_io_setvbuf(lua_State *L);
int lua_io_print(lua_State *L);

/* lua_io_close.c */
int lua_io_close(lua_State *L);
int lua_io_gc(lua_State *L);

/* lua_io_open.c */
int lua_io_open(lua_State *L);
int lua_io_popen(lua_State *L);
int lua_io_tmpfile(lua_State *L);

/** The C half of io.lua; changes the metatable of files. */
int luaopen_neap_io(lua_State *L);

/** The C half's part for os: execute, remove, rename, tmpname. */
void lua_os_open(lua_State *L);

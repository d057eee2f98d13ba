/* Where the thread of a Lua state stands. See lua_where.h. */
#include "lua/lua_where.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "lua/lua_call.h"
#include "lua/lua_fiber.h"
#include "lua/lua_internal.h"
#include "lua/lua_state.h"

/* --- names, outside of signal handlers --- */

/* A symbol that really covers the place: dladdr() also offers one that merely comes before. */
static bool find_symbol(uintptr_t pc, Dl_info *info)
{
	const ElfW(Sym) *sym = NULL;

	return dladdr1((void *)pc, info, (void **)&sym, RTLD_DL_SYMENT) != 0 &&
	       sym != NULL && info->dli_sname != NULL &&
	       pc - (uintptr_t)info->dli_saddr < sym->st_size;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

bool lua_where_symbol(uintptr_t pc, char *name, size_t name_room, char *file,
		      size_t file_room)
{
	Dl_info info, own;

	if (!find_symbol(pc, &info) ||
	    dladdr((void *)(uintptr_t)lua_where_symbol, &own) == 0 ||
	    own.dli_fbase == info.dli_fbase)
		return false;
	snprintf(name, name_room, "%s", info.dli_sname);
	snprintf(file, file_room, "%s", base_name(info.dli_fname));
	return true;
}

struct search {
	lua_CFunction code;
	char *to;
	size_t room;
	bool found;
};

/* In the table at the top, that of the module @a name. */
static void search_module(lua_State *L, const char *name, struct search *s)
{
	lua_pushnil(L);
	while (!s->found && lua_next(L, -2) != 0) {
		if (lua_type(L, -2) == LUA_TSTRING &&
		    lua_tocfunction(L, -1) == s->code) {
			snprintf(s->to, s->room, "%s%s%s",
				 strcmp(name, "_G") != 0 ? name : "",
				 strcmp(name, "_G") != 0 ? "." : "",
				 lua_tostring(L, -2));
			s->found = true;
		}
		lua_pop(L, 1);
	}
	if (s->found)
		lua_pop(L, 1);
}

/* In all modules there are; those of Lua itself, and what is preloaded. */
static void search(lua_State *L, void *arg)
{
	struct search *s = arg;

	luaL_checkstack(L, 8, NULL);
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	if (!lua_istable(L, -1))
		return;
	lua_pushnil(L);
	while (!s->found && lua_next(L, -2) != 0) {
		if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1))
			search_module(L, lua_tostring(L, -2), s);
		lua_pop(L, 1);
	}
}

bool lua_where_name(lua_CFunction code, struct lua_vm *vm, char *to,
		    size_t room)
{
	struct search s = { code, to, room, false };
	Dl_info info;

	if (code == NULL)
		return false;
	if (vm != NULL && lua_vm_protect(vm, search, &s) != 0)
		error_unref(diag_take());
	if (s.found)
		return true;
	if (!find_symbol((uintptr_t)code, &info))
		return false;
	snprintf(to, room, "%s", info.dli_sname);
	return true;
}

void lua_where_text(const struct lua_where *w, struct lua_vm *vm, char *to,
		    size_t room)
{
	char name[LUA_WHERE_NAME] = "", file[LUA_WHERE_FILE] = "";
	bool in_library =
		lua_where_symbol(w->pc, name, sizeof(name), file, sizeof(file));
	size_t n;

	*to = '\0';
	if (w->kind == LUA_WHERE_MODULE) {
		snprintf(to, room, "C function '%s' of module '%s'", w->name,
			 w->file);
	} else if (w->kind == LUA_WHERE_C) {
		char own[LUA_WHERE_NAME];

		if (lua_where_name(w->code, vm, own, sizeof(own)))
			snprintf(to, room, "C function '%s'", own);
		else
			snprintf(to, room, "a C function");
	} else if (w->kind != LUA_WHERE_TRACE_C || !in_library) {
		return;
	}
	n = strlen(to);
	if (in_library && strcmp(name, w->name) != 0)
		snprintf(to + n, room - n, "%s'%s' of %s", n > 0 ? ", in " : "",
			 name, file);
}

#if NEAP_LUAJIT_SYSTEM || !defined(__x86_64__)

void lua_where_look(const struct lua_vm *vm, const void *ucontext,
		    struct lua_where *ret)
{
	(void)vm, (void)ucontext;
	ret->kind = LUA_WHERE_UNKNOWN;
}

void lua_where_stack(const struct lua_vm *vm, char *to)
{
	(void)vm;
	*to = '\0';
}

#else

#include <lj_bc.h>
#include <lj_frame.h>
#include <lj_vm.h>

/* --- inside signal handlers --- */

static bool peek(void *to, const void *from, size_t size)
{
	struct iovec here = { to, size };
	struct iovec there = { (void *)from, size };

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) ==
	       (ssize_t)size;
}

/* The end of a text that is too long says more than its beginning. */
static void copy_end(char *to, size_t room, const char *text)
{
	size_t size = strnlen(text, 4096);
	size_t skip = size < room ? 0 : size - room + 1;

	memcpy(to, text + skip, size - skip);
	to[size - skip] = '\0';
}

/* A frame's function and its link, at @a frame - 1 and @a frame. */
struct frame {
	GCfuncC fn; /* without its values; a Lua function's head is the same */
	const GCobj *object;
	intptr_t link;
};

static bool read_frame(const TValue *frame, struct frame *ret)
{
	TValue tv[2];

	if (!peek(tv, frame - 1, sizeof(tv)))
		return false;
	ret->object = gcval(&tv[0]);
	ret->link = tv[1].ftsz;
	return peek(&ret->fn, ret->object, offsetof(GCfuncC, upvalue));
}

static const TValue *top_frame(const lua_State *L)
{
	return L->base - 1;
}

static bool is_module(struct lua_where *ret)
{
	const struct neap_call *c = call_current;

	if (c == NULL || c->func == NULL)
		return false;
	ret->kind = LUA_WHERE_MODULE;
	copy_end(ret->name, sizeof(ret->name), cmod_func_symbol(c->func));
	copy_end(ret->file, sizeof(ret->file),
		 cmod_file(cmod_func_module(c->func)));
	return true;
}

void lua_where_look(const struct lua_vm *vm, const void *ucontext,
		    struct lua_where *ret)
{
	const ucontext_t *uc = ucontext;
	const global_State *g = G(vm->L);
	struct frame f;

	ret->pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	ret->code = NULL;
	ret->name[0] = ret->file[0] = '\0';
	if (is_module(ret))
		return;
	switch (g->vmstate) {
	case ~LJ_VMST_C:
		ret->kind = LUA_WHERE_C;
		if (read_frame(top_frame(gco2th(gcref(g->cur_L))), &f) &&
		    f.fn.gct == ~LJ_TFUNC && f.fn.ffid != FF_LUA)
			ret->code = f.fn.f;
		break;
	case ~LJ_VMST_GC:
		ret->kind = LUA_WHERE_GC;
		break;
	case ~LJ_VMST_RECORD:
	case ~LJ_VMST_OPT:
	case ~LJ_VMST_ASM:
		ret->kind = LUA_WHERE_COMPILER;
		break;
	case ~LJ_VMST_INTERP:
	case ~LJ_VMST_EXIT:
		ret->kind = LUA_WHERE_LUA;
		break;
	default:
		/* Which of both is known by who knows the traces' memory. */
		ret->kind = g->vmstate >= 0 ? LUA_WHERE_TRACE_C
					    : LUA_WHERE_UNKNOWN;
	}
}

struct text {
	char *to;
	size_t size;
};

static void add(struct text *t, const char *s)
{
	size_t n = strlen(s), room = LUA_WHERE_STACK - 1 - t->size;

	n = n < room ? n : room;
	memcpy(t->to + t->size, s, n);
	t->size += n;
	t->to[t->size] = '\0';
}

static void add_number(struct text *t, uint32_t n)
{
	char digits[11], *p = digits + sizeof(digits);

	*--p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	add(t, p);
}

/* The line of the instruction before @a pc, or, NULL, where the function begins. */
static uint32_t line_at(const GCproto *pt, const char *code, const BCIns *pc)
{
	const char *info = mref(pt->lineinfo, const char);
	uint32_t first = (uint32_t)pt->firstline, line = 0;
	size_t at = (size_t)((const char *)pc - code) / sizeof(BCIns);
	size_t width = pt->numline < 256 ? 1 : pt->numline < 65536 ? 2 : 4;

	/* at - 1 is the call's, and the first one has no entry. */
	if (pc == NULL || info == NULL || at < 2 || at > pt->sizebc ||
	    !peek(&line, info + (at - 2) * width, width))
		return first;
	return first + line;
}

static bool add_level(struct text *t, const struct frame *f, const BCIns *pc)
{
	enum { NAME_ROOM = 64 };
	const char *code = mref(f->fn.pc, const char);
	char text[NAME_ROOM];
	const GCobj *name;
	GCproto pt;
	GCstr head;
	size_t skip;

	if (!peek(&pt, code - sizeof(GCproto), sizeof(pt)) ||
	    pt.gct != ~LJ_TPROTO)
		return false;
	name = gcref(pt.chunkname);
	if (!peek(&head, name, sizeof(head)) || head.gct != ~LJ_TSTR ||
	    head.len == 0)
		return false;
	skip = head.len < NAME_ROOM ? 0 : head.len - NAME_ROOM + 1;
	memset(text, 0, sizeof(text));
	if (!peek(text, (const char *)(name) + sizeof(GCstr) + skip,
		  head.len - skip))
		return false;
	if (strncmp(text, "=neap/", 6) == 0)
		return true; /* our own halves are nobody's business */
	if (t->size > 0)
		add(t, " < ");
	if (skip == 0 && *text != '@' && *text != '=')
		add(t, "[string]");
	else if (skip == 0)
		add(t, text + 1);
	else
		add(t, base_name(text));
	add(t, ":");
	add_number(t, line_at(&pt, code, pc));
	return true;
}

/* Of a function of a module that was put aside and resumed nothing is left in Lua but the
 * coroutine that waits for it. */
static const lua_State *running(const struct lua_vm *vm)
{
	const struct fiber *f = vm->sched->current;
	const struct lua_fiber *lf = (const struct lua_fiber *)f;

	return f != NULL && lf->guest != NULL ? lf->co
					      : gco2th(gcref(G(vm->L)->cur_L));
}

void lua_where_stack(const struct lua_vm *vm, char *to)
{
	enum { LEVELS = 60 };
	const lua_State *L = running(vm);
	const TValue *frame, *bottom;
	const BCIns *pc = NULL, *call;
	struct text t = { .to = to };
	struct frame f;
	BCIns ins;

	*to = '\0';
	if (L == NULL)
		return;
	frame = top_frame(L);
	bottom = tvref(L->stack) + LJ_FR2;
	for (int n = 0; n < LEVELS && frame > bottom; n++) {
		if (!read_frame(frame, &f) || f.fn.gct != ~LJ_TFUNC)
			return;
		if (f.fn.ffid == FF_LUA &&
		    (f.link & FRAME_TYPEP) != FRAME_VARG &&
		    !add_level(&t, &f, pc))
			return;
		if ((f.link & FRAME_TYPEP) == FRAME_VARG) {
			/* The same function again below it. */
			frame = (const TValue *)((const char *)frame -
						 (f.link & ~FRAME_TYPEP));
			continue;
		}
		pc = NULL;
		if ((f.link & FRAME_TYPE) == FRAME_LUA) {
			call = (const BCIns *)f.link;
			if (!peek(&ins, call - 1, sizeof(ins)))
				return;
			frame -= 1 + LJ_FR2 + bc_a(ins);
			pc = call;
		} else {
			frame = (const TValue *)((const char *)frame -
						 (f.link & ~FRAME_TYPEP));
		}
	}
}

#endif

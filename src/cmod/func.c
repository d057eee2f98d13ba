/* Functions of an instance: found once, shared by all who hold them. */
#include <assert.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/diag.h"
#include "base/inject.h"
#include "cmod/cmod.h"
#include "cmod/cpu.h"
#include "cmod/module.h"

static int check_name(const char *name, size_t size)
{
	if (size == 0)
		diag_set(IllegalParams, "the function's name is empty");
	else if (memchr(name, '\0', size) != NULL)
		diag_set(IllegalParams,
			 "the function's name '%s\\0...' holds a NUL", name);
	else if (size > CMOD_NAME_MAX)
		diag_set(IllegalParams,
			 "the function's name '%.32s...' of "
			 "%zu bytes: at most %d are allowed",
			 name, size, CMOD_NAME_MAX);
	else
		return 0;
	return -1;
}

static int refuse_symbol(const struct cmod *m, const char *name,
			 const char *what)
{
	diag_set_code(ClientError, ER_NO_SUCH_FUNCTION,
		      "no function '%s' in module '%s': the symbol is %s", name,
		      m->path, what);
	return -1;
}

struct place {
	uintptr_t base; /* of its library */
	uintptr_t address;
	bool is_code;
};

static int find_place(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct place *at = arg;

	(void)size;
	if (info->dlpi_addr != at->base)
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0 &&
		    at->address - at->base - p->p_vaddr < p->p_memsz)
			at->is_code = true;
	}
	return 1;
}

/* What a resolver has chosen (GCC's target_clones) mostly bears no name. */
static bool is_nameless_code(const struct cmod *m, const void *address)
{
	struct place at = { .base = m->map->l_addr,
			    .address = (uintptr_t)address };

	dl_iterate_phdr(find_place, &at);
	return at.is_code;
}

/* The image of a library begins where it was moved to, unless it was linked for
 * another address than 0. */
static bool is_own(const struct cmod *m, void *address, const Dl_info *info)
{
	struct link_map *owner = NULL;
	Dl_info again;

	if ((uintptr_t)info->dli_fbase == m->map->l_addr)
		return true;
	return dladdr1(address, &again, (void **)&owner, RTLD_DL_LINKMAP) !=
		       0 &&
	       owner == m->map;
}

/*
 * dlsym() also searches the library's dependencies, and finds data as well as
 * code: load('printf') or load('table') must not give something to call.
 */
static int check_symbol(const struct cmod *m, const char *name, void *address)
{
	const ElfW(Sym) *symbol = NULL;
	unsigned type;
	Dl_info info;

	/* The loader walks the symbols for this: once is enough. Thread-local
	 * data lies in no library at all. */
	if (dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0)
		return refuse_symbol(m, name, "data");
	if (!is_own(m, address, &info))
		return refuse_symbol(m, name, "another library's");
	if (symbol == NULL && is_nameless_code(m, address))
		return 0;
	type = symbol == NULL ? STT_NOTYPE : ELF64_ST_TYPE(symbol->st_info);
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return 0;
	return refuse_symbol(m, name, "data");
}

static struct cmod_func *func_new(struct cmod *m, const char *name)
{
	size_t size = strlen(name) + 1;
	void *address = dlsym(m->dl, name);
	struct cmod_func *f;

	if (address == NULL) {
		diag_set_code(ClientError, ER_NO_SUCH_FUNCTION,
			      "no function '%s' in module '%s'", name, m->path);
		return NULL;
	}
	if (check_symbol(m, name, address) != 0)
		return NULL;
	f = mem_zalloc(sizeof *f + size);
	if (f == NULL) {
		diag_set_oom(sizeof *f + size, "a function");
		return NULL;
	}
	memcpy(f->symbol, name, size);
	f->refs = 1;
	f->module = m;
	list_init(&f->uses);
	/* An object pointer is no function pointer to ISO C; POSIX has it so. */
	memcpy(&f->code, &address, sizeof f->code);
	return f;
}

/* With the lock held. */
static struct cmod_func *find(struct cmod *m, const char *name)
{
	struct cmod_func *f;

	HASH_FIND_STR(m->funcs, name, f);
	if (f != NULL)
		f->refs++;
	return f;
}

/* The loader is asked without our lock: it has its own, which is held while
 * constructors of other libraries run. Somebody may be quicker meanwhile. */
static struct cmod_func *find_or_make(struct cmod *m, const char *name)
{
	struct cmod_func *f, *made;

	cmod__lock();
	f = find(m, name);
	cmod__unlock();
	if (f != NULL)
		return f;
	made = func_new(m, name);
	if (made == NULL)
		return NULL;
	cmod__lock();
	f = find(m, name);
	if (f == NULL) {
		HASH_ADD_STR(m->funcs, symbol, made);
		if (made->hh.tbl != NULL) {
			f = made;
			made = NULL;
			cmod__hold(m);
		}
	}
	cmod__unlock();
	mem_free(made);
	if (f == NULL)
		diag_set_oom(sizeof *f, "the functions of a module");
	return f;
}

int cmod_use_create(struct cmod_use *use, struct cmod *m, const char *name,
		    size_t name_size)
{
	struct cmod_func *f;

	use->func = NULL;
	cpu_init();
	if (check_name(name, name_size) != 0)
		return -1;
	f = find_or_make(m, name);
	if (f == NULL)
		return -1;
	use->calls = use->errors = 0;
	cpu_use_create(&use->cpu);
	use->func = f;
	use->code = f->code;
	cmod__lock();
	list_add_tail(&f->uses, &use->link);
	cmod__unlock();
	return 0;
}

/* With the lock held. Returns the module when it is to be closed. */
static struct cmod *drop(struct cmod_func *f)
{
	struct cmod *m = f->module;

	assert(f->refs > 0);
	if (--f->refs > 0)
		return NULL;
	m->calls += f->calls;
	m->errors += f->errors;
	m->cpu += f->cpu;
	HASH_DEL(m->funcs, f);
	mem_free(f);
	return cmod__drop(m) ? m : NULL;
}

void cmod_use_destroy(struct cmod_use *use)
{
	struct cmod_func *f = use->func;
	struct cmod *closing;

	if (f == NULL)
		return;
	use->func = NULL;
	cmod__lock();
	list_del(&use->link);
	f->calls += use->calls;
	f->errors += use->errors;
	cmod_func_count_cpu(f, use->cpu.ticks);
	closing = drop(f);
	cmod__unlock();
	if (closing != NULL)
		cmod__unload(closing);
}

void cmod_use_move(struct cmod_use *to, struct cmod_use *from)
{
	cmod_use_destroy(to);
	cmod__lock();
	*to = *from;
	list_del(&from->link);
	list_add_tail(&to->func->uses, &to->link);
	cmod__unlock();
	from->func = NULL;
}

struct cmod_func *cmod_func_ref(struct cmod_func *f)
{
	cmod__lock();
	assert(f->refs > 0);
	f->refs++;
	cmod__unlock();
	return f;
}

void cmod_func_unref(struct cmod_func *f)
{
	struct cmod *closing;

	cmod__lock();
	closing = drop(f);
	cmod__unlock();
	if (closing != NULL)
		cmod__unload(closing);
}

void cmod_func_count_error(struct cmod_func *f)
{
	cmod__lock();
	f->errors++;
	cmod__unlock();
}

void cmod_func_count_cpu(struct cmod_func *f, uint64_t ticks)
{
	__atomic_fetch_add(&f->cpu, ticks, __ATOMIC_RELAXED);
}

cmod_func_f cmod_func_code(const struct cmod_func *f)
{
	return f->code;
}

const char *cmod_func_symbol(const struct cmod_func *f)
{
	return f->symbol;
}

struct cmod *cmod_func_module(const struct cmod_func *f)
{
	return f->module;
}

exceptions_f cmod_func_exceptions(const struct cmod_func *f)
{
	return f->module->exceptions;
}

/* The ABI block of a module: checked field by field before anything is used. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

#include "base/diag.h"
#include "cmod/call.h"
#include "cmod/module.h"
#include "cmod/outside.h"
#include "neap/module.h"

enum { TEXT_MAX = 256 };

static int refuse(const struct cmod *m, const char *field, unsigned long theirs,
		  unsigned long ours)
{
	diag_set_code(ClientError, ER_LOAD_MODULE,
		      "cannot load '%s': NEAP_MODULE: %s is %lu in the module "
		      "and %lu here: compile it with this server's headers",
		      m->file, field, theirs, ours);
	return -1;
}

static int refuse_text(const struct cmod *m, const char *field)
{
	diag_set_code(ClientError, ER_LOAD_MODULE,
		      "cannot load '%s': NEAP_MODULE: %s is missing, empty, "
		      "longer than %d bytes or of no library",
		      m->file, field, TEXT_MAX);
	return -1;
}

/* Damaged, it may point anywhere: what it names must be of some library. */
static bool is_mapped(const void *p)
{
	Dl_info info;

	return dladdr(p, &info) != 0;
}

static bool is_text(const char *s)
{
	size_t size = s == NULL || !is_mapped(s) ? 0 : strnlen(s, TEXT_MAX + 1);

	return size > 0 && size <= TEXT_MAX;
}

/* Returns 0, or -1 with diag set: neither NULL nor of a library. */
static int check_function(const struct cmod *m, const char *field,
			  uintptr_t address)
{
	if (address == 0 || is_mapped((const void *)address))
		return 0;
	diag_set_code(ClientError, ER_LOAD_MODULE,
		      "cannot load '%s': NEAP_MODULE: %s lies in no library",
		      m->file, field);
	return -1;
}

/* The block of this very library, not of one it depends on. */
static const struct neap_module *find_block(const struct cmod *m,
					    size_t *ret_size)
{
	const ElfW(Sym) *symbol = NULL;
	struct link_map *owner = NULL;
	void *address = NULL;
	Dl_info info;

	/* Most have none; the loader would look through all they depend on. */
	if (m->image.facts.abi_block)
		address = dlsym(m->dl, "neap_module_info");
	if (address == NULL ||
	    dladdr1(address, &info, (void **)&owner, RTLD_DL_LINKMAP) == 0 ||
	    owner != m->map)
		return NULL;
	dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT);
	*ret_size = symbol == NULL ? 0 : symbol->st_size;
	return address;
}

static int check_fields(const struct cmod *m, const struct neap_module *b,
			size_t size)
{
	/* Only what the symbol spans may be read. */
	if (size < offsetof(struct neap_module, reserved))
		return refuse(m, "the symbol's size", size, sizeof *b);
	if (b->magic != NEAP_MODULE_MAGIC)
		return refuse(m, "magic", b->magic, NEAP_MODULE_MAGIC);
	if (b->abi_version != NEAP_ABI_VERSION)
		return refuse(m, "abi_version", b->abi_version,
			      NEAP_ABI_VERSION);
	if (b->size != sizeof *b)
		return refuse(m, "size", b->size, sizeof *b);
	if (size < sizeof *b)
		return refuse(m, "the symbol's size", size, sizeof *b);
	if (!is_text(b->name))
		return refuse_text(m, "name");
	if (!is_text(b->version))
		return refuse_text(m, "version");
	if (b->reserved != 0)
		return refuse(m, "reserved", b->reserved, 0);
	if (check_function(m, "init", (uintptr_t)b->init) != 0)
		return -1;
	return check_function(m, "fini", (uintptr_t)b->fini);
}

int cmod__check_abi(struct cmod *m)
{
	const struct neap_module *b;
	struct error *cause;
	size_t size;

	b = find_block(m, &size);
	if (b == NULL)
		return 0;
	if (check_fields(m, b, size) != 0)
		return -1;
	if (b->init != NULL) {
		call_outside_begin();
		if (outside_init(m->file, b->init) != 0) {
			cause = call_outside_error();
			diag_set_code(ClientError, ER_LOAD_MODULE,
				      "cannot load '%s': its init function "
				      "failed: %s",
				      m->file, cause->message);
			error_set_cause(diag_last(), cause);
			return -1;
		}
	}
	m->info = b;
	return 0;
}

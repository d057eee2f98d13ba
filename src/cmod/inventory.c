/* What cmod_list() tells: every instance, its functions, what they have done. */
#include "cmod/cpu.h"
#include "cmod/module.h"
#include "neap/module.h"

static void count_function(const struct cmod_func *f,
			   struct cmod_func_info *info)
{
	uint64_t cpu = __atomic_load_n(&f->cpu, __ATOMIC_RELAXED);

	*info = (struct cmod_func_info){
		.symbol = f->symbol,
		.refs = f->refs,
		.calls = f->calls,
		.errors = f->errors,
	};
	list_foreach(link, &f->uses) {
		struct cmod_use *use = list_entry(link, struct cmod_use, link);

		info->calls += __atomic_load_n(&use->calls, __ATOMIC_RELAXED);
		info->errors += __atomic_load_n(&use->errors, __ATOMIC_RELAXED);
		cpu += __atomic_load_n(&use->cpu.ticks, __ATOMIC_RELAXED);
	}
	info->cpu_ns = cpu_ns(cpu);
}

void cmod_list_functions(const struct cmod_info *info, cmod_func_list_f fn,
			 void *arg)
{
	struct cmod_func_info one;

	for (struct cmod_func *f = info->module->funcs; f != NULL;
	     f = f->hh.next) {
		count_function(f, &one);
		fn(&one, arg);
	}
}

static void add_function(const struct cmod_func_info *one, void *arg)
{
	struct cmod_info *info = arg;

	info->functions++;
	info->calls += one->calls;
	info->errors += one->errors;
	info->cpu_ns += one->cpu_ns;
}

/* With the lock held. */
static void tell_all(const struct list *list, cmod_list_f fn, void *arg)
{
	list_foreach(link, list) {
		struct cmod *m = list_entry(link, struct cmod, all);
		struct cmod_info info = {
			.serial = m->serial,
			.path = m->path,
			.file = m->file,
			.cached = m->cached,
			.never_closes = m->image.facts.never_closes,
			.unloaded = list == &cmod__kept,
			.id = m->image.id,
			.since_ns = m->since_ns,
			.refs = m->refs,
			.calls = m->calls,
			.errors = m->errors,
			.cpu_ns = cpu_ns(m->cpu),
			.version = m->info == NULL ? NULL : m->info->version,
			.module = m,
		};

		cmod_list_functions(&info, add_function, &info);
		fn(&info, arg);
	}
}

void cmod_list(cmod_list_f fn, void *arg)
{
	cmod__lock();
	tell_all(&cmod__all, fn, arg);
	tell_all(&cmod__kept, fn, arg);
	cmod__unlock();
}

/* What the process as a whole is at. See process_info.h. */
#include "app/process_info.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "app/app.h"
#include "base/log.h"

static double count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double count = 0;

	if (dir == NULL)
		return -1;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 3; /* ".", "..", and the folder's own */
}

static double limit_of(int resource)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return -1;
	return (double)limit.rlim_cur;
}

static double resident_memory(void)
{
	size_t bytes;

	return uv_resident_set_memory(&bytes) == 0 ? (double)bytes : -1;
}

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static _Atomic uint64_t began_ns;

void process_info_begin(void)
{
	uint64_t never = 0;

	atomic_compare_exchange_strong(&began_ns, &never, uv_hrtime());
}

struct process_info process_info(const struct app *app)
{
	struct rusage used = { 0 };

	getrusage(RUSAGE_SELF, &used);
	return (struct process_info){
		.pid = getpid(),
		.uptime = (double)(uv_hrtime() - began_ns) / 1e9,
		.workers = app->count,
		.memory = resident_memory(),
		.memory_peak = (double)used.ru_maxrss * 1024,
		.descriptors = count_descriptors(),
		.descriptors_limit = limit_of(RLIMIT_NOFILE),
		.cpu_user = seconds_of(&used.ru_utime),
		.cpu_system = seconds_of(&used.ru_stime),
		.switches = (double)used.ru_nvcsw,
		.switches_forced = (double)used.ru_nivcsw,
		.log_lost = (double)log_lost(),
		.ending = app_is_ending(app),
	};
}

/*
 * Is the file what an instance was loaded from? A file's time has the
 * granularity of a clock tick, and a writer that maps its file changes it
 * without touching the time: while a file is young, equal times prove nothing
 * and its bytes are compared.
 */
#include "cmod/freshness.h"

#include "base/clock.h"
#include "cmod/module.h"

enum {
	SETTLE_S = 2, /* a file younger than this may still be written */
	VERIFY_NS = 50000000, /* between two comparisons of such a file */
};

static bool is_young(uint64_t real_ns, const struct identity *id)
{
	int64_t age = (int64_t)(real_ns / 1000000000u) - id->mtime.tv_sec;

	return age >= 0 && age <= SETTLE_S;
}

struct moment freshness__moment(void)
{
	return (struct moment){ clock_ns(CLOCK_MONOTONIC),
				clock_ns(CLOCK_REALTIME) };
}

void freshness__begin(struct cmod *m, const struct moment *read)
{
	m->since_ns = clock_ns(CLOCK_REALTIME);
	m->verified_ns = read->now_ns;
	m->unsettled = is_young(read->real_ns, &m->image.id);
}

bool freshness__is_current(struct cmod *m)
{
	uint64_t now, real, hash;
	struct identity id;
	struct stat st;

	if (stat(m->file, &st) != 0)
		return false;
	id = identity_of(&st);
	if (!identity_equal(&id, &m->image.id))
		return false;
	if (!m->unsettled)
		return true;
	now = clock_ns(CLOCK_MONOTONIC);
	if (now - m->verified_ns < VERIFY_NS)
		return true;
	real = clock_ns(CLOCK_REALTIME);
	if (image_hash_file(m->file, &hash) != 0 || hash != m->image.hash)
		return false;
	cmod__lock();
	m->verified_ns = now;
	m->unsettled = is_young(real, &id);
	cmod__unlock();
	return true;
}

/* Values of a configuration as they are written. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** "500ms", "1.5s", "2m", "1h", "1d", "20us", "0": seconds. Returns a negative
 * number for anything else, and for more than thirty years. */
double config_duration(const char *text);

/** "0", "512", "64K", "2M", "1G": bytes. UINT64_MAX for anything else. */
uint64_t config_size(const char *text);

/** 0, 1, no, yes, off, on, false, true: 0 or 1; -1 for anything else. */
int config_switch(const char *text);

/** HOST:PORT, :PORT, [ADDRESS]:PORT, unix:PATH or fd:NAME. */
bool config_is_address(const char *text);

/** The name of @a count that one may have meant by @a wrong; NULL: none. Every
 * @a stride bytes from @a names there is a pointer to one. */
const char *config_nearest(const char *wrong, const void *names,
			   unsigned stride, unsigned count);

/* What settings say of the process as a whole: its log, its threads for blocking work. */
#pragma once

#include <stdbool.h>

struct settings;

/** At the start; with @a checks the log's file is left alone. Returns 0, or -1 with diag
 * set: the log cannot be opened. */
int process_configure(const struct settings *settings, bool checks);

/** A reload has replaced @a before: what differs is taken; what was set meanwhile, as the
 * log's level at the console, otherwise stays. The log's file stays when the new one cannot
 * be opened, which is told there. */
void process_reconfigure(const struct settings *settings,
			 const struct settings *before);

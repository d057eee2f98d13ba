/* What the process as a whole is at: for the console and for scripts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct app;

/** Figures; what is not known is negative. */
struct process_info {
	int pid;
	double uptime;            /* seconds since process_info_begin() */
	unsigned workers;         /* threads that serve */
	double memory;            /* bytes, resident */
	double memory_peak;       /* bytes, the most that was */
	double descriptors;       /* open */
	double descriptors_limit; /* ulimit -n */
	double cpu_user;          /* seconds of all threads */
	double cpu_system;
	double switches;        /* of threads that waited */
	double switches_forced; /* of threads, by the kernel */
	double log_lost;        /* lines that could not be written */
	bool ending;            /* the process has been told to end */
};

/** The process begins to count its uptime, unless it did before. */
void process_info_begin(void);

struct process_info process_info(const struct app *app);

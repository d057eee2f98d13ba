/*
 * Changes to the process's environment while other threads read it, also those of
 * the C library: its own setenv() frees what they may be reading.
 */
#pragma once

#include <stddef.h>

/** What all values ever set take at most, with what each costs beside its text: they are
 * never freed, for who has asked for one keeps the pointer. */
#define ENVIRONMENT_MAX ((size_t)16 << 20)

/** How many variables there may be, those of the start included: each is looked for from
 * the first one on. */
enum { ENVIRONMENT_COUNT_MAX = 4096 };

/**
 * Set @a name to @a value, or remove it (NULL). Returns 0, or an errno negative:
 * EINVAL, no name that can be; ENOMEM, also past one of the limits.
 */
int environment_set(const char *name, const char *value);

/** Call @a see with each "name=value", while nobody changes them. */
void environment_each(void (*see)(const char *entry, void *arg), void *arg);

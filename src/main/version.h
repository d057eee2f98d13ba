/* What `neap --version` prints. */
#pragma once

#include <stdio.h>

/** neap's version, and a line for each outside part. */
void version_print(FILE *out);

/** The first line alone: "neap 0.1.0". */
const char *version_short(void);

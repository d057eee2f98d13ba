/* What `neap --version` prints. */
#pragma once

#include <stdio.h>

/** neap's version, and a line for each outside part. */
void version_print(FILE *out);

/** What the console says when it opens. */
const char *version_greeting(void);

/* How a machine makes its stacks ready; for stack.c alone. */
#pragma once

#include "cmod/stack.h"

/** Make a fresh stack ready. Returns 0, or -1 when out of memory. */
int cstack__boot(struct cstack *s);
void cstack__unboot(struct cstack *s);

/* What tsan_libc.h has, for the program under the thread sanitizer. */
#include "tsan_libc.h"

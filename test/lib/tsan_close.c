/* What tsan_close.h has, for the program under the thread sanitizer. */
#include "tsan_close.h"

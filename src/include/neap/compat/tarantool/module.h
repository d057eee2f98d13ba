/* <tarantool/module.h>, as many modules spell it. */
#include "../module.h"

/*
 * msgpuck for authors of modules: its inline functions become calls when a
 * module is compiled without optimisation, and always need its tables. They
 * are exported here, so that such a module links without the library.
 */
#pragma GCC visibility push(default)
#define MP_SOURCE 1
#include <msgpuck.h>
#pragma GCC visibility pop

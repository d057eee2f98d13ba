/*
 * Code of a module that runs outside a call: constructors, init, fini,
 * destructors. The crash report knows of it; what it does to floating point
 * (a library linked with -ffast-math has a constructor for that) is undone.
 */
#pragma once

struct cmod;

/** Run @a code(arg), which lies below the system's loader, for @a file; @a place
 * tells what it is, as in "a destructor". */
void outside_loader(const char *place, const char *file,
		    void (*code)(void *arg), void *arg);

/** Run an init or fini function. Returns its result; -1, with the error of
 * this thread set, when an exception has left it. */
int outside_init(const char *file, int (*init)(void));
int outside_fini(const char *file, void (*fini)(void));

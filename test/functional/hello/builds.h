/*
 * Builds of hello.c by the ordinary compiler command, and the ways in which a
 * new one takes the place of the old one on a developer's disk.
 */
#pragma once

#include <stdbool.h>

/** Where it happens: all files lie in the working folder. */
struct builds {
	const char *compiler;
	const char *include; /* folder of neap/module.h */
	const char *source;  /* hello.c */
	const char *library; /* hello.so, the one the server follows */
	/** Called when the library is of no use: what must hold then? */
	void (*while_broken)(void *arg, const char *how);
	void *arg;
};

enum { WAYS = 9 };

/**
 * True when that way writes into the file that the server looks at. A file has
 * its new time before it has its new bytes: the server may have seen the final
 * time with other bytes, and needs a second look some milliseconds later. A
 * renamed file is seen by the very next call.
 */
bool builds_in_place(unsigned way);

/** What way number @a way is. */
const char *builds_way(unsigned way);

/** Build number @a n in the library's place, by that way. Fails the test when
 * the compiler does not do its part. */
void builds_replace(const struct builds *b, unsigned way, unsigned n);

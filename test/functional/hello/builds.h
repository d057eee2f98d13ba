/*
 * Builds of hello.c by the ordinary compiler command, and the ways in which a
 * new one takes the place of the old one on a developer's disk.
 */
#pragma once

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

/** What way number @a way is. */
const char *builds_way(unsigned way);

/** Build number @a n in the library's place, by that way. Fails the test when
 * the compiler does not do its part. */
void builds_replace(const struct builds *b, unsigned way, unsigned n);

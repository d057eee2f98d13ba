/* Files that lie in a folder, and never one outside it. */
#pragma once

/** What symbolic links inside the folder may do. */
enum beneath_links {
	BENEATH_LINKS_INSIDE,   /* lead to what lies in the folder */
	BENEATH_LINKS_NEVER,    /* nothing: there is no file behind them */
	BENEATH_LINKS_ANYWHERE, /* lead out of it */
};

/**
 * Open the file at @a path, relative, without "..", in @a folder to be read;
 * what is no file does not block. May block on a disk. Without openat2() links
 * that may lead inside lead nowhere. Returns a descriptor or UV_E*.
 */
int beneath_open(const char *folder, const char *path,
		 enum beneath_links links);

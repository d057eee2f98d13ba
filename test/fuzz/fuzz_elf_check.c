/*
 * The ELF check over anything: it must answer, whatever the bytes, without
 * reading outside them; and a refusal must say why.
 *
 * The seeds are small libraries without code to speak of, linked in different
 * ways; those of the system make a larger corpus:
 *
 *	mkdir CORPUS && cp /usr/lib/x86_64-linux-gnu/gconv/{UTF-16,IBM037}.so CORPUS
 *
 * fuzz: layer cmod
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmod/elf_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[256] = "";
	struct elf_facts facts;
	/* Exactly as long as the bytes are, and aligned as the check wants. */
	char *copy = malloc(size);

	if (size != 0)
		memcpy(copy, data, size);
	if (elf_check(copy, size, &facts, reason, sizeof reason) != 0 &&
	    reason[0] == '\0')
		abort();
	free(copy);
	return 0;
}

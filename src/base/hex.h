/* Hexadecimal digits. */
#pragma once

/** The value of a digit, 0 to 15; -1 when @a c is none. */
static inline int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

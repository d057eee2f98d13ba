#!/bin/sh
# A command's context that is too large is refused by the compiler, and so is a cursor.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

command -v "${CC:-cc}" > /dev/null || exit 77

compiles() { # a struct of so many bytes, what is made of it
	cat > size.c << END
#include "console/admin.h"
struct large { char bytes[$1]; };
size_t f(void *area);
size_t f(void *area)
{
	(void)area;
	return $2;
}
END
	"${CC:-cc}" -std=gnu11 -Wall -fsyntax-only -I "$NEAP_SOURCE_DIR/src" size.c 2> errors
}

cursor='sizeof(*ADMIN_CURSOR(struct large, area))'
compiles 256 'ADMIN_CONTEXT(struct large)' || fail "$(cat errors)"
compiles 257 'ADMIN_CONTEXT(struct large)' && fail 'a context of 257 bytes'
grep -q 'negative' errors || fail "for its size: $(cat errors)"
compiles 64 "$cursor" || fail "$(cat errors)"
compiles 65 "$cursor" && fail 'a cursor of 65 bytes'
grep -q 'negative' errors || fail "for its size: $(cat errors)"
exit 0

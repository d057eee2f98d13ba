#!/bin/sh
# A C function that crashes ends the process by its signal, and the report names
# the signal, the function and the module's file.
set -u

if [ -n "${NEAP_SANITIZE:-}" ]; then
	echo "the sanitizers report crashes themselves"
	exit 77
fi
ulimit -c 0
failed=0

# crash FUNCTION EXIT-CODE PATTERN
crash() {
	"$NEAP_BIN" -e "require('cmod').load('$NEAP_TEST_CMOD_DIR/calls')
		:load('$1')()" 2> stderr
	code=$?
	if [ "$code" != "$2" ]; then
		echo "$1: exit code $code, wanted $2"
		failed=1
	fi
	if ! grep -q "$3" stderr; then
		echo "$1: no '$3' in:"
		cat stderr
		failed=1
	fi
}

file=$(realpath "$NEAP_TEST_CMOD_DIR/calls.so")
crash overflow 139 "^neap: SIGSEGV at address 0x[0-9a-f]* (stack overflow) \
in C function 'overflow' of module '$file'$"
crash overflow_at_once 139 "^neap: SIGSEGV at address 0x[0-9a-f]* (stack \
overflow) in C function 'overflow_at_once' of module '$file'$"
crash null_write 139 "^neap: SIGSEGV at address 0x8 in C function \
'null_write' of module '$file'$"
crash die 134 "^neap: SIGABRT in C function 'die' of module '$file'$"

# A fiber's body may be a static function: what is known is who made it.
"$NEAP_BIN" -e "require('cmod').load('$NEAP_TEST_CMOD_DIR/own_fibers')
	:load('overflow_in_fiber')()" 2> stderr
file=$(realpath "$NEAP_TEST_CMOD_DIR/own_fibers.so")
grep -q "^neap: SIGSEGV at address 0x[0-9a-f]* (stack overflow) in a fiber made \
by C function 'overflow_in_fiber' of module '$file'$" stderr || {
	echo "in a fiber: got"
	cat stderr
	failed=1
}

# What of a module runs outside its functions.
place() {
	"$NEAP_BIN" -e "require('cmod').load('$places/$1'):unload()" 2> stderr
	grep -q "^neap: $2 in $3 of module '$places/$1.so'$" stderr || {
		echo "$1: got"
		cat stderr
		failed=1
	}
}

places=$(pwd -P)
cat > places.c << 'END'
#include <neap/module.h>
#include <signal.h>
#include <stdlib.h>
static int fine(void) { return 0; }
static int up(void) { *(volatile int *)16 = 1; return 0; }
static void quiet(void) {}
static void down(void) { raise(SIGSEGV); }
static void bad(void) { *(volatile int *)0x7fff000000000000 = 1; }
NEAP_MODULE("places", "1", INIT, FINI);
#ifdef PLACE
__attribute__((PLACE)) static void place(void) { abort(); }
#endif
END
make_place() {
	${CC:-cc} -shared -fPIC -w "-I$NEAP_SOURCE_DIR/src/include" \
		-o "$1.so" places.c "-DINIT=$2" "-DFINI=$3" $4
}
at="SIGSEGV at address 0x10"
make_place in_init up quiet "" && place in_init "$at" "the init function"
# Raised, or at an address that the processor does not tell.
make_place in_fini fine down "" && place in_fini SIGSEGV "the fini function"
make_place odd_fini fine bad "" && place odd_fini SIGSEGV "the fini function"
make_place built fine quiet -DPLACE=constructor &&
	place built SIGABRT "the loading or a constructor"
make_place taken fine quiet -DPLACE=destructor &&
	place taken SIGABRT "a destructor"

# Outside a C function there is no name to give.
"$NEAP_BIN" -e 'require("ffi").cast("int *", 16)[0] = 1' 2> stderr
grep -q "^neap: SIGSEGV at address 0x10$" stderr || {
	echo "outside: got"
	cat stderr
	failed=1
}
exit $failed

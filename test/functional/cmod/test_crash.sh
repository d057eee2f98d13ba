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

# Outside a C function there is no name to give.
"$NEAP_BIN" -e 'require("ffi").cast("int *", 16)[0] = 1' 2> stderr
grep -q "^neap: SIGSEGV at address 0x10$" stderr || {
	echo "outside: got"
	cat stderr
	failed=1
}
exit $failed

#!/bin/sh
# NEAP_CHECK_LEAKS=1: the end looks for what was left; and it does find it.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

run neap -e 'local f = require("fiber") f.create(f.sleep, 0.01)'
code_is 0
err_is ''

leak='local ffi = require("ffi") ffi.cdef("int dup(int);") ffi.C.dup(0)'
run neap -e "$leak"
code_is 3
err_has 'neap: leak: '
err_has ' descriptors, '
NEAP_CHECK_LEAKS=0
run neap -e "$leak"
code_is 0
err_is ''
unset NEAP_CHECK_LEAKS
run neap -e "$leak"
code_is 0
err_is ''

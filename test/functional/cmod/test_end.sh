#!/bin/sh
# The program ends while C functions wait: they are cancelled, and one that goes
# on waiting is given up. Nothing is left behind, and nothing hangs.
#
# test: timeout 60
set -u

failed=0

# ends NAME EXIT-CODE LUA
ends() {
	NEAP_CHECK_LEAKS=1 timeout 20 "$NEAP_BIN" -e "
		local fiber = require('fiber')
		local m = require('cmod').load('$NEAP_TEST_CMOD_DIR/calls')
		local function call(name, ...)
			local f = m:load(name)
			fiber.create(function(...) f(...) end, ...)
		end
		$3" > out 2>&1
	code=$?
	if [ "$code" != "$2" ]; then
		echo "$1: exit code $code, wanted $2"
		cat out
		failed=1
	fi
}

ends "sleeping" 0 "call('nap', 200) os.exit(0)"
ends "waiting for a descriptor" 0 "call('wait_for_ever') os.exit(0)"
ends "many" 0 "for i = 1, 100 do call('nap', 200, i) end os.exit(0)"
ends "refused three times" 0 "call('stubborn') os.exit(0)"
ends "deaf to a cancel" 0 "call('deaf') os.exit(0)"
ends "an error meanwhile" 1 "call('nap', 200) error('oops')"
ends "in a coroutine" 0 "fiber.create(coroutine.wrap(function()
	m:load('nap')(200) end)) os.exit(3 - 3)"
exit $failed
